"""Compare a new text with the text that the caller has: which one is likelier for the same audio?

The log probabilities of two decodes do not compare: one of them may have had timestamps, another padded
length or a wider search. So the model scores both texts for the same encoded audio, in the short form where
the audio fits: it costs a fifth of 30 s, and is the form with fewer loops.
"""

from __future__ import annotations

from dataclasses import replace

from host_stt.engines.row_decoder import RowDecoder
from host_stt.engines.rows import Decoded, Plan, short_frames
from host_stt.guards import has_letters

TOKENS_MAX = 400
"""Of a text that is compared; Whisper has 448 positions."""


class TextComparison:
    """Gives the gain of accepted outputs. Called from the engine's thread."""

    def __init__(self, decoder: RowDecoder) -> None:
        self._decoder = decoder

    def gain(self, decoded: Decoded) -> float | None:
        """By how much the average log probability of a token is higher than in the window's `known_text`.

        None: there is nothing to compare.
        """
        texts = [decoded.result.text, decoded.row.window.known_text]
        lengths = [self._decoder.token_count(decoded.language, text) for text in texts]
        if not all(map(has_letters, texts)) or max(lengths) > TOKENS_MAX:
            return None
        frames = short_frames(len(decoded.row.samples))
        row = replace(decoded.row, frames=frames, previous=(), plan=Plan(1, is_last=True))
        encoded = self._decoder.encode([row])
        scores = self._decoder.log_probabilities(row, decoded.language, encoded, 0, 1, texts)
        # The end of the text counts as a token, as in Whisper's own average.
        new, known = (score / (length + 1) for score, length in zip(scores, lengths, strict=True))
        return new - known
