"""Publishing: writes what the pipeline of a job reports, as events and coverage of the session.

Events and coverage are cut to the plan, and utterances get the ids under which watchers have them already.
Words are cut before, by `recovery.merge`. Invariant: nothing is written for time outside the plan, or for
time whose audio was not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from webrtc_host.events import (
    ErrorReported,
    Event,
    EventSink,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    Talker,
    WindowFailed,
    speech_ended,
    speech_started,
)
from webrtc_host.media.ranges import RangeSet
from webrtc_host.recovery.announced import AnnouncedUtterances
from webrtc_host.recovery.plan import Plan
from webrtc_host.seams import SAMPLES_PER_MS, Block, CoverageNotes, CoverageState, Source, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.talkers import Talkers

RESTART_RULE = "restart"
"""The rule of a `speech.ended` for an utterance that the end of the server interrupted, and whose audio is
not in the archive.
"""


@dataclass(slots=True)
class ReadingTotals:
    """Over many jobs, since the start of the process."""

    audio_ms: int = 0
    finals: int = 0

    def count_audio(self, samples: int) -> None:
        self.audio_ms += samples // SAMPLES_PER_MS

    def count_final(self) -> None:
        self.finals += 1


class PastSink:
    """`events.EventSink` of a job's pipeline: cuts its events to the plan, and publishes them."""

    def __init__(
        self,
        channel: Channel,
        plan: Plan,
        source: Source,
        totals: ReadingTotals,
        talkers: Sequence[Talker] = (),
    ) -> None:
        """talkers: the radios that were heard, in the order in which they began."""
        self._talkers = Talkers(talkers)
        self._channel, self._plan, self._source, self._totals = channel, plan, source, totals
        self._utterances = AnnouncedUtterances(plan.announced)
        self._starts: dict[str, int] = {}  # utterance -> start_ms, not announced yet
        self.finals = 0
        self.written: set[int] = set()  # seq of its finals
        self._is_stopped = False

    def emit(self, event: Event) -> int | None:
        if self._is_stopped:
            return None
        match event:
            case SpeechStarted():
                self._started(event)
            case SpeechEnded():
                self._ended(event)
            case SegmentFinal():
                return self._final(event)
            case WindowFailed() if self._inside(event.start_ms, event.end_ms) is not None:
                self._announce(event.utterance, event.end_ms)
                return self._log.emit(replace(event, utterance=self._utterances.id_of(event.utterance)))
            case ErrorReported():
                return self._log.emit(event)
            case _:  # an interim, or a state: watchers would take it for the present of the channel
                pass
        return None

    def stop(self) -> None:
        """Write nothing more: the job was stopped, and the next start reads it again."""
        self._is_stopped = True

    @property
    def _log(self) -> EventSink:
        return self._channel.session.log

    def _started(self, event: SpeechStarted) -> None:
        """Announce an utterance that starts inside the plan.

        One that starts before the plan is announced with its first text: it may end before the plan begins.
        """
        self._starts[event.utterance] = event.start_ms
        if self._plan.holds(event.start_ms * SAMPLES_PER_MS):
            self._announce(event.utterance, event.start_ms)

    def _announce(self, utterance: str, end_ms: int) -> None:
        """Write `speech.started`, if that was not done. end_ms: the utterance reaches at least up to here."""
        start_ms = self._starts.pop(utterance, None)
        if start_ms is None:
            return
        inside = self._inside(start_ms, end_ms)
        start_ms = start_ms if inside is None else inside[0]
        if self._utterances.begin(utterance, start_ms):
            self._log.emit(speech_started(self._channel.id, utterance, start_ms))

    def _ended(self, event: SpeechEnded) -> None:
        inside = self._inside(event.start_ms, event.end_ms)
        if inside is None:
            self._starts.pop(event.utterance, None)
            return
        self._announce(event.utterance, event.end_ms)
        if self._utterances.lacks_end(event.utterance):
            start_ms = self._utterances.start_of(event.utterance, inside[0])
            utterance = self._utterances.id_of(event.utterance)
            self._log.emit(speech_ended(self._channel.id, utterance, start_ms, inside[1], event.rule))

    def _final(self, final: SegmentFinal) -> int | None:
        self._announce(final.utterance, final.end_ms)
        self.finals += 1
        self._totals.count_final()
        utterance = self._utterances.id_of(final.utterance)
        talkers = self._talkers.between(final.start_ms, final.end_ms)
        seq = self._log.emit(replace(final, utterance=utterance, source=self._source, talkers=talkers))
        if seq is not None:
            self.written.add(seq)
        return seq

    def end_left_open(self) -> None:
        """End the utterances that have no end for watchers, and whose audio is not in the archive."""
        if not self._plan.closes_utterances:
            return
        for utterance in self._utterances.left_open():
            end_ms = ms_of(self._plan.end_sample)
            self._log.emit(
                speech_ended(self._channel.id, utterance.id, utterance.start_ms, end_ms, RESTART_RULE)
            )

    def _inside(self, start_ms: int, end_ms: int) -> tuple[int, int] | None:
        """The part of the plan, in milliseconds, that the time touches; an empty time touches one moment."""
        found = self._plan.inside(start_ms * SAMPLES_PER_MS, max(end_ms, start_ms + 1) * SAMPLES_PER_MS)
        return None if found is None else (ms_of(found.start_sample), min(end_ms, ms_of(found.end_sample)))


class PastNotes:
    """`seams.CoverageNotes` of a job's pipeline: passes on states of planned time whose audio was read."""

    def __init__(self, notes: CoverageNotes, plan: Plan) -> None:
        self._notes, self._plan = notes, plan
        self._read = RangeSet()
        self._decided = RangeSet()

    def was_read(self, block: Block) -> None:
        for start, end in self._plan.ranges:
            self._read.add(max(start, block.start_sample), min(end, block.end_sample))

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        # A repair of what was decided before the job, as lost, shed or failed. Within the job the first state
        # holds, as for live audio: otherwise the end of an utterance would turn its failed window into text.
        for start, end in self._decided.gaps(start_sample, end_sample):
            for low, high in self._parts_read(start, end):
                self._decided.add(low, high)
                self._notes.repair(low, high, state, reason)

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        for low, high in self._parts_read(start_sample, end_sample):
            self._notes.repair(low, high, state, reason)

    def _parts_read(self, start_sample: int, end_sample: int) -> list[tuple[int, int]]:
        parts = [(max(start, start_sample), min(end, end_sample)) for start, end in self._read]
        return [(low, high) for low, high in parts if low < high]
