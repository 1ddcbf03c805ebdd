"""Closing words: words such as "over" that end a transmission, so that the hangover need not be waited for.

Pure. `window_requests.py` checks the text of early finals; `endpointing.py` ends the utterance.
"""

from __future__ import annotations

from collections.abc import Iterable

from host_stt.contract import Transcript
from host_stt_common.likeness import normalised


class ClosingWords:
    """phrases: a word or several words each ("over", "over and out"). Without phrases, no text matches."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = [words for phrase in phrases if (words := _words_of(phrase))]

    def end(self, transcript: Transcript) -> bool:
        """Whether the text ends with one of the phrases. Case and punctuation do not matter."""
        words = _words_of(" ".join(segment.text for segment in transcript.segments))
        return any(words[-len(phrase) :] == phrase for phrase in self._phrases)


def _words_of(text: str) -> list[str]:
    return [word for word in map(normalised, text.split()) if word]
