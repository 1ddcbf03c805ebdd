"""Compare a new text with the text that the caller has: which one is likelier for the same audio?

The log probabilities of two decodes do not compare: one of them may have had timestamps, another padded
length or a wider search. So the model scores both texts for the same encoded audio, in the short form where
the audio fits: it costs a fifth of 30 s, and is the form with fewer loops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from host_stt.engines.row_decoder import RowDecoder
from host_stt.engines.rows import Decoded, Plan, Row, padded_frames
from host_stt.guards import has_letters
from host_stt.window_forms import WindowForm

TOKENS_MAX = 400
"""Of a text that is compared; Whisper has 448 positions."""


@dataclass(frozen=True, slots=True)
class _KnownText:
    """A text that the caller has, scored for its audio."""

    row: Row
    language: str
    encoded: Any
    average: float

    def is_of(self, decoded: Decoded) -> bool:
        row = decoded.row
        return (
            decoded.language == self.language
            and row.window.known_text == self.row.window.known_text
            and np.array_equal(row.samples, self.row.samples)
        )


class TextComparison:
    """Gives the gain of accepted outputs. Called from the engine's thread.

    The audio of the last comparison stays encoded (3 MB with the model base). A review decodes the same audio
    in two ways, one after the other; the second way needs neither that encoding nor the known text's score.
    """

    def __init__(self, decoder: RowDecoder) -> None:
        self._decoder = decoder
        self._known: _KnownText | None = None

    def gain(self, decoded: Decoded) -> float | None:
        """By how much the average log probability of a token is higher than in the window's `known_text`.

        None: there is nothing to compare.
        """
        texts = decoded.result.text, decoded.row.window.known_text
        if not all(map(has_letters, texts)) or max(map(partial(self._length, decoded), texts)) > TOKENS_MAX:
            return None
        if texts[0] == texts[1]:
            return 0.0
        if self._known is None or not self._known.is_of(decoded):
            self._known = self._scored(decoded)
        return self._average(self._known.row, self._known.encoded, decoded, texts[0]) - self._known.average

    def _scored(self, decoded: Decoded) -> _KnownText:
        frames = padded_frames(WindowForm.SHORT, len(decoded.row.samples), is_final=True)
        row = replace(decoded.row, frames=frames, previous=(), plan=Plan(1, is_last=True))
        encoded = self._decoder.encode([row])
        average = self._average(row, encoded, decoded, row.window.known_text)
        return _KnownText(row, decoded.language, encoded, average)

    def _average(self, row: Row, encoded: Any, decoded: Decoded, text: str) -> float:
        """The average log probability of a token. The end of the text counts, as in Whisper's own average."""
        [score] = self._decoder.log_probabilities(row, decoded.language, encoded, 0, 1, [text])
        return score / (self._length(decoded, text) + 1)

    def _length(self, decoded: Decoded, text: str) -> int:
        return self._decoder.token_count(decoded.language, text)
