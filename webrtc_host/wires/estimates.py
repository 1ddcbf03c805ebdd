"""Values that some protocols ask for and the engine does not give: the server estimates them. Pure."""

from __future__ import annotations

from webrtc_host.events import TimedWord

UNKNOWN_CONFIDENCE = 0.5
"""Of a word whose probability is not known, as in interims."""
CONFIDENCE = ((0, 0.05), (200, 0.3), (500, 0.7), (1500, 0.9), (3000, 0.99))
"""Silence after speech in milliseconds -> confidence that the turn has ended; linear between the points.

500 ms is the server's default hangover, and 0.7 is Deepgram's default threshold.
"""


def confidence_of(silence_ms: int) -> float:
    """How sure it is, 0 to 1, that a turn has ended after so much silence. Never falls as silence grows."""
    before = CONFIDENCE[0]
    for point in CONFIDENCE[1:]:
        if silence_ms < point[0]:
            part = max(0, silence_ms - before[0]) / (point[0] - before[0])
            return round(before[1] + part * (point[1] - before[1]), 3)
        before = point
    return before[1]


def spread(text: str, start_ms: int, end_ms: int) -> tuple[TimedWord, ...]:
    """The words of a text whose times are not known: spread over the range by their lengths."""
    texts = text.split()
    letters = sum(len(one) for one in texts)
    length, at, words = max(0, end_ms - start_ms), 0, []
    for one in texts:
        first = start_ms + length * at // letters
        at += len(one)
        words.append(TimedWord(one, first, start_ms + length * at // letters))
    return tuple(words)
