"""Unsure finals: a wider search, and a second reading of the same speech, in one call of the model.

A greedy text that the model itself doubts is searched again with several alternatives. Beside it the same
speech is read a second time: with less noise where the audio has steady noise, else a little later in the
window. The text of the second reading is used if the model is surer of it. With less noise there is also
less speech, so it is not always the better one; and of unclear speech a small model reads other words when
the speech stands elsewhere in the window. Figures: docs/explanation/noise.md, docs/explanation/windows.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from host_stt.contract import SAMPLE_RATE
from host_stt.engines.options import WhisperOptions
from host_stt.engines.rows import FRAME_SAMPLES, SHORT_SOUND_SAMPLES, Row
from host_stt.guards import DecodeResult, is_rejected
from host_stt.noise import signal_to_noise_db, with_less_noise

NOISY_DB = 20.0
"""Audio whose level is less than this over its steady noise is noisy. Clean recordings have 20 to 50 dB, a
radio with audible hiss 15 to 18, one that is hard to understand under 10.
"""
LATER_SAMPLES = SAMPLE_RATE // 5
"""How much later in the window the speech of a second reading stands."""
BEHIND_SAMPLES = SAMPLE_RATE
"""Silence that must stay behind it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Rows of one group, their encoded audio, and the outputs of the model, in one order."""

    rows: list[Row]
    encoded: Any
    outputs: list[Any]


class Decoder(Protocol):
    """The calls of the model that a further search needs. See `RowDecoder`."""

    def encode(self, rows: list[Row]) -> Any: ...

    def generate(self, rows: list[Row], languages: list[str], encoded: Any) -> list[Any]: ...

    def result_of(self, row: Row, language: str, output: Any) -> DecodeResult: ...

    def rows_of(self, encoded: Any, indices: list[int], count: int) -> Any: ...

    def joined(self, first: Any, second: Any) -> Any: ...


class UnsureFinals:
    """Searches the unsure finals of a group again."""

    def __init__(self, decoder: Decoder, options: WhisperOptions) -> None:
        self._decoder = decoder
        self._options = options

    def searched_again(self, first: Attempt, languages: Sequence[str]) -> Attempt:
        """The attempt, its unsure finals replaced. languages: one per row."""
        if self._options.tokens_per_s is not None:
            return first
        logprobs = {
            k: self._logprob(row, languages[k], first.outputs[k])
            for k, row in enumerate(first.rows)
            if row.may_search_again
        }
        wider = [k for k, value in logprobs.items() if self._needs_wider_search(first.rows[k], value)]
        second = {k: row for k, value in logprobs.items() if (row := self._second(first.rows[k], value))}
        if not wider and not second:
            return first
        count = len(first.rows)
        encoded = first.encoded
        if second:
            encoded = self._decoder.joined(encoded, self._decoder.encode(list(second.values())))
        # Of each text: its row here, and the number of its audio in `encoded`.
        asked = [*wider, *second]
        sources = [*wider, *range(count, count + len(second))]
        total = count + len(second)
        outputs = self._decoder.generate(
            [self._searched(row) for row in (*(first.rows[k] for k in wider), *second.values())],
            [languages[k] for k in asked],
            self._decoder.rows_of(encoded, sources, total),
        )
        rows, texts, audio = list(first.rows), list(first.outputs), list(range(count))
        for k, source, output in zip(asked, sources, outputs, strict=True):
            if source < count:
                texts[k] = output
            elif self._is_surer(second[k], output, rows[k], texts[k], languages[k]):
                rows[k], texts[k], audio[k] = second[k], output, source
        if audio == list(range(count)):
            return Attempt(rows, first.encoded, texts)
        return Attempt(rows, self._decoder.rows_of(encoded, audio, total), texts)

    def _needs_wider_search(self, row: Row, logprob: float) -> bool:
        # Rows of a group have one beam size. One that is as wide already would give the same text again.
        return logprob < self._options.unsure_logprob and self._beam_size(row) > row.plan.beam_size

    def _is_surer(self, row: Row, output: Any, other: Row, other_output: Any, language: str) -> bool:
        return self._rank(row, language, output) > self._rank(other, language, other_output)

    def _rank(self, row: Row, language: str, output: Any) -> tuple[bool, float]:
        """Of two texts that with the higher rank is used."""
        result = self._decoder.result_of(row, language, output)
        # A model is very sure of a text that it repeats, but this one would be decoded again.
        return not is_rejected(result), result.avg_logprob

    def _beam_size(self, row: Row) -> int:
        return max(row.plan.beam_size, self._options.beam_size_unsure)

    def _searched(self, row: Row) -> Row:
        return replace(row, plan=replace(row.plan, beam_size=self._beam_size(row)))

    def _second(self, row: Row, logprob: float) -> Row | None:
        """The row for a second reading; None if the model is sure of its text."""
        return self._cleaned(row, logprob) or self._later(row, logprob)

    def _cleaned(self, row: Row, logprob: float) -> Row | None:
        """The row with less noise; None if the model is sure of its text, or its audio is not noisy."""
        if not self._options.noise_reduction or logprob >= self._options.noisy_logprob:
            return None
        if signal_to_noise_db(row.samples) >= NOISY_DB:
            return None
        return replace(row, samples=with_less_noise(row.samples), has_less_noise=True)

    def _later(self, row: Row, logprob: float) -> Row | None:
        """The row behind a little silence; None if the model is rather sure, or there is no room for it.

        The window begins earlier by as much, so that the times of the words are right. A short sound is read
        once: of two texts for a cough or a sneeze the surer one would be believed.
        """
        window = row.window
        is_short = len(row.samples) < SHORT_SOUND_SAMPLES
        is_doubtful = logprob < self._options.doubtful_logprob and not (window.is_joined or is_short)
        needed = LATER_SAMPLES + len(row.samples) + BEHIND_SAMPLES
        has_room = needed <= row.frames * FRAME_SAMPLES and window.start_sample >= LATER_SAMPLES
        if not (self._options.second_reading and is_doubtful and has_room):
            return None
        samples = np.pad(row.samples, (LATER_SAMPLES, 0))
        later = replace(window, samples=samples, start_sample=window.start_sample - LATER_SAMPLES)
        return replace(row, window=later, samples=samples)

    def _logprob(self, row: Row, language: str, output: Any) -> float:
        return self._decoder.result_of(row, language, output).avg_logprob
