"""Segments: cuts a list of final words into lines with useful times.

Pure. Invariant: the segments of a channel are in order, do not overlap, and lie inside the given bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from host_stt.contract import Word
from webrtc_host.seams import SAMPLES_PER_MS

SENTENCE_ENDS = ".?!。？！…"
CLOSERS = "\"'”’»)」』"
REACH_SAMPLES = 250 * SAMPLES_PER_MS
"""A longer rest after the last word is another sound; the last word is not extended over it."""


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
    """The words in lines, cut at pauses and at ends of sentences."""
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
    return (
        ends_sentence(last)
        and last.end_sample - line[0].start_sample >= config.sentence_ms_min * SAMPLES_PER_MS
    )


def ends_sentence(word: Word) -> bool:
    """Whether the word ends with a full stop, a question mark or the like."""
    return word.text.rstrip(CLOSERS).endswith(tuple(SENTENCE_ENDS))


def in_order(words: Sequence[Word], first_sample: int, last_sample: int) -> list[Word]:
    """The words with times inside [first_sample, last_sample]; no word starts before the one before it."""
    timed: list[Word] = []
    floor = first_sample
    for word in words:
        start = min(max(word.start_sample, floor), last_sample)
        end = min(max(word.end_sample, start), last_sample)
        timed.append(replace(word, start_sample=start, end_sample=end))
        floor = start
    return _not_overlapping(timed)


def to_the_end(words: Sequence[Word], last_sample: int) -> list[Word]:
    """The last words of an utterance, the very last one extended to the end of speech when it is near.

    last_sample: the end of speech by the speech detector, right to 46 ms (p95 of 48 phrases of the load test,
    2026-11-27). The model's alignment ends a last syllable up to 180 ms early.
    """
    *before, last = words
    is_near = 0 < last_sample - last.end_sample <= REACH_SAMPLES
    return [*before, replace(last, end_sample=last_sample) if is_near else last]


def _not_overlapping(words: list[Word]) -> list[Word]:
    """Where a word overlaps the next one, it ends at the start of the next one."""
    cut = [
        replace(a, end_sample=max(a.start_sample, min(a.end_sample, b.start_sample)))
        for a, b in zip(words, words[1:], strict=False)
    ]
    return [*cut, *words[-1:]]
