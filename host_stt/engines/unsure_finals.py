"""Unsure finals: a wider search, and a second look at noisy audio with less noise, in one call of the model.

A greedy text that the model itself doubts is searched again with several alternatives. Where the audio has
steady noise, the same audio with less noise is searched beside it, unless the model is quite sure of its
text. The text with less noise is used if the model is surer of it: on audio that the model understands
anyway, less noise is also less speech. Figures: docs/explanation/noise.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from host_stt.engines.options import WhisperOptions
from host_stt.engines.rows import Row
from host_stt.guards import DecodeResult, is_rejected
from host_stt.noise import signal_to_noise_db, with_less_noise

NOISY_DB = 20.0
"""Audio whose level is less than this over its steady noise is noisy. Clean recordings have 20 to 50 dB, a
radio with audible hiss 15 to 18, one that is hard to understand under 10.
"""


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
        cleaned = {k: row for k, value in logprobs.items() if (row := self._cleaned(first.rows[k], value))}
        if not wider and not cleaned:
            return first
        count = len(first.rows)
        encoded = first.encoded
        if cleaned:
            encoded = self._decoder.joined(encoded, self._decoder.encode(list(cleaned.values())))
        # Of each text: its row here, and the number of its audio in `encoded`.
        asked = [*wider, *cleaned]
        sources = [*wider, *range(count, count + len(cleaned))]
        total = count + len(cleaned)
        outputs = self._decoder.generate(
            [self._searched(row) for row in (*(first.rows[k] for k in wider), *cleaned.values())],
            [languages[k] for k in asked],
            self._decoder.rows_of(encoded, sources, total),
        )
        rows, texts, audio = list(first.rows), list(first.outputs), list(range(count))
        for k, source, output in zip(asked, sources, outputs, strict=True):
            if source < count:
                texts[k] = output
            elif self._is_surer(cleaned[k], output, rows[k], texts[k], languages[k]):
                rows[k], texts[k], audio[k] = cleaned[k], output, source
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

    def _cleaned(self, row: Row, logprob: float) -> Row | None:
        """The row with less noise; None if the model is sure of its text, or its audio is not noisy."""
        if not self._options.noise_reduction or logprob >= self._options.noisy_logprob:
            return None
        if signal_to_noise_db(row.samples) >= NOISY_DB:
            return None
        return replace(row, samples=with_less_noise(row.samples), has_less_noise=True)

    def _logprob(self, row: Row, language: str, output: Any) -> float:
        return self._decoder.result_of(row, language, output).avg_logprob
