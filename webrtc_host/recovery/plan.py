"""Plans: which time of a channel a job reads, and which of its windows need no engine.

Pure. There are three kinds of jobs: a feed that a crash cut off, an utterance whose window failed, and gaps
that a client fills. Each gets a `Plan`, made from what the record has (`recovery.known`) and from the end of
the archived audio. Invariant: all time that may have speech without text is in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from host_stt.contract import SAMPLE_RATE
from webrtc_host.media.ranges import RangeSet
from webrtc_host.recovery.known import NEAR_SAMPLES, Known, KnownUtterance, Range
from webrtc_host.seams import SAMPLES_PER_MS

LEAD_MS = 600
"""Read before an utterance, so that its speech begins after silence, as it did the first time."""
TAIL_MS = 15_000
"""So much audio may have waited for speech detection at the crash: 10 s by default, and some spare time."""
AROUND_SAMPLES = SAMPLE_RATE
"""Read before and after a gap. The edge of the gap can cut a word off, and this is longer than a word."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one job reads, and what is known there.

    ranges: text and coverage are written for this time alone. Sorted; they do not overlap.
    around: samples before and after each range that are read too, so that a word at its edge is whole.
    missing: time of which no live audio came (see `merge.open_time`).
    complete: an utterance inside one of these has all its text; its windows need no engine.
    announced: utterances that were announced to watchers, and that the job can find again.
    closes_utterances: an announced utterance without an end is ended when the job does not find it.
    """

    ranges: tuple[Range, ...]
    known: Known
    around: int = 0
    missing: tuple[Range, ...] = ()
    complete: tuple[Range, ...] = ()
    announced: tuple[KnownUtterance, ...] = ()
    closes_utterances: bool = True

    @property
    def is_empty(self) -> bool:
        return all(start >= end for start, end in self.ranges)

    @property
    def samples(self) -> int:
        return sum(max(0, end - start) for start, end in self.ranges)

    @property
    def end_sample(self) -> int:
        return self.ranges[-1].end_sample

    def audio(self) -> list[Range]:
        """The time whose audio is read: the ranges and what lies around them."""
        wanted = RangeSet()
        for start, end in self.ranges:
            wanted.add(max(0, start - self.around), end + self.around)
        return [Range(start, end) for start, end in wanted]

    def text_ranges(self) -> list[Range]:
        """The time in which a new word may lie.

        When no audio around a range is read, every word of the result was said in the range. Its times can
        still lie outside by some hundred milliseconds. This is usual for a last word that the crash cut off.
        """
        if self.around:
            return list(self.ranges)
        return [Range(max(0, start - NEAR_SAMPLES), end + NEAR_SAMPLES) for start, end in self.ranges]

    def holds(self, sample: int) -> bool:
        return any(start <= sample < end for start, end in self.ranges)

    def inside(self, start_sample: int, end_sample: int) -> Range | None:
        """From the first to the last moment of [start_sample, end_sample) that lies in a range."""
        parts = [(a, b) for a, b in self.ranges if a < end_sample and start_sample < b]
        if not parts:
            return None
        return Range(max(parts[0][0], start_sample), min(parts[-1][1], end_sample))

    def is_complete(self, start_sample: int, end_sample: int) -> bool:
        """True for a window of an utterance that has all its text: no engine is needed."""
        return any(start <= start_sample and end_sample <= end for start, end in self.complete)


def plan_of_feed(known: Known, end_sample: int, tail_ms: int = TAIL_MS, gaps: Sequence[Range] = ()) -> Plan:
    """For a feed that a crash cut off.

    end_sample: end of this feed's archived audio. tail_ms: so much audio at the end may not have been through
    speech detection. gaps: time that other jobs read; utterances inside it are left to those jobs.
    """
    known = replace(known, utterances=tuple(u for u in known.utterances if not _is_inside(u, gaps)))
    unfinished = {u.id for u in known.utterances if not u.is_complete(known.covered_to_ms)}
    start = _start_of_feed(known, end_sample, tail_ms, unfinished)
    return Plan(
        (Range(start, end_sample),),
        known,
        complete=_complete(known.utterances, unfinished),
        announced=known.utterances,
    )


def _start_of_feed(known: Known, end_sample: int, tail_ms: int, unfinished: set[str]) -> int:
    """The earliest time at which speech may have no text, moved back to before an utterance.

    The start never lies inside an utterance. Speech detection must get the beginning of each utterance as it
    got it the first time. Otherwise it finds an utterance with another start, whose first words are cut off.
    """
    end_ms = end_sample // SAMPLES_PER_MS
    start_ms = min(
        # Coverage shows what has been through the pipeline. The last coverage in the record can be old, when
        # nothing was written for long. Ten tails limit how much audio is then read again.
        [max(known.covered_to_ms, end_ms - 10 * tail_ms), end_ms - tail_ms]
        + [u.start_ms - LEAD_MS for u in known.utterances if u.id in unfinished]
    )
    # From the last utterance back to the first: a start that was moved back can lie inside an earlier one.
    for one in sorted(known.utterances, key=lambda u: u.start_ms, reverse=True):
        if one.end_ms is None or one.start_ms - LEAD_MS < start_ms < one.end_ms + LEAD_MS:
            start_ms = min(start_ms, one.start_ms - LEAD_MS)
    return max(start_ms, known.opened_ms, 0) * SAMPLES_PER_MS


def plan_of_utterance(known: Known, utterance: str, end_sample: int) -> Plan:
    """For an utterance whose window failed: that utterance and nothing else.

    end_sample: the present; later audio is not archived yet. Empty when the record does not have the
    utterance.
    """
    found = [u for u in known.utterances if u.id == utterance]
    if not found:
        return Plan((), known)
    end_ms = max((u.end_ms for u in found if u.end_ms is not None), default=0) + LEAD_MS
    start_ms = max(found[0].start_ms - LEAD_MS, known.opened_ms, 0)
    return Plan(
        (Range(start_ms * SAMPLES_PER_MS, min(end_sample, end_ms * SAMPLES_PER_MS)),),
        known,
        complete=_complete(known.utterances, {utterance}),
        announced=known.utterances,
        closes_utterances=False,  # others may be in progress at this moment
    )


def plan_of_gaps(known: Known, gaps: Sequence[Range]) -> Plan:
    """For gaps whose audio a client sent, now or before a crash."""
    own = tuple(u for u in known.utterances if _is_inside(u, gaps))
    # Coverage does not help here: it marked the gap as lost at once. Only text shows that a part was read.
    unfinished = {u.id for u in own if not u.is_complete(covered_to_ms=0)}
    return Plan(
        tuple(gaps),
        known,
        around=AROUND_SAMPLES,
        missing=tuple(gaps),
        complete=_complete(own, unfinished),
        announced=own,
    )


def _is_inside(utterance: KnownUtterance, gaps: Iterable[Range]) -> bool:
    """True for an utterance that an earlier job for the same gap announced.

    Such a job cuts its utterances to the gap. An utterance that reaches beyond the gap is a live one, also
    when speech detection put its start a little before the end of the gap.
    """
    for start, end in gaps:
        start_ms, end_ms = start // SAMPLES_PER_MS, end // SAMPLES_PER_MS
        if start_ms <= utterance.start_ms and (utterance.end_ms or utterance.start_ms + LEAD_MS) <= end_ms:
            return True
    return False


def _complete(utterances: Iterable[KnownUtterance], unfinished: set[str]) -> tuple[Range, ...]:
    return tuple(
        Range((u.start_ms - LEAD_MS) * SAMPLES_PER_MS, (u.end_ms + LEAD_MS) * SAMPLES_PER_MS)
        for u in utterances
        if u.end_ms is not None and u.id not in unfinished
    )
