"""Reading the past: what stands around a pipeline that is fed from the archive in place of a door.

Owns the way from kept packets to blocks, from the pipeline's windows to the engine (behind everything live),
and from its events and verdicts to the log and the ledger, less what watchers know already. What is known is
`recovery.plan`'s. Invariant: nothing is said of time whose sound was not read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from host_stt.contract import EndReason, Float32Array, Priority, Transcript, Window
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.writer import SLACK_SAMPLES, ChannelKey
from webrtc_host.errors import EngineError
from webrtc_host.events import (
    ChannelStateChanged,
    Event,
    EventSink,
    SegmentFinal,
    SegmentInterim,
    SpeechEnded,
    SpeechStarted,
    WindowFailed,
)
from webrtc_host.media.opus import Codec, DecodeError, Decoder, make_decoder
from webrtc_host.media.ranges import RangeSet
from webrtc_host.recovery.plan import WANT_OF_ENGINE, Plan
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    Block,
    Clock,
    CoverageNotes,
    CoverageState,
    OpusPacket,
    Source,
    Transcriber,
)

ROLL_SAMPLES = 80 * SAMPLES_PER_MS
PATIENCE_S = 1800.0
RETRY_S = 1.0
DEADLINE_MS = 600_000  # the longest the contract allows; nobody waits for these windows


@dataclass(slots=True)
class RecoveryFigures:
    feeds_waiting: int = 0
    feeds_done: int = 0
    feeds_failed: int = 0
    audio_ms: int = 0  # read again
    finals: int = 0  # given


class PastDecoder:
    """Kept packets as blocks, a hole where nothing is kept. Blocking."""

    def __init__(self) -> None:
        self._decoder: Decoder = make_decoder(Codec.OPUS)
        self._end: int | None = None

    def blocks(self, archive: Archive, place: ChannelKey, from_sample: int, to_sample: int) -> list[Block]:
        """[from_sample, to_sample), cut at packets: one belongs where it begins."""
        blocks: list[Block] = []
        for packet in archive.packets(place, max(0, from_sample - ROLL_SAMPLES), to_sample):
            if self._end is not None and packet.start_sample < self._end - SLACK_SAMPLES:
                continue  # kept twice, or decoded with the piece before
            samples = self._decoded(packet)
            start = packet.start_sample
            self._end = packet.end_sample
            if start >= from_sample and len(samples):
                blocks.append(Block(_not_before(blocks, start), samples))
        return blocks

    def _decoded(self, packet: OpusPacket) -> Float32Array:
        if self._end is not None and abs(packet.start_sample - self._end) > SLACK_SAMPLES:
            self._decoder = make_decoder(Codec.OPUS)
        try:
            return self._decoder.decode(packet.payload)
        except DecodeError:
            return self._decoder.conceal(packet.samples)


def _not_before(blocks: Sequence[Block], start: int) -> int:
    """Neighbours within a millisecond touch; blocks never overlap."""
    if blocks and start < blocks[-1].end_sample + SLACK_SAMPLES:
        return blocks[-1].end_sample
    return start


class PastTranscriber:
    """The engine for windows of the past: behind everything live, and only for what is not known.

    Nobody waits for these, so a window outlives an engine that is away or loading, for up to half an hour.
    """

    def __init__(self, engine: Transcriber, plan: Plan, clock: Clock = time.monotonic) -> None:
        self._engine, self._plan, self._clock = engine, plan, clock
        self.gave_up = False  # for want of an engine: another start may read it
        self.is_over = False

    async def transcribe(self, window: Window) -> Transcript:
        if self._plan.is_known(window.start_sample, window.start_sample + len(window.samples)):
            return Transcript(window.id, (), window.language, 0.0, 0.0, 1.0, 0.0, EndReason.NO_SPEECH)
        patient = replace(window, priority=Priority.BACKGROUND, deadline_ms=DEADLINE_MS)
        until_s = self._clock() + PATIENCE_S
        while True:
            try:
                return self._plan.fresh(await self._engine.transcribe(patient), window.start_sample)
            except EngineError as error:
                if error.code not in WANT_OF_ENGINE:
                    raise
                if self.is_over or self._clock() > until_s:
                    self.gave_up = True
                    raise
            await asyncio.sleep(RETRY_S)


class PastSink:
    """The session's log for a pipeline that reads the past: what watchers know is not told again."""

    def __init__(self, log: EventSink, plan: Plan, figures: RecoveryFigures) -> None:
        self._log, self._plan, self._figures = log, plan, figures
        self.is_over = False

    def emit(self, event: Event) -> int | None:
        known = None if self.is_over else self._with_known(event)
        return None if known is None else self._log.emit(known)

    def _with_known(self, event: Event) -> Event | None:
        """The event with the utterance as watchers know it; None for what they must not be told."""
        plan = self._plan
        match event:
            case ChannelStateChanged() | SegmentInterim():
                return None  # of the present
            case SpeechStarted():
                if not plan.utterance_began(event.utterance, event.start_ms):
                    return None
                return replace(event, utterance=plan.name_of(event.utterance))
            case SpeechEnded():
                if not plan.utterance_ended(event.utterance):
                    return None
                start_ms = plan.start_of(event.utterance, event.start_ms)
                return replace(event, utterance=plan.name_of(event.utterance), start_ms=start_ms)
            case SegmentFinal():
                self._figures.finals += 1
                name = plan.name_of(event.utterance)
                return replace(event, utterance=name, source=Source.RECOVERY)
            case WindowFailed():
                return replace(event, utterance=plan.name_of(event.utterance))
        return event


class PastNotes:
    """The ledger for a pipeline that reads the past: only of time that was read."""

    def __init__(self, ledger: CoverageNotes) -> None:
        self._ledger = ledger
        self.read = RangeSet()

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        for start, end in self.read:
            if start < end_sample and start_sample < end:
                self._ledger.decide(max(start, start_sample), min(end, end_sample), state, reason)

    repair = decide
