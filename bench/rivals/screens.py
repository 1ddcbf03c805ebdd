"""The text on a channel's screen over time, and when each utterance was on it.

Pure. Servers use "final" in different ways, and their segments may have several utterances or half of one. So
their timestamps are not used: the words on the screen are aligned with the spoken words. Times are
milliseconds on the load's own clock, which starts at the first frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from bench.speech.normalise import Normalise
from host_stt_cli.loadtest import measures
from host_stt_cli.loadtest.measures import Point, Spoken

LOST_BELOW = 0.5
"""An utterance counts as lost if fewer words than this share were ever on the screen."""


@dataclass(frozen=True, slots=True)
class Screen:
    """All text of one channel from `at_ms` on."""

    at_ms: float
    final: str  # what the server calls final, completed or committed
    tentative: str = ""  # what may still change, after it


@dataclass(frozen=True, slots=True)
class UtteranceTimes:
    """The times of one utterance; None for a time that did not occur."""

    spoken: Spoken
    first_ms: float | None  # its first word, tentative or final
    last_ms: float | None  # the last of its words that appeared, tentative or final
    final_ms: float | None  # the same, in final text
    words: int  # number of its words on the last screen
    of: int

    @property
    def is_lost(self) -> bool:
        return self.words < self.of * LOST_BELOW


def utterance_times(spoken: Sequence[Spoken], screens: Sequence[Screen]) -> list[UtteranceTimes]:
    """The results of one channel. spoken and screens are in order of time."""
    every = _Course([(s.at_ms, f"{s.final} {s.tentative}") for s in screens], spoken)
    final = _Course([(s.at_ms, s.final) for s in screens], spoken)
    return [
        UtteranceTimes(
            one,
            every.first_ms(number, 1),
            every.first_ms(number, every.last[number]),
            final.first_ms(number, final.last[number]),
            every.last[number],
            len(measures.plain(one.text).split()),
        )
        for number, one in enumerate(spoken)
    ]


class _Course:
    """The number of words of each utterance on the screen, at each change of the text."""

    def __init__(self, texts: Sequence[tuple[float, str]], spoken: Sequence[Spoken]) -> None:
        self._steps: list[tuple[float, list[int]]] = []
        before: list[str] = []
        for at_ms, text in texts:
            words = measures.plain(text).split()
            if words != before:
                self._steps.append((at_ms, _words_there(words, spoken, at_ms)))
                before = words
        self.last = self._steps[-1][1] if self._steps else [0] * len(spoken)

    def first_ms(self, number: int, words: int) -> float | None:
        """When this many words of the utterance were on the screen for the first time."""
        if not words:
            return None
        return next((at_ms for at_ms, counts in self._steps if counts[number] >= words), None)


def _words_there(words: Sequence[str], spoken: Sequence[Spoken], at_ms: float) -> list[int]:
    """Words of each utterance that has begun. The longest common sequences are matched first."""
    said = [
        (number, word)
        for number, one in enumerate(spoken)
        if one.start_ms <= at_ms
        for word in measures.plain(one.text).split()
    ]
    counts = [0] * len(spoken)
    matcher = SequenceMatcher(None, [word for _, word in said], list(words), autojunk=False)
    for block in matcher.get_matching_blocks():
        for number, _ in said[block.a : block.a + block.size]:
            counts[number] += 1
    return counts


def figures(
    all_times: Sequence[UtteranceTimes],
    shown: Sequence[tuple[str, str]],
    language: str,
    normalise: Normalise = measures.plain,
) -> dict[str, Any]:
    """The measures of a case. shown: (spoken text, text at the end) of each channel.

    normalise: brings both into the compared form, so that 25 is the same as twenty five.
    """
    last = [Point(t.spoken.end_ms, t.last_ms - t.spoken.end_ms) for t in all_times if t.last_ms is not None]
    growth = measures.growth_per_hour(last)
    return {
        "utterances": len(all_times),
        "lost": sum(one.is_lost for one in all_times),
        "first_text_ms": measures.percentiles(
            [t.first_ms - t.spoken.start_ms for t in all_times if t.first_ms is not None]
        ),
        "last_word_ms": measures.percentiles([point.value for point in last]),
        "final_ms": measures.percentiles(
            [t.final_ms - t.spoken.end_ms for t in all_times if t.final_ms is not None]
        ),
        "growth_s_per_minute": {
            key: value if key == "n" else round(value / 60_000, 3) for key, value in growth.items()
        },
        "accuracy": measures.error_rate(
            [(normalise(said), normalise(text)) for said, text in shown], language
        ),
    }
