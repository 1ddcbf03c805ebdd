"""Decodes rows with the model: features, language, generate, a wider search, word times.

The rows of a group share one encode and one generate. For that CTranslate2 needs the same padded length, the
same options and the start token at the same position in every row, so these three are the group's key.
Called from one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

import ctranslate2
import numpy as np

from host_stt.alignment import Alignment, timed_words
from host_stt.config import Device
from host_stt.contract import AUTO, SAMPLE_RATE, Float32Array, Task
from host_stt.engines.base import Between, nothing_between
from host_stt.engines.heard import Heard, heard_in
from host_stt.engines.loading import LoadedModel
from host_stt.engines.options import WhisperOptions
from host_stt.engines.rows import (
    FRAME_SAMPLES,
    SAMPLES_DRAWN,
    Decoded,
    Guesses,
    Row,
)
from host_stt.engines.unsure_finals import Attempt, UnsureFinals
from host_stt.guards import DecodeResult, without_loop

POSITIONS_MAX = 448
SILENT_POSITIONS = 16
"""Zeros are alike at every position, so their number makes no difference to the text."""
FRAMES_PER_POSITION = 2
POSITIONS_BEHIND = 25
"""Encoded silence of 0.5 s that stays behind the audio when a text is scored."""
TOKENS_PER_S, TOKENS_EXTRA = 8, 10
"""Limit of new tokens. English speech needs 3.5 per second; a loop uses all that it may."""
CHANGE_SAMPLES_MIN = 2 * SAMPLE_RATE
CHANGE_PROBABILITY = 0.9
"""When a window whose language may change is decoded in another one. With base, the first 2, 3 and 6 s of 48
English and 50 Korean recordings and of 20 noises never have 0.9 for a wrong language. Of the Korean ones, 46
have it for their own in 3 s, and all in 6 s. The first second is not enough (2026-12-01).
"""
TIMESTAMPS_PER_S = 2
"""Additional timestamp tokens: one at each end of a sentence of at least a second."""
_DENSE = frozenset(
    {"ko", "ja", "zh", "yue", "th", "my", "km", "lo", "hi", "ta", "te", "ml", "ka", "am", "bn"}
)
"""Languages whose script needs about twice as many tokens per second of speech."""


class RowDecoder:
    """Decodes rows with one loaded model. It judges no output; `WhisperEngine` does."""

    def __init__(self, loaded: LoadedModel, options: WhisperOptions) -> None:
        self._loaded = loaded
        self._options = options
        # To measure random weights, every row gets exactly the number of tokens that the options give.
        is_measured = options.tokens_per_s is not None
        end = loaded.tokenizers[loaded.languages[0]].eot
        self._suppressed = [*loaded.suppressed, *([end] if is_measured else [])]
        self._unsure = UnsureFinals(self, options)

    def decode(self, rows: list[Row], between: Between = nothing_between) -> Iterable[Decoded]:
        """One output per row, grouped by what one call of the model can share; not in the order of `rows`.

        between: called after the audio of a group is encoded; it may decode other rows with this object.
        """
        for _, group in groupby(sorted(rows, key=lambda row: row.key), key=lambda row: row.key):
            yield from self._decode_group(list(group), between)

    def _decode_group(self, rows: list[Row], between: Between) -> list[Decoded]:
        encoded = self.encode(rows)
        between()
        languages = self._languages_of(rows, encoded)
        codes = [code for code, _ in languages]
        greedy = Attempt(rows, encoded, self.generate(rows, codes, encoded))
        best = self._unsure.searched_again(greedy, codes)
        decoded = [
            Decoded(
                row, self.result_of(row, code, output), code, dict(guesses).get(code, 1.0), guesses=guesses
            )
            for row, (code, guesses), output in zip(best.rows, languages, best.outputs, strict=True)
        ]
        return self.with_words(decoded, best.encoded)

    def log_probabilities(
        self, row: Row, language: str, encoded: Any, index: int, count: int, texts: Sequence[str]
    ) -> list[float]:
        """The log probability of each text for the audio of one row, without a prompt.

        encoded: of `count` rows; `row` is number `index` of them.
        """
        frames = min(row.frames, -(-len(row.samples) // FRAME_SAMPLES))
        return self._sums(self.rows_of(encoded, [index] * len(texts), count), frames, language, texts)

    def quick_log_probabilities(
        self, row: Row, language: str, encoded: Any, index: int, texts: Sequence[str]
    ) -> list[float]:
        """The same with the padding of the row left out. It takes a third of the time for a short row, and
        the differences between texts change by 0.6 on average.
        """
        frames = min(row.frames, -(-len(row.samples) // FRAME_SAMPLES))
        heard = self._on_cpu(encoded)[index, : -(-frames // FRAMES_PER_POSITION) + POSITIONS_BEHIND]
        return self._sums(self._storage([heard] * len(texts)), frames, language, texts)

    def prior_log_probabilities(self, language: str, encoded: Any, texts: Sequence[str]) -> list[float]:
        """How probable the model takes each text to be before it hears anything: with zeros in place of the
        encoded audio. encoded: any encoded audio; only the width of its vectors matters.
        """
        silence = np.zeros((SILENT_POSITIONS, encoded.shape[-1]), np.float32)
        return self._sums(self._storage([silence] * len(texts)), 2 * SILENT_POSITIONS, language, texts)

    def _sums(self, encoded: Any, frames: int, language: str, texts: Sequence[str]) -> list[float]:
        """The log probability of each text, one for each row of the encoded audio."""
        tokenizer = self._loaded.tokenizers[language]
        alignments = self._loaded.whisper.align(
            encoded,
            tokenizer.sot_sequence,
            [tokenizer.encode(" " + text) for text in texts],
            [frames] * len(texts),
        )
        return [float(np.log(np.maximum(one.text_token_probs, 1e-10)).sum()) for one in alignments]

    def token_count(self, language: str, text: str) -> int:
        return len(self._loaded.tokenizers[language].encode(" " + text))

    def encode(self, rows: list[Row]) -> Any:
        """The encoded audio of rows with one padded length."""
        return self._loaded.whisper.encode(self._storage([self._mel(row) for row in rows]))

    def _mel(self, row: Row) -> Float32Array:
        """(n_mels, frames): log-mel, padded with zeros after normalising, like faster-whisper."""
        mel = self._loaded.features(row.samples)[:, : row.frames]
        padded: Float32Array = np.pad(mel, ((0, 0), (0, row.frames - mel.shape[1]))).astype(np.float32)
        return padded

    def _storage(self, rows: list[Any]) -> Any:
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(np.stack(rows)))

    def _languages_of(self, rows: list[Row], encoded: Any) -> list[tuple[str, Guesses]]:
        """(code, probabilities) per row. Detection runs only if a row needs it, and then once for all
        rows: with base it takes 5 ms of a call's 100 or more.
        """
        if len(self._loaded.languages) == 1:
            return [(self._loaded.languages[0], ())] * len(rows)
        is_asked = [not row.language and _needs_detection(row) for row in rows]
        if not any(is_asked):
            return [_language_told(row) for row in rows]
        detected = self._loaded.whisper.detect_language(encoded)
        return [
            _language_checked(row, *self._guessed(ranking)) if asked else _language_told(row)
            for row, asked, ranking in zip(rows, is_asked, detected, strict=True)
        ]

    def _guessed(self, ranking: list[tuple[str, float]]) -> tuple[str, Guesses]:
        allowed = set(self._options.auto_languages) & set(self._loaded.languages) or set(
            self._loaded.languages
        )
        by_code = {token[2:-2]: probability for token, probability in ranking}
        known = {code: by_code[code] for code in by_code if code in allowed}
        total = sum(known.values()) or 1.0
        guesses = tuple((code, probability / total) for code, probability in known.items())
        return max(known, key=lambda code: known[code]), guesses

    def generate(
        self, rows: list[Row], languages: list[str], encoded: Any, *, has_logits: bool = False
    ) -> list[Any]:
        """One output of CTranslate2 per row. languages: one per row. encoded: of these rows.

        has_logits: the outputs also have what `heard` needs. It takes no time, but 0.2 MB per token.
        """
        prompts = [self._prompt(row, code) for row, code in zip(rows, languages, strict=True)]
        cap = max(
            token_cap(row, code, self._loaded, self._options)
            for row, code in zip(rows, languages, strict=True)
        )
        length = len(prompts[0])
        outputs: list[Any] = self._loaded.whisper.generate(
            encoded,
            prompts,
            beam_size=rows[0].plan.beam_size,
            # CTranslate2 generates min(max_length / 2, max_length - prompt) tokens, not max_length - prompt.
            max_length=min(max(2 * cap, cap + length - 1), 2 * POSITIONS_MAX),
            return_scores=True,
            return_no_speech_prob=True,
            return_logits_vocab=has_logits,
            suppress_tokens=self._suppressed,
            **_drawing(rows[0].plan.temperature),
        )
        return outputs

    def _prompt(self, row: Row, language: str) -> list[int]:
        tokenizer = self._loaded.tokenizers[language]
        previous = [tokenizer.sot_prev, *row.previous] if row.previous else []
        start = [] if row.plan.has_timestamps else [tokenizer.no_timestamps]
        return [*previous, *self._loaded.start_of(language, row.window.task), *start]

    def result_of(self, row: Row, language: str, output: Any) -> DecodeResult:
        """The text and the figures of one output of `generate`."""
        tokenizer = self._loaded.tokenizers[language]
        made: list[int] = output.sequences_ids[0]
        cap = token_cap(row, language, self._loaded, self._options)
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

    def heard(self, row: Row, language: str, output: Any) -> Heard:
        """The words of an output of `generate` with logits, and how sure the model was of their tokens."""
        tokens = list(self.result_of(row, language, output).tokens)
        logits = output.logits[0][: len(tokens)]  # without that of the end token
        found = iter([_log_probability(one, token) for one, token in zip(logits, tokens, strict=True)])
        texts, groups = self._loaded.tokenizers[language].split_to_word_tokens(tokens)
        return heard_in(
            (text, list(islice(found, len(group)))) for text, group in zip(texts, groups, strict=True)
        )

    def with_words(self, decoded: list[Decoded], encoded: Any) -> list[Decoded]:
        """Add words to finals and long interims. One call of `align` takes one start sequence, so each
        language and task has its own call.
        """

        def start(pair: tuple[int, Decoded]) -> tuple[str, Task]:
            return pair[1].language, pair[1].row.window.task

        asked = [(i, d) for i, d in enumerate(decoded) if d.row.gets_words and d.result.tokens]
        for (language, task), group in groupby(sorted(asked, key=start), start):
            pairs = list(group)
            tokenizer = self._loaded.tokenizers["en" if task is Task.TRANSLATE else language]
            alignments = self._loaded.whisper.align(
                self.rows_of(encoded, [i for i, _ in pairs], len(decoded)),
                self._loaded.start_of(language, task),
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

    def rows_of(self, encoded: Any, indices: list[int], count: int) -> Any:
        """Some rows of encoded audio that has `count` rows; an index may be given several times."""
        if indices == list(range(count)):
            return encoded
        rows = self._on_cpu(encoded)
        return self._storage([rows[i] for i in indices])

    def joined(self, first: Any, second: Any) -> Any:
        """Encoded audio: the rows of the first, then those of the second."""
        return self._storage([*self._on_cpu(first), *self._on_cpu(second)])

    def _on_cpu(self, encoded: Any) -> Float32Array:
        """(rows, positions, width)."""
        if self._loaded.device is not Device.CPU:
            encoded = encoded.to_device(ctranslate2.Device.cpu)
        rows: Float32Array = np.asarray(encoded)
        return rows


def token_cap(row: Row, language: str, loaded: LoadedModel, options: WhisperOptions) -> int:
    """The largest number of new tokens for a row."""
    if options.tokens_per_s is not None:
        return max(1, round(options.tokens_per_s * len(row.samples) / SAMPLE_RATE))
    is_dense = row.window.text_language(language) in _DENSE
    per_s = TOKENS_PER_S * (2 if is_dense or loaded.has_small_vocabulary else 1)
    per_s += TIMESTAMPS_PER_S if row.plan.has_timestamps else 0
    wanted = int(per_s * len(row.samples) / SAMPLE_RATE) + TOKENS_EXTRA
    # two special tokens, language, task, and the first token
    room = POSITIONS_MAX - len(row.previous) - 5
    return min(wanted, room, POSITIONS_MAX // 2)


def _log_probability(logits: Any, token: int) -> float:
    """logits: (vocabulary,), as CTranslate2 returns them."""
    values = np.asarray(logits).ravel().astype(np.float64)
    highest = values.max()
    return float(values[token] - highest - np.log(np.exp(values - highest).sum()))


def _language_told(row: Row) -> tuple[str, Guesses]:
    """The window's language; or the one chosen after a detection, with its probability from then."""
    return (row.language, row.guesses) if row.language else (row.window.language, ())


def _needs_detection(row: Row) -> bool:
    if row.window.may_change_language and len(row.samples) >= CHANGE_SAMPLES_MIN:
        return True
    return row.window.language == AUTO


def _language_checked(row: Row, detected: str, guesses: Guesses) -> tuple[str, Guesses]:
    """The detected language; but the window's own, if that is known and the detection is not nearly sure."""
    told = row.window.language
    if told != AUTO and (detected == told or dict(guesses)[detected] < CHANGE_PROBABILITY):
        return _language_told(row)
    return detected, guesses


def _drawing(temperature: float) -> dict[str, Any]:
    """Options for sampling from all tokens; no options for the likeliest text."""
    if not temperature:
        return {}
    return {"sampling_topk": 0, "sampling_temperature": temperature, "num_hypotheses": SAMPLES_DRAWN}
