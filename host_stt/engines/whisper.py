"""Whisper on CTranslate2: groups of windows in, transcripts out.

Contains the decode: grouping, features, language, prompt, generate, further decodes, word times. Loading is
in `loading`, thresholds in `guards`, prompts in `prompt`, word times in `alignment`. Called from one thread.
The rows of a group share one encode and one generate. For that CTranslate2 needs the same padded length, the
same options and the start token at the same position in every row, so these three are the group's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
    is_disturbed_by_prompt,
    is_doubtful_guess,
    other_languages,
)
from host_stt.engines.loading import LoadedModel, load
from host_stt.engines.rows import (
    FRAME_SAMPLES,
    FRAMES_FULL,
    SAMPLES_DRAWN,
    SHORTENED_SAMPLES,
    UNSURE_LOGPROB,
    Decoded,
    Guesses,
    Plan,
    Row,
    more_carefully,
    next_decode,
    no_speech_result,
    short_frames,
    transcript_of,
    with_verdict,
    without_repetition,
)
from host_stt.engines.term_check import checked_text, is_worth_checking
from host_stt.guards import DecodeResult, Verdict, is_quiet, judge, without_loop
from host_stt.planner import Group
from host_stt.prompt import PromptBudget, PromptForm, PromptWriter
from host_stt.terms_use import TermsUse
from host_stt.window_forms import WindowForm
from host_stt_common.languages import language_for

POSITIONS_MAX = 448
TOKENS_PER_S, TOKENS_EXTRA = 8, 10
"""Limit of new tokens. English speech needs 3.5 per second; a loop uses all that it may."""
TIMESTAMPS_PER_S = 2
"""Additional timestamp tokens: one at each end of a sentence of at least a second."""
_DENSE = frozenset(
    {"ko", "ja", "zh", "yue", "th", "my", "km", "lo", "hi", "ta", "te", "ml", "ka", "am", "bn"}
)
"""Languages whose script needs about twice as many tokens per second of speech."""


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    beam_size: int = 1  # for finals
    beam_size_unsure: int = 1  # for finals whose greedy text is unsure; 1: no further search
    interim_window: WindowForm = WindowForm.FULL  # full or short; `auto` is resolved before
    final_window: WindowForm = WindowForm.FULL
    auto_languages: tuple[str, ...] = ()
    budget: PromptBudget = PromptBudget()
    terms_use: TermsUse = TermsUse.PROMPT  # never `auto`, which is resolved before
    terms_form: PromptForm = PromptForm.LISTED
    # to measure random weights: exactly this many tokens, and no further decodes
    tokens_per_s: float | None = None


class WhisperEngine:
    """A CTranslate2 Whisper model. `name` is its name in outputs."""

    def __init__(self, loaded: LoadedModel, name: str, options: WhisperOptions | None = None) -> None:
        self._loaded = loaded
        self._name = name
        self._options = options or WhisperOptions()
        self._any_tokenizer = loaded.tokenizers[loaded.languages[0]]
        self._prompts = PromptWriter(
            self._any_tokenizer.encode,
            self._any_tokenizer.eot,
            self._options.budget,
            self._options.terms_form,
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

    @property
    def terms_use(self) -> TermsUse:
        return self._options.terms_use

    def fitting_terms(self, terms: Sequence[str]) -> list[str]:
        """The terms that a prompt has room for. Safe from any thread."""
        return [] if self.terms_use is TermsUse.OFF else list(self._prompts.packed(terms))

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
                answers[index] = no_speech_result(window, self.languages[0], self._name)
            else:
                rows.append(self._first_row(index, replace(window, language=language), samples))
        sent: set[int] = set()
        while rows:
            believed, rows = self._decode_and_judge(rows)
            believed = self._with_terms(believed)
            answers |= {one.row.index: transcript_of(one, self._name) for one in believed}
            for index in answers.keys() - sent if rows else ():
                sent.add(index)
                early(index, answers[index])
        return [answers[index] for index in range(len(windows))]

    def group(self, window: Window) -> Group:
        previous = self._previous(window)
        seconds = self._frames(window.priority.is_final, len(window.samples)) * FRAME_SAMPLES // SAMPLE_RATE
        return Group(window.priority, seconds, len(previous), options=window.is_second_decode)

    def shortened(self, window: Window) -> Window:
        cut = len(window.samples) - SHORTENED_SAMPLES
        if self._options.interim_window is not WindowForm.SHORT or cut <= 0:
            return window
        return replace(window, samples=window.samples[cut:], start_sample=window.start_sample + cut)

    # --- rows and groups --------------------------------------------------------------------------

    def _first_row(self, index: int, window: Window, samples: Float32Array) -> Row:
        is_final = window.priority.is_final
        previous = tuple(self._previous(window))
        frames = self._frames(is_final, len(samples))
        # For an interim in a full window and without a prompt, a more careful decode is not worth its time.
        is_last = not is_final and frames == FRAMES_FULL and not previous
        # The starter model, with its small vocabulary, was not trained to write timestamps.
        has_timestamps = window.is_second_decode and not self._loaded.has_small_vocabulary
        plan = Plan(
            self._options.beam_size if is_final else 1,
            is_careful=is_last,
            is_last=is_last,
            has_timestamps=has_timestamps,
        )
        return Row(index, window, samples, previous, frames, plan)

    def _previous(self, window: Window) -> list[int]:
        """The prompt of the first decode. It has terms only where they are not checked by a second one."""
        terms = window.terms if self._options.terms_use is TermsUse.PROMPT else ()
        return self._prompts.previous(terms, window.history)

    def _frames(self, is_final: bool, samples: int) -> int:
        """The padded length of a window with this many samples, in frames."""
        form = self._options.final_window if is_final else self._options.interim_window
        return short_frames(samples) if form is WindowForm.SHORT else FRAMES_FULL

    def _decode_and_judge(self, rows: list[Row]) -> tuple[list[Decoded], list[Row]]:
        """Decode rows. Returns (accepted outputs, rows to decode again because a guard rejected them)."""
        believed: list[Decoded] = []
        again: list[Row] = []
        for decoded in self._decode_rows(rows):
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
        """The accepted output, or the row to decode again."""
        rule = judge(decoded.result)
        is_disturbed = is_disturbed_by_prompt(decoded)
        is_doubted = is_disturbed or (rule is not None and rule.verdict is Verdict.RETRY)
        if is_doubted and (row := next_decode(decoded)):
            return replace(row, echo=decoded) if is_disturbed and rule is None else row
        if (echo := decoded.row.echo) and confirms(decoded.row, decoded):
            return echo
        if is_doubted and decoded.row.instead:
            return without_repetition(decoded.row.instead)  # sampling gave nothing better
        return without_repetition(with_verdict(decoded, rule)) if is_doubted else with_verdict(decoded, rule)

    def _in_another_language(self, decoded: Decoded) -> Row | None:
        """The row in the next language to try; None if there is none."""
        row = decoded.row
        others = row.others
        if not row.tried and is_doubtful_guess(decoded, judge(decoded.result)):
            others = other_languages(decoded, self._options.auto_languages, self.languages)
        if not others:
            return None
        # With careful options at once, so that the right language does not lose because of a loop.
        row = row if row.tried else more_carefully(row)
        tried = (*decoded.row.tried, decoded)
        return replace(row, language=others[0], others=others[1:], tried=tried, guesses=decoded.guesses)

    def _in_best_language(self, decoded: Decoded) -> Decoded:
        """The best of the outputs in several languages; the output itself if there is only one."""
        row = decoded.row
        if not row.tried:
            return decoded
        best = best_language((*row.tried, decoded), self._options.auto_languages)
        return replace(best, row=replace(best.row, language=best.language, tried=(), others=()))

    def _decode_rows(self, rows: list[Row]) -> Iterable[Decoded]:
        for _, group in groupby(sorted(rows, key=lambda row: row.key), key=lambda row: row.key):
            yield from self._decode_group(list(group))

    def _decode_group(self, rows: list[Row]) -> list[Decoded]:
        encoded = self._loaded.whisper.encode(self._storage([self._mel(row) for row in rows]))
        languages = self._languages_of(rows, encoded)
        codes = [code for code, _ in languages]
        outputs = self._generate(rows, codes, encoded)
        outputs = self._with_wider_search(rows, codes, encoded, outputs)
        decoded = [
            Decoded(
                row, self._result_of(row, code, output), code, dict(guesses).get(code, 1.0), guesses=guesses
            )
            for row, (code, guesses), output in zip(rows, languages, outputs, strict=True)
        ]
        return self._with_words(decoded, encoded)

    def _with_wider_search(
        self, rows: list[Row], languages: list[str], encoded: Any, outputs: list[Any]
    ) -> list[Any]:
        """The outputs, those of unsure greedy finals replaced by the outputs of a wider search.

        The search uses the same encoded audio, so it costs about as much as the decoding tokens.
        """
        beam_size = self._options.beam_size_unsure
        unsure = [
            k
            for k, (row, language) in enumerate(zip(rows, languages, strict=True))
            if row.may_search_wider
            and self._result_of(row, language, outputs[k]).avg_logprob < UNSURE_LOGPROB
        ]
        if not unsure or beam_size == 1 or self._options.tokens_per_s is not None:
            return outputs
        wider = [replace(rows[k], plan=replace(rows[k].plan, beam_size=beam_size)) for k in unsure]
        chosen = [languages[k] for k in unsure]
        again = self._generate(wider, chosen, self._rows_of(encoded, unsure, len(rows)))
        replaced = dict(zip(unsure, again, strict=True))
        return [replaced.get(k, output) for k, output in enumerate(outputs)]

    # --- the glossary -----------------------------------------------------------------------------

    def _with_terms(self, believed: list[Decoded]) -> list[Decoded]:
        """The outputs, with the terms that a decode with the glossary in the prompt hears and the audio
        supports.
        """
        if self._options.terms_use is not TermsUse.CHECKED:
            return believed
        rows = [
            (index, self._row_with_terms(decoded))
            for index, decoded in enumerate(believed)
            if is_worth_checking(decoded)
        ]
        result = list(believed)
        rows.sort(key=lambda pair: pair[1].key)
        for _, group in groupby(rows, key=lambda pair: pair[1].key):
            pairs = list(group)
            checked = self._check_terms([believed[index] for index, _ in pairs], [row for _, row in pairs])
            for (index, _), decoded in zip(pairs, checked, strict=True):
                result[index] = decoded
        return result

    def _row_with_terms(self, decoded: Decoded) -> Row:
        row = decoded.row
        return replace(
            row,
            previous=tuple(self._prompts.previous(row.window.terms, "")),
            frames=self._frames(True, len(row.samples)),
            plan=Plan(1, is_last=True),
        )

    def _check_terms(self, plain: list[Decoded], rows: list[Row]) -> list[Decoded]:
        """plain: the outputs without the glossary. rows: the same windows, with it in their prompt."""
        encoded = self._loaded.whisper.encode(self._storage([self._mel(row) for row in rows]))
        languages = [decoded.language for decoded in plain]
        outputs = self._generate(rows, languages, encoded)
        checked = []
        for index, (decoded, row, output) in enumerate(zip(plain, rows, outputs, strict=True)):
            prompted = self._result_of(row, decoded.language, output)
            score = partial(self._log_probabilities, row, decoded.language, encoded, index, len(rows))
            text = checked_text(decoded.result.text, prompted.text, row.window.terms, score)
            checked.append(self._with_text(decoded, row, text, encoded, index, len(rows)))
        return checked

    def _log_probabilities(
        self, row: Row, language: str, encoded: Any, index: int, count: int, texts: Sequence[str]
    ) -> list[float]:
        """The log probability of each text for the audio of one row, without a prompt.

        encoded: of `count` rows; `row` is number `index` of them.
        """
        tokenizer = self._loaded.tokenizers[language]
        alignments = self._loaded.whisper.align(
            self._rows_of(encoded, [index] * len(texts), count),
            tokenizer.sot_sequence,
            [tokenizer.encode(" " + text) for text in texts],
            [min(row.frames, -(-len(row.samples) // FRAME_SAMPLES))] * len(texts),
        )
        return [float(np.log(np.maximum(one.text_token_probs, 1e-10)).sum()) for one in alignments]

    def _with_text(
        self, decoded: Decoded, row: Row, text: str, encoded: Any, index: int, count: int
    ) -> Decoded:
        """The output with another text, and words with times of this text."""
        if text == decoded.result.text:
            return decoded
        tokens = tuple(self._loaded.tokenizers[decoded.language].encode(" " + text))
        changed = replace(decoded, row=row, result=replace(decoded.result, text=text, tokens=tokens))
        (changed,) = self._with_words([changed], self._rows_of(encoded, [index], count))
        return replace(changed, row=decoded.row)

    # --- the model --------------------------------------------------------------------------------

    def _mel(self, row: Row) -> Float32Array:
        """(n_mels, frames): log-mel, padded with zeros after normalising, like faster-whisper."""
        mel = self._loaded.features(row.samples)[:, : row.frames]
        padded: Float32Array = np.pad(mel, ((0, 0), (0, row.frames - mel.shape[1]))).astype(np.float32)
        return padded

    def _storage(self, rows: list[Any]) -> Any:
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(np.stack(rows)))

    def _languages_of(self, rows: list[Row], encoded: Any) -> list[tuple[str, Guesses]]:
        """(code, probabilities) per row. Detection runs only if a row needs it, and then once for all
        rows.
        """
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
        outputs: list[Any] = self._loaded.whisper.generate(
            encoded,
            prompts,
            beam_size=rows[0].plan.beam_size,
            # CTranslate2 generates min(max_length / 2, max_length - prompt) tokens, not max_length - prompt.
            max_length=min(max(2 * cap, cap + length - 1), 2 * POSITIONS_MAX),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            **_drawing(rows[0].plan.temperature),
        )
        return outputs

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
        # two special tokens, language, task, and the first token
        room = POSITIONS_MAX - len(row.previous) - 5
        return min(wanted, room, POSITIONS_MAX // 2)

    def _result_of(self, row: Row, language: str, output: Any) -> DecodeResult:
        tokenizer = self._loaded.tokenizers[language]
        made: list[int] = output.sequences_ids[0]
        cap = self._token_cap(row, language)
        tokens = [token for token in made if token < tokenizer.eot][:cap]
        is_capped = len(made) >= cap
        if is_capped and row.plan.is_careful:
            tokens = list(without_loop(tokens))
        return DecodeResult(
            text=tokenizer.decode(tokens).rstrip("\ufffd").strip(),  # the limit may cut a character in two
            tokens=tuple(tokens),
            avg_logprob=output.scores[0] * len(made) / (len(made) + 1) if made else 0.0,
            no_speech_prob=output.no_speech_prob,
            is_capped=is_capped,
        )

    def _with_words(self, decoded: list[Decoded], encoded: Any) -> list[Decoded]:
        """Add words to finals and long interims. One call of `align` takes one start sequence, so each
        language has its own call.
        """
        asked = [(i, d) for i, d in enumerate(decoded) if d.row.gets_words and d.result.tokens]
        for language, group in groupby(
            sorted(asked, key=lambda pair: pair[1].language), lambda pair: pair[1].language
        ):
            pairs = list(group)
            tokenizer = self._loaded.tokenizers[language]
            alignments = self._loaded.whisper.align(
                self._rows_of(encoded, [i for i, _ in pairs], len(decoded)),
                tokenizer.sot_sequence,
                [list(d.result.tokens) for _, d in pairs],
                [min(d.row.frames, -(-len(d.row.samples) // FRAME_SAMPLES)) for _, d in pairs],
            )
            for (i, d), aligned in zip(pairs, alignments, strict=True):
                alignment = Alignment(aligned.alignments, aligned.text_token_probs)
                words = timed_words(
                    list(d.result.tokens),
                    alignment,
                    tokenizer,
                    d.row.samples,
                    d.row.window.start_sample,
                )
                decoded[i] = replace(d, words=words)
        return decoded

    def _rows_of(self, encoded: Any, indices: list[int], count: int) -> Any:
        if indices == list(range(count)):
            return encoded
        if self._loaded.device is not Device.CPU:
            encoded = encoded.to_device(ctranslate2.Device.cpu)
        return self._storage([np.asarray(encoded)[i] for i in indices])

    def _unknown_language(self, window: Window) -> WindowError:
        known = ", ".join(self.languages[:8]) + (" and more" if len(self.languages) > 8 else "")
        return WindowError(
            window.id,
            "unknown_language",
            f"the model {self._name} does not have the language {window.language!r}; it has {known}",
        )


def _language_told(row: Row) -> tuple[str, Guesses]:
    """The window's language; or the one chosen after a detection, with its probability from then."""
    return (row.language, row.guesses) if row.language else (row.window.language, ())


def _drawing(temperature: float) -> dict[str, Any]:
    """Options for sampling from all tokens; no options for the likeliest text."""
    if not temperature:
        return {}
    return {"sampling_topk": 0, "sampling_temperature": temperature, "num_hypotheses": SAMPLES_DRAWN}
