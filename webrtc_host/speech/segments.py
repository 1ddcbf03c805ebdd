"""Segments: cutting a row of final words into lines with useful timecodes.

Pure. Invariant: segments of a channel neither overlap nor go back, and lie inside the bounds they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from host_stt.contract import Word
from webrtc_host.seams import SAMPLES_PER_MS

SENTENCE_ENDS = ".?!。？！…"
CLOSERS = "\"'”’»)」』"
REACH_SAMPLES = 250 * SAMPLES_PER_MS
"""What lies farther behind the last word is some other sound, which no word shall cover."""


@dataclass(frozen=True, slots=True)
class SegmentsConfig:
    pause_ms: int = 800  # a longer silence between two words begins a new line
    sentence_ms_min: int = 1500  # a sentence end begins a new line once the line is this long

    def __post_init__(self) -> None:
        for name in ("pause_ms", "sentence_ms_min"):
            value = getattr(self, name)
            if not 100 <= value <= 30_000:
                raise ValueError(f"{name} is {value}; it lies between 100 and 30000")


def split(words: Sequence[Word], config: SegmentsConfig) -> list[list[Word]]:
    """The words in lines, broken at pauses and at sentence ends."""
    lines: list[list[Word]] = []
    for word in words:
        if lines and not _breaks(lines[-1], word, config):
            lines[-1].append(word)
        else:
            lines.append([word])
    return lines


def _breaks(line: Sequence[Word], word: Word, config: SegmentsConfig) -> bool:
    last = line[-1]
    if not word.leading_space and not last.text.endswith(tuple(SENTENCE_ENDS)):
        return False
    if word.start_sample - last.end_sample > config.pause_ms * SAMPLES_PER_MS:
        return True
    is_sentence = last.text.rstrip(CLOSERS).endswith(tuple(SENTENCE_ENDS))
    return is_sentence and last.end_sample - line[0].start_sample >= config.sentence_ms_min * SAMPLES_PER_MS


def in_order(words: Sequence[Word], first_sample: int, last_sample: int) -> list[Word]:
    """The words with their times inside [first_sample, last_sample], none before the one in front of it."""
    timed: list[Word] = []
    floor = first_sample
    for word in words:
        start = min(max(word.start_sample, floor), last_sample)
        end = min(max(word.end_sample, start), last_sample)
        timed.append(replace(word, start_sample=start, end_sample=end))
        floor = start
    return _not_overlapping(timed)


def to_the_end(words: Sequence[Word], last_sample: int) -> list[Word]:
    """The words of an utterance's end, the last one reaching to where speech ended, if it nearly does.

    last_sample: where the detector says that speech ended. It is right to 46 ms (p95 of 48 phrases of the
    load test, 2026-11-27), while the model's attention leaves a last syllable early by up to 180 ms.
    """
    *before, last = words
    is_near = 0 < last_sample - last.end_sample <= REACH_SAMPLES
    return [*before, replace(last, end_sample=last_sample) if is_near else last]


def _not_overlapping(words: list[Word]) -> list[Word]:
    """Where a word runs into the next, it ends where that one begins."""
    cut = [
        replace(a, end_sample=max(a.start_sample, min(a.end_sample, b.start_sample)))
        for a, b in zip(words, words[1:], strict=False)
    ]
    return [*cut, *words[-1:]]
