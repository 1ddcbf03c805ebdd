"""Whisper on CTranslate2: groups of windows in, transcripts out.

Owns the decode: grouping, features, language, prompt, generate, further readings, word times. Loading is
`loading`, thresholds are `guards`, prompts are `prompt`, word times are `alignment`. One thread calls
it. Rows of a group share one encode and one generate: CTranslate2 wants the same padded length, the
same options and the start mark at the same place in every row, so those three are the group's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from host_stt.alignment import Alignment, timed_words
from host_stt.config import Device
from host_stt.contract import AUTO, SAMPLE_RATE, Answer, Float32Array, Window, WindowError
from host_stt.engines.base import Early
from host_stt.engines.guesses import (
    best_language,
    confirms,
    is_doubtful_guess,
    is_spoilt_by_prompt,
    other_languages,
)
from host_stt.engines.loading import LoadedModel, load
from host_stt.engines.rows import (
    FRAME_SAMPLES,
    FRAMES_FULL,
    SAMPLES_DRAWN,
    SHORTENED_SAMPLES,
    Decoded,
    Guesses,
    Plan,
    Row,
    as_judged,
    more_carefully,
    next_reading,
    nothing_said,
    said_once,
    short_frames,
    transcript_of,
)
from host_stt.guards import Reading, Verdict, is_quiet, judge, without_loop
from host_stt.planner import Group
from host_stt.prompt import PromptBudget, PromptWriter
from host_stt.window_forms import WindowForm
from host_stt_common.languages import language_for

POSITIONS_MAX = 448
TOKENS_PER_S, TOKENS_EXTRA = 8, 10
"""New tokens allowed: English speech takes 3.5 per second, a loop takes all it is given."""
TIMESTAMPS_PER_S = 2
"""Timestamp tokens allowed besides: one at each end of a sentence, none shorter than a second."""
_DENSE = frozenset(
    {"ko", "ja", "zh", "yue", "th", "my", "km", "lo", "hi", "ta", "te", "ml", "ka", "am", "bn"}
)
"""Languages whose script takes about twice the tokens per second of speech."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    beam_size: int = 1  # for finals
    interim_window: WindowForm = WindowForm.FULL  # full or short; `auto` is settled before
    final_window: WindowForm = WindowForm.FULL
    auto_languages: tuple[str, ...] = ()
    budget: PromptBudget = PromptBudget()
    tokens_per_s: float | None = None  # for measuring random weights: exactly so many, and no second readings


class WhisperEngine:
    """A CTranslate2 Whisper. Construction loads it (seconds); `name` is what answers call it."""

    def __init__(self, loaded: LoadedModel, name: str, options: WhisperOptions | None = None) -> None:
        self._loaded = loaded
        self._name = name
        self._options = options or WhisperOptions()
        self._any_tokenizer = loaded.tokenizers[loaded.languages[0]]
        self._prompts = PromptWriter(
            self._any_tokenizer.encode, self._any_tokenizer.eot, self._options.budget
        )
        is_measured = self._options.tokens_per_s is not None
        self._suppressed = [*loaded.suppressed, *([self._any_tokenizer.eot] if is_measured else [])]

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        name: str,
        options: WhisperOptions | None = None,
        *,
        device: Device = Device.AUTO,
        compute_type: str = "auto",
        cpu_threads: int = 0,
        device_index: int = 0,
    ) -> WhisperEngine:
        return cls(load(folder, device, compute_type, cpu_threads, device_index), name, options)

    @property
    def model(self) -> str:
        return self._name

    @property
    def languages(self) -> tuple[str, ...]:
        return self._loaded.languages

    @property
    def device(self) -> Device:
        return self._loaded.device

    @property
    def compute_type(self) -> str:
        return self._loaded.compute_type

    def close(self) -> None:
        self._loaded.whisper.unload_model()

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        return self.decode_early(windows, lambda row, answer: None)

    def decode_early(self, windows: Sequence[Window], early: Early) -> list[Answer]:
        answers: dict[int, Answer] = {}
        rows: list[Row] = []
        for index, window in enumerate(windows):
            samples = window.as_float32()
            language = language_for(window.language, self.languages)
            if language is None:
                answers[index] = self._unknown_language(window)
            elif is_quiet(samples):
                answers[index] = nothing_said(window, self.languages[0], self._name)
            else:
                rows.append(self._first_row(index, replace(window, language=language), samples))
        told: set[int] = set()
        while rows:
            believed, rows = self._read_and_judge(rows)
            answers |= {one.row.index: transcript_of(one, self._name) for one in believed}
            for index in answers.keys() - told if rows else ():
                told.add(index)
                early(index, answers[index])
        return [answers[index] for index in range(len(windows))]

    def group(self, window: Window) -> Group:
        previous = self._prompts.previous(window.terms, window.history)
        seconds = self._frames(window.priority.is_final, len(window.samples)) * FRAME_SAMPLES // SAMPLE_RATE
        return Group(window.priority, seconds, len(previous), options=window.is_second_reading)

    def shortened(self, window: Window) -> Window:
        cut = len(window.samples) - SHORTENED_SAMPLES
        if self._options.interim_window is not WindowForm.SHORT or cut <= 0:
            return window
        return replace(window, samples=window.samples[cut:], start_sample=window.start_sample + cut)

    # --- rows and groups --------------------------------------------------------------------------

    def _first_row(self, index: int, window: Window, samples: Float32Array) -> Row:
        is_final = window.priority.is_final
        previous = tuple(self._prompts.previous(window.terms, window.history))
        frames = self._frames(is_final, len(samples))
        # An interim decoded in full and without a prompt has no more careful way that is worth its time.
        is_last = not is_final and frames == FRAMES_FULL and not previous
        # A tuned small vocabulary (the starter's) was never taught timestamps.
        has_timestamps = window.is_second_reading and not self._loaded.has_small_vocabulary
        plan = Plan(
            self._options.beam_size if is_final else 1,
            is_careful=is_last,
            is_last=is_last,
            has_timestamps=has_timestamps,
        )
        return Row(index, window, samples, previous, frames, plan)

    def _frames(self, is_final: bool, samples: int) -> int:
        """What a window of so many samples is padded to."""
        form = self._options.final_window if is_final else self._options.interim_window
        return short_frames(samples) if form is WindowForm.SHORT else FRAMES_FULL

    def _read_and_judge(self, rows: list[Row]) -> tuple[list[Decoded], list[Row]]:
        """Rows read, and what is to be read again in another way: what a guard sends back, and only that."""
        believed: list[Decoded] = []
        again: list[Row] = []
        for decoded in self._read(rows):
            if self._options.tokens_per_s is not None:
                believed.append(decoded)
            elif row := self._in_another_language(decoded):
                again.append(row)
            elif isinstance(judged := self._judged(self._in_best_language(decoded)), Row):
                again.append(judged)
            else:
                believed.append(judged)
        return believed, again

    @staticmethod
    def _judged(decoded: Decoded) -> Decoded | Row:
        """The reading to believe, or the row to read again."""
        rule = judge(decoded.reading)
        is_spoilt = is_spoilt_by_prompt(decoded)
        is_doubted = is_spoilt or (rule is not None and rule.verdict is Verdict.RETRY)
        if is_doubted and (row := next_reading(decoded)):
            return replace(row, echo=decoded) if is_spoilt and rule is None else row
        if (echo := decoded.row.echo) and confirms(decoded.row, decoded):
            return echo
        if is_doubted and decoded.row.instead:
            return said_once(decoded.row.instead)  # chance found nothing better
        return said_once(as_judged(decoded, rule)) if is_doubted else as_judged(decoded, rule)

    def _in_another_language(self, decoded: Decoded) -> Row | None:
        """The row in the next language to try; None when there is none."""
        row = decoded.row
        others = row.others
        if not row.tried and is_doubtful_guess(decoded, judge(decoded.reading)):
            others = other_languages(decoded, self._options.auto_languages, self.languages)
        if not others:
            return None
        # Carefully at once: fewer loops, so that the right language does not lose by one.
        row = row if row.tried else more_carefully(row)
        tried = (*decoded.row.tried, decoded)
        return replace(row, language=others[0], others=others[1:], tried=tried, guesses=decoded.guesses)

    def _in_best_language(self, decoded: Decoded) -> Decoded:
        """Of the readings in several languages the best one, where there were several."""
        row = decoded.row
        if not row.tried:
            return decoded
        best = best_language((*row.tried, decoded), self._options.auto_languages)
        return replace(best, row=replace(best.row, language=best.language, tried=(), others=()))

    def _read(self, rows: list[Row]) -> Iterable[Decoded]:
        for _, group in groupby(sorted(rows, key=lambda row: row.key), key=lambda row: row.key):
            yield from self._read_group(list(group))

    def _read_group(self, rows: list[Row]) -> list[Decoded]:
        encoded = self._loaded.whisper.encode(self._storage([self._mel(row) for row in rows]))
        languages = self._languages_of(rows, encoded)
        results = self._generate(rows, [code for code, _ in languages], encoded)
        decoded = [
            Decoded(
                row, self._reading(row, code, result), code, dict(guesses).get(code, 1.0), guesses=guesses
            )
            for row, (code, guesses), result in zip(rows, languages, results, strict=True)
        ]
        return self._with_words(decoded, encoded)

    # --- the model --------------------------------------------------------------------------------

    def _mel(self, row: Row) -> Float32Array:
        """(n_mels, frames) log-mel, padded with zeros after normalising, as faster-whisper does."""
        mel = self._loaded.features(row.samples)[:, : row.frames]
        padded: Float32Array = np.pad(mel, ((0, 0), (0, row.frames - mel.shape[1]))).astype(np.float32)
        return padded

    def _storage(self, rows: list[Any]) -> Any:
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(np.stack(rows)))

    def _languages_of(self, rows: list[Row], encoded: Any) -> list[tuple[str, Guesses]]:
        """(code, guesses) per row; detected only when a row asks for it, and then once."""
        if len(self.languages) == 1:
            return [(self.languages[0], ())] * len(rows)
        is_asked = [row.window.language == AUTO and not row.language for row in rows]
        if not any(is_asked):
            return [_language_told(row) for row in rows]
        detected = self._loaded.whisper.detect_language(encoded)
        return [
            self._guessed(ranking) if asked else _language_told(row)
            for row, asked, ranking in zip(rows, is_asked, detected, strict=True)
        ]

    def _guessed(self, ranking: list[tuple[str, float]]) -> tuple[str, Guesses]:
        allowed = set(self._options.auto_languages) & set(self.languages) or set(self.languages)
        by_code = {token[2:-2]: probability for token, probability in ranking}
        known = {code: by_code[code] for code in by_code if code in allowed}
        total = sum(known.values()) or 1.0
        guesses = tuple((code, probability / total) for code, probability in known.items())
        return max(known, key=lambda code: known[code]), guesses

    def _generate(self, rows: list[Row], languages: list[str], encoded: Any) -> list[Any]:
        prompts = [self._prompt(row, code) for row, code in zip(rows, languages, strict=True)]
        cap = max(self._token_cap(row, code) for row, code in zip(rows, languages, strict=True))
        length = len(prompts[0])
        results: list[Any] = self._loaded.whisper.generate(
            encoded,
            prompts,
            beam_size=rows[0].plan.beam_size,
            # CTranslate2 makes min(max_length / 2, max_length - prompt) tokens, not max_length - prompt.
            max_length=min(max(2 * cap, cap + length - 1), 2 * POSITIONS_MAX),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            **_drawing(rows[0].plan.temperature),
        )
        return results

    def _prompt(self, row: Row, language: str) -> list[int]:
        tokenizer = self._loaded.tokenizers[language]
        previous = [tokenizer.sot_prev, *row.previous] if row.previous else []
        start = [] if row.plan.has_timestamps else [tokenizer.no_timestamps]
        return [*previous, *tokenizer.sot_sequence, *start]

    def _token_cap(self, row: Row, language: str) -> int:
        if self._options.tokens_per_s is not None:
            return max(1, round(self._options.tokens_per_s * len(row.samples) / SAMPLE_RATE))
        per_s = TOKENS_PER_S * (2 if language in _DENSE or self._loaded.has_small_vocabulary else 1)
        per_s += TIMESTAMPS_PER_S if row.plan.has_timestamps else 0
        wanted = int(per_s * len(row.samples) / SAMPLE_RATE) + TOKENS_EXTRA
        room = POSITIONS_MAX - len(row.previous) - 5  # two marks, language, task, and the token that begins
        return min(wanted, room, POSITIONS_MAX // 2)

    def _reading(self, row: Row, language: str, result: Any) -> Reading:
        tokenizer = self._loaded.tokenizers[language]
        made: list[int] = result.sequences_ids[0]
        cap = self._token_cap(row, language)
        tokens = [token for token in made if token < tokenizer.eot][:cap]
        is_capped = len(made) >= cap
        if is_capped and row.plan.is_careful:
            tokens = list(without_loop(tokens))
        return Reading(
            text=tokenizer.decode(tokens).rstrip("\ufffd").strip(),  # a cap may cut a letter in two
            tokens=tuple(tokens),
            avg_logprob=result.scores[0] * len(made) / (len(made) + 1) if made else 0.0,
            no_speech_prob=result.no_speech_prob,
            is_capped=is_capped,
        )

    def _with_words(self, decoded: list[Decoded], encoded: Any) -> list[Decoded]:
        """Finals get words. One call of `align` takes one start sequence, so it goes by language."""
        asked = [(i, d) for i, d in enumerate(decoded) if d.row.window.priority.is_final and d.reading.tokens]
        for language, group in groupby(
            sorted(asked, key=lambda pair: pair[1].language), lambda pair: pair[1].language
        ):
            pairs = list(group)
            tokenizer = self._loaded.tokenizers[language]
            alignments = self._loaded.whisper.align(
                self._rows_of(encoded, [i for i, _ in pairs], len(decoded)),
                tokenizer.sot_sequence,
                [list(d.reading.tokens) for _, d in pairs],
                [min(d.row.frames, -(-len(d.row.samples) // FRAME_SAMPLES)) for _, d in pairs],
            )
            for (i, d), aligned in zip(pairs, alignments, strict=True):
                alignment = Alignment(aligned.alignments, aligned.text_token_probs)
                words = timed_words(
                    list(d.reading.tokens),
                    alignment,
                    tokenizer,
                    d.row.samples,
                    d.row.window.start_sample,
                )
                decoded[i] = replace(d, words=words)
        return decoded

    def _rows_of(self, encoded: Any, indices: list[int], count: int) -> Any:
        if len(indices) == count:
            return encoded
        if self._loaded.device is not Device.CPU:
            encoded = encoded.to_device(ctranslate2.Device.cpu)
        return self._storage([np.asarray(encoded)[i] for i in indices])

    def _unknown_language(self, window: Window) -> WindowError:
        known = ", ".join(self.languages[:8]) + (" and more" if len(self.languages) > 8 else "")
        return WindowError(
            window.id,
            "unknown_language",
            f"the model {self._name} does not know {window.language!r}; it knows {known}",
        )


def _language_told(row: Row) -> tuple[str, Guesses]:
    """The window's language; or the one chosen after a guess, as likely as it was then."""
    return (row.language, row.guesses) if row.language else (row.window.language, ())


def _drawing(temperature: float) -> dict[str, Any]:
    """Options that draw tokens by chance from all; none for the likeliest reading."""
    if not temperature:
        return {}
    return {"sampling_topk": 0, "sampling_temperature": temperature, "num_hypotheses": SAMPLES_DRAWN}
