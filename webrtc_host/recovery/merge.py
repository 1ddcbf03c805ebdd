"""The merge rule for audio that is read later: which words of a new reading are new, and which are known.

Pure. Every source of work uses this one rule: a gap that a client fills, a feed that a crash cut off, a
window that failed. The rule has three parts, tried in this order:

1. A word that repeats a known word is known (`_repeats`).
2. A word whose middle lies in open time is new. Time is open when the job is for it and no final covers it.
3. A word at the edge of open time is new when the nearest known word on the other side was read again
   (`_is_at_edge`).

Invariant: a word that the record has is not given again; a word of open time is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from host_stt.contract import Segment, Transcript, Word
from webrtc_host.media.ranges import RangeSet
from webrtc_host.recovery.known import NEAR_SAMPLES, KnownLine, Range
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.joining import Overlap, align
from webrtc_host.speech.words import ALIKE, keys_of, mid_sample, similarity, text_of, words_of

SAME_SAMPLES = 400 * SAMPLES_PER_MS
"""A word in open time repeats a known word only if they are this close: no one says a word again so fast. Two
readings of one word differ by up to about 200 ms, or by the part that an edge cut off.
"""
PAUSE_SAMPLES = 400 * SAMPLES_PER_MS
"""A pause this short between two finals holds no word of its own."""


def open_time(ranges: Iterable[Range], lines: Sequence[KnownLine], missing: Iterable[Range] = ()) -> RangeSet:
    """The time for which a new word may be given: the ranges without what finals cover.

    missing: time of which no live audio came. A live final can span it, because the words on both sides of a
    short gap can be one line. But it has no word from there, so it covers nothing of it.
    """
    covered = RangeSet()
    _cover(covered, [line for line in lines if line.is_live])
    for start, end in missing:
        covered.remove(start, end)
    _cover(covered, [line for line in lines if not line.is_live])
    found = RangeSet()
    for start, end in ranges:
        for low, high in covered.gaps(start, end):
            found.add(low, high)
    return found


def _cover(covered: RangeSet, lines: Sequence[KnownLine]) -> None:
    end_before: int | None = None
    for line in sorted(lines, key=lambda one: one.start_sample):
        is_near = end_before is not None and 0 < line.start_sample - end_before < PAUSE_SAMPLES
        covered.add(end_before if is_near and end_before is not None else line.start_sample, line.end_sample)
        end_before = line.end_sample if end_before is None else max(end_before, line.end_sample)


def without_known(
    transcript: Transcript, lines: Sequence[KnownLine], open_: RangeSet, window_start_sample: int
) -> Transcript:
    """The transcript with its new words alone. It is cut before windows are merged, so that the text, the
    lines and their times are made from the new words as for live audio.
    """
    words = words_of(transcript)
    new = set(map(id, new_words(words, lines, open_, window_start_sample)))
    if len(new) == len(words):
        return transcript
    segments: list[Segment] = []
    for segment in transcript.segments:
        own = [w for w in (segment.words or words) if id(w) in new and _is_in(w, segment)]
        if own:
            segments.append(replace(segment, words=tuple(own), text=text_of(own)))
    return replace(transcript, segments=tuple(segments))


def _is_in(word: Word, segment: Segment) -> bool:
    """A segment without words of its own has the words of its time."""
    return bool(segment.words) or segment.start_sample <= mid_sample(word) <= segment.end_sample


def new_words(
    words: Sequence[Word], lines: Sequence[KnownLine], open_: RangeSet, window_start_sample: int
) -> list[Word]:
    """words: one window's reading, in order. lines: the finals around it. open_: see `open_time`."""
    known = _near(words, lines)
    repeats = _repeats(known, words, open_, window_start_sample)
    return [
        word
        for at, word in enumerate(words)
        if at not in repeats and (_holds(open_, word) or _is_at_edge(words, at, known, repeats, open_))
    ]


def _near(words: Sequence[Word], lines: Sequence[KnownLine]) -> list[Word]:
    """The known words that lie beside the reading, in order of time."""
    if not words:
        return []
    low, high = words[0].start_sample - NEAR_SAMPLES, words[-1].end_sample + NEAR_SAMPLES
    near = [w for line in lines for w in line.words if w.end_sample > low and w.start_sample < high]
    return sorted(near, key=mid_sample)


def _repeats(
    known: Sequence[Word], words: Sequence[Word], open_: RangeSet, window_start_sample: int
) -> dict[int, int]:
    """Indices of the words that repeat a known word, each with the index of that word.

    Words are paired in order, by text and by time, not each with its nearest: "hold hold" of which one word
    is known gives one pair and one new word. Outside of open time every pair counts, also one whose times
    differ much: such a word is not given in any case, and it shows where the reading stands
    (`_is_at_edge`). In open time a word is lost if the pair is wrong, so there a pair must be close.
    """
    if not known or not words:
        return {}
    columns, _ = align(known, words, Overlap(window_start_sample, known[-1].end_sample))
    known_keys, keys = keys_of(known), keys_of(words)
    return {
        j: i
        for i, j in columns
        if i is not None
        and j is not None
        and similarity(known_keys[i], keys[j]) >= ALIKE
        and (_apart(known[i], words[j]) <= SAME_SAMPLES or not _holds(open_, words[j]))
    }


def _apart(one: Word, other: Word) -> int:
    """At the end where they agree better: a word that an edge cut has one right end."""
    return min(
        abs(one.start_sample - other.start_sample),
        abs(one.end_sample - other.end_sample),
        abs(mid_sample(one) - mid_sample(other)),
    )


def _is_at_edge(
    words: Sequence[Word], at: int, known: Sequence[Word], repeats: Mapping[int, int], open_: RangeSet
) -> bool:
    """True for a word between open time and the nearest known word beside it, in the order of the reading.

    The middle of such a word lies in time that counts as known. But its place in the reading says that the
    record does not have it: a gap's edge cut the word and its rest was not understood, or the times of the
    two readings differ by more than half a word. The nearest known word must have been read again.
    Otherwise a known word may stand for this one, understood differently.
    """
    middle = mid_sample(words[at])
    before = max((j for j in repeats if j < at), default=None)
    after = min((j for j in repeats if j > at), default=None)
    starts = [start for start, _ in open_ if start > middle]
    ends = [end for _, end in open_ if end <= middle]
    if before is not None and starts:
        last = max((i for i, word in enumerate(known) if mid_sample(word) < starts[0]), default=None)
        if repeats[before] == last:
            return True
    if after is not None and ends:
        first = min((i for i, word in enumerate(known) if mid_sample(word) >= ends[-1]), default=None)
        return repeats[after] == first
    return False


def _holds(open_: RangeSet, word: Word) -> bool:
    middle = mid_sample(word)
    return open_.overlap(middle, middle + 1) is not None
