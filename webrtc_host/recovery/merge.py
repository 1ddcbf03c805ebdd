"""The merge rule for past audio: which words of a new result are new, and which are in the record already.

Pure. All jobs use this one rule: a gap that a client fills, a feed that a crash cut off, a window that
failed. A *known* word is a word of a final in the record. The rule has three parts, applied in this order:

1. A word that repeats a known word is known (`_repeats`).
2. A word whose middle lies in open time is new. Time is open when the job is for it and no final covers it.
3. A word at the edge of open time is new when the result also repeats the nearest known word on the other
   side of that edge (`_is_at_edge`).

Why not by time alone: two results give the same word times that differ by up to 200 ms, so a word near the
edge of a gap can lie on either side. Why not by text alone: people repeat words ("hold, hold").
Invariant: a word that the record has is not published again; a word of open time is published.
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
"""A word in open time repeats a known word only if they are this close: people do not say a word again so
soon. Two results give one word times that differ by up to about 200 ms, or by the part that an edge cut off.
"""
PAUSE_SAMPLES = 400 * SAMPLES_PER_MS
"""A pause this short between two finals is too short for a word, so it counts as covered."""


def open_time(ranges: Iterable[Range], lines: Sequence[KnownLine], missing: Iterable[Range] = ()) -> RangeSet:
    """The time in which a new word may lie: the ranges of the job, without the time that finals cover.

    missing: time without live audio. A live final can span it, because the words on both sides of a short gap
    can be one line. But the final has no word from that time, so it does not cover it.
    """
    # The order of these three steps matters: missing time is taken out of what live finals cover, but not out
    # of what finals of past audio cover, because those can have words from it.
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
    """The transcript with its new words alone.

    Known words are removed before the windows are merged. Then the text, the lines and their times are made
    from the new words in the same way as for live audio.
    """
    words = words_of(transcript)
    # By identity: two words can be equal in text and times, and only one of them new.
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
    """words: the result of one window, in order. lines: the finals around it. open_: see `open_time`."""
    known = _near(words, lines)
    repeats = _repeats(known, words, open_, window_start_sample)
    return [
        word
        for at, word in enumerate(words)
        if at not in repeats and (_holds(open_, word) or _is_at_edge(words, at, known, repeats, open_))
    ]


def _near(words: Sequence[Word], lines: Sequence[KnownLine]) -> list[Word]:
    """The known words within a second of the result, in order of time."""
    if not words:
        return []
    low, high = words[0].start_sample - NEAR_SAMPLES, words[-1].end_sample + NEAR_SAMPLES
    near = [w for line in lines for w in line.words if w.end_sample > low and w.start_sample < high]
    return sorted(near, key=mid_sample)


def _repeats(
    known: Sequence[Word], words: Sequence[Word], open_: RangeSet, window_start_sample: int
) -> dict[int, int]:
    """Indices of the words that repeat a known word, each with the index of that word.

    Words are paired in order, by text and by time, and each known word at most once: when one word of
    "hold hold" is known, the other one is new.
    """
    if not known or not words:
        return {}
    columns, _ = align(known, words, Overlap(window_start_sample, known[-1].end_sample))
    known_keys, keys = keys_of(known), keys_of(words)
    # In open time a wrong pair loses a word, so there the two must be close. Outside of it the word is not
    # published in any case, so every pair counts, and shows `_is_at_edge` where the result stands.
    return {
        j: i
        for i, j in columns
        if i is not None
        and j is not None
        and similarity(known_keys[i], keys[j]) >= ALIKE
        and (_apart(known[i], words[j]) <= SAME_SAMPLES or not _holds(open_, words[j]))
    }


def _apart(one: Word, other: Word) -> int:
    """Samples between two words, at the end where they agree better.

    The edge of a gap can cut a word off, and then only the other end of the word has the right time.
    """
    return min(
        abs(one.start_sample - other.start_sample),
        abs(one.end_sample - other.end_sample),
        abs(mid_sample(one) - mid_sample(other)),
    )


def _is_at_edge(
    words: Sequence[Word], at: int, known: Sequence[Word], repeats: Mapping[int, int], open_: RangeSet
) -> bool:
    """True for a word between open time and the nearest known word beside it, in the order of the result.

    The middle of such a word lies in time that finals cover. But its place in the result shows that the
    record does not have it: the edge of a gap cut the word and the engine did not recognise the rest, or the
    times of the two results differ by more than half a word.
    """
    # The result must also have the nearest known word. Otherwise that known word and this one may be the same
    # word, recognised in two ways, and it would be published twice.
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
