"""A channel: one audio line of a session, fed by one connection after another.

This module keeps the blocks of a channel in order, and writes its `channel.opened`, `channel.closed` and
`channel.state` events. `channel_audio.py` notes which time has audio, `session/registry.py` applies the
limits, and the pipeline turns blocks into text. `channel_seams.py` has the interfaces of the objects that a
channel uses.
Invariants: the blocks that it passes on never overlap and never go back in time, also over reconnects. Only
the channel sets its own attributes; other code calls `claim`, `release`, `restore` and `reserve`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from host_stt.contract import AUTO
from webrtc_host.events import ChannelClosed, ChannelOpened, channel_state
from webrtc_host.glossary.entries import MisheardTerm
from webrtc_host.media.ranges import RangeSet, RangeView
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    AudioArchive,
    Block,
    BlockKind,
    ChannelState,
    CoverageState,
    LiveAudio,
    OpusPacket,
    ms_of,
)
from webrtc_host.session.channel_audio import ChannelAudio
from webrtc_host.session.channel_seams import ChannelSession, Holder, Pipeline
from webrtc_host.session.level import Level, LevelMeter
from webrtc_host.session.talkers import Talkers
from webrtc_host.transcript.coverage import WITHOUT_AUDIO, CoverageRun
from webrtc_host.transcript.coverage_tracker import CoverageBook, CoverageTracker, OpeningNotes
from webrtc_host.transcript.restart import FormerChannel

logger = logging.getLogger(__name__)

ORDERLY_ENDS = frozenset(
    ("hung_up", "stopped", "peer_closed", "track_removed", "track_ended", "read", "session_ended")
)
"""Close reasons of a sender that ended on purpose. Every other reason means that audio may be missing."""


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """What a connection requests for one channel. None: unchanged; `channel` None: the next free channel."""

    channel: str | None = None
    label: str | None = None
    language: str | None = None
    terms: tuple[str, ...] | None = None
    misheard: tuple[MisheardTerm, ...] = ()
    """Of `terms`: those with mis-hearings. Terms without them remove the ones of an earlier connection."""


class Channel:
    """An audio line of a session. Connections claim it, open it, feed it and close it, one after another."""

    def __init__(
        self,
        channel_id: str,
        session: ChannelSession,
        make_pipeline: MakePipeline,
        coverage_book: CoverageBook | None = None,
        archive: AudioArchive | None = None,
        live: LiveAudio | None = None,
    ) -> None:
        """archive: stores the channel's audio; None: its audio is not stored. live: gives it to listening
        desks; None: desks cannot listen to it.
        """
        self.id = channel_id
        self.session = session
        self.label = channel_id
        self.language = AUTO
        self.terms: tuple[str, ...] | None = None  # None: only the server's glossary
        self.misheard: tuple[MisheardTerm, ...] = ()  # of `terms`
        self.pipeline: Pipeline | None = None  # None: the channel is not open
        self.archive = archive
        self.unread = RangeSet()  # time of recorded calls that wait for their text
        self.talkers = Talkers()  # of live audio, where its sender names them
        self._live = live
        self._holder: Holder | None = None
        self._end_sample = 0
        self._audio = ChannelAudio()
        self._meter = LevelMeter()
        self.coverage = CoverageTracker(channel_id, session.log, coverage_book)
        self.notes = self.coverage.opening(0)  # where the pipeline of this opening reports coverage
        self.state: ChannelState | None = None
        self.opening = 0  # number of the opening; states from the pipeline of an earlier one are ignored
        self._detached: set[asyncio.Task[None]] = set()  # detached pipelines that finish their last windows
        self._make_pipeline = make_pipeline
        self._has_packets = False  # in this opening, the archive gets packets, so not the blocks
        self._opened_sample = 0  # of this opening
        self._fed_from: int | None = None  # first sample of this opening

    @property
    def is_archived(self) -> bool:
        """Whether the audio that comes now can be read from the archive later."""
        return self.archive is not None and self.archive.is_keeping

    @property
    def connection(self) -> Holder | None:
        """The connection that holds the channel, feeding or about to feed it; None: the channel is free."""
        return self._holder

    @property
    def end_sample(self) -> int:
        """End of the newest block that was passed on."""
        return self._end_sample

    @property
    def level(self) -> Level | None:
        """The loudness of the newest audio; None: no audio has arrived."""
        return self._meter.newest

    @property
    def taken(self) -> RangeView:
        """Ranges of closed connections, uploads and filled gaps. An upload must not overlap them."""
        return self._audio.taken

    def claim(self, connection: Holder, spec: ChannelSpec) -> None:
        """Reserve the channel for the connection, with the requested settings.

        Raises RuntimeError when another connection holds it. Clients get their error before this, from
        `SessionRegistry.connect`.
        """
        if self._holder is not None and self._holder is not connection:
            raise RuntimeError(f"channel {self.id} of {self.session.id} is held by {self._holder.id}")
        self._holder = connection
        self.label = self.label if spec.label is None else spec.label
        self.language = self.language if spec.language is None else spec.language
        if spec.terms is not None:
            self.terms, self.misheard = spec.terms, spec.misheard

    def release(self, connection: Holder) -> None:
        """Free the channel. Changes nothing when another connection holds it by now.

        A connection that ends late must not free the channel that its successor feeds.
        """
        if self._holder is connection:
            self._holder = None

    def restore(self, former: FormerChannel) -> None:
        """Continue the channel of an earlier process. Call it before anything is fed."""
        self.label, self.language, self.terms = former.label, former.language, former.terms
        self._end_sample = former.end_ms * SAMPLES_PER_MS
        self._audio.begin(former.first_opened_ms * SAMPLES_PER_MS)
        runs = [CoverageRun(r.from_ms, r.to_ms, CoverageState(r.state), r.reason) for r in former.coverage]
        self.coverage.restore(runs, former.first_opened_ms, _closed_ms(former))
        for run in runs:
            if run.state not in WITHOUT_AUDIO:
                self.note_received(run.from_ms * SAMPLES_PER_MS, run.to_ms * SAMPLES_PER_MS)
        for feed in former.feeds:
            end_ms = former.end_ms if feed.closed_ms is None else feed.closed_ms
            self._audio.take(feed.opened_ms * SAMPLES_PER_MS, end_ms * SAMPLES_PER_MS)

    def restore_archived(self, from_sample: int, end_sample: int) -> None:
        """The archive has audio of an earlier process up to `end_sample`, beyond the end in the record.

        Live audio continues after it. The range from `from_sample` is taken, because recovery will transcribe
        it from the archive: no upload may use this time.
        """
        self._end_sample = max(self._end_sample, end_sample)
        self._audio.take(from_sample, end_sample)

    def open(self) -> None:
        """The reserved connection starts to feed. On an open channel this changes nothing."""
        if self.pipeline is not None:
            return
        self._fed_from, self._has_packets = None, False
        self._opened_sample = self.session.now_sample()
        self._audio.begin(self._opened_sample)
        self.opening += 1
        self.coverage.opened(max(self._opened_sample, self.end_sample))
        self._write_opened(self._opened_sample)
        self.notes = self.coverage.opening(self.end_sample)
        self.pipeline = self._make_pipeline(self)
        self.pipeline.start()
        self.report(ChannelState.IDLE)

    def feed(self, block: Block) -> None:
        """Pass a block to the pipeline, without the part before `end_sample`. Never waits."""
        if self.pipeline is None:
            raise RuntimeError(f"channel {self.id} is fed but not open")
        overlap = self.end_sample - block.start_sample
        if overlap >= len(block.samples):
            return
        if overlap > 0:
            block = Block(self.end_sample, block.samples[overlap:], block.kind)
        if self._fed_from is None:
            self._fed_from = block.start_sample
        self._end_sample = block.end_sample
        self._meter.note(block)
        # Coverage first: the pipeline may report on this block at once.
        self.coverage.take(block)
        if block.kind is not BlockKind.LOST:
            self.note_received(block.start_sample, block.end_sample)
        # The archive before the pipeline: after a crash, recovery transcribes archived audio without text.
        if self.archive is not None and not self._has_packets:
            self.archive.archive_block(block)
        if self._live is not None and not self._has_packets:
            self._live.take_block(block)
        self.pipeline.feed(block)

    def note_received(self, start_sample: int, end_sample: int) -> None:
        """Note that audio of this range has arrived, so it is no longer missing."""
        self._audio.receive(start_sample, end_sample)

    def claim_gap(self, start_sample: int, end_sample: int) -> None:
        """Reserve a missing range for the caller, who will fill it.

        It counts as received and as taken, so no second caller fills it.
        """
        self.note_received(start_sample, end_sample)
        self._audio.take(start_sample, end_sample)

    def reserve(self, start_sample: int, end_sample: int) -> AbstractContextManager[None]:
        """Take the range for an upload while the body runs, and keep it afterwards.

        When the body raises, the range is free again, except for parts that were taken before.
        """
        return self._audio.reserve(start_sample, end_sample)

    def missing(self, from_sample: int, to_sample: int) -> list[tuple[int, int]]:
        """The parts of [from_sample, to_sample) whose audio did not arrive and will not arrive live."""
        return self._audio.missing(from_sample, min(to_sample, self._live_from(self.session.now_sample())))

    def unused(self, from_sample: int, to_sample: int) -> list[tuple[int, int]]:
        """The parts of [from_sample, to_sample) that a recording may use, also before the first opening."""
        return self._audio.unused(from_sample, min(to_sample, self._live_from(to_sample)))

    def _live_from(self, otherwise: int) -> int:
        """From here on, an open channel may still get live audio; `otherwise` when it is not open."""
        if self.pipeline is None:
            return otherwise
        return self._opened_sample if self._fed_from is None else self.end_sample

    def archive_packet(self, packet: OpusPacket) -> None:
        """Archive a packet, and give it to listening desks; call it before `feed` with its block.

        A packet cannot be cut: one that begins before `end_sample` is not passed on.
        """
        self._has_packets = True
        if packet.start_sample < self.end_sample:
            return
        if self.archive is not None:
            self.archive.archive_packet(packet)
        if self._live is not None:
            self._live.take_packet(packet)

    def report(self, state: ChannelState, reason: str | None = None) -> None:
        """Write `channel.state` when the state has changed."""
        if state is self.state:
            return
        self.state = state
        self.session.log.emit(channel_state(self.id, state, self.session.now_ms(), reason=reason))

    def accept_state(self, state: ChannelState) -> bool:
        """Take over the state from the pipeline. False: ignored, because a lost signal has precedence."""
        if self.state is ChannelState.NO_SIGNAL and state is ChannelState.IDLE:
            return False
        self.state = state
        return True

    async def close(self, reason: str) -> int:
        """Finish the last windows, write `channel.closed`, free the channel. Returns the seq of the event."""
        pipeline = self.pipeline
        if pipeline is None:
            self._holder = None
            return self.session.log.head_seq
        try:
            await pipeline.close()
        except Exception:
            logger.exception("%s %s: the pipeline failed while it closed", self.session.id, self.id)
        if self.pipeline is not pipeline:  # detached meanwhile; another connection may feed it by now
            return self.session.log.head_seq
        self.notes.closed(self.end_sample)
        return await self.session.log.settled(self._mark_closed(reason))

    def detach(self, reason: str) -> None:
        """Close, but free the channel at once: the last windows finish while another connection feeds it."""
        pipeline = self.pipeline
        if pipeline is None:
            self._holder = None
            return
        self._mark_closed(reason)
        finishing = self._finish_detached(pipeline, self.notes, self.end_sample)
        task = asyncio.create_task(finishing, name=f"finish {self.id}")
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)

    async def wait_detached(self) -> None:
        """Wait until detached pipelines have finished their last windows."""
        if self._detached:
            await asyncio.wait(set(self._detached))

    async def _finish_detached(self, pipeline: Pipeline, notes: OpeningNotes, end_sample: int) -> None:
        try:
            await pipeline.close()
        except Exception:
            logger.exception("%s %s: the pipeline failed while it closed", self.session.id, self.id)
        notes.closed(end_sample)

    def _mark_closed(self, reason: str) -> int:
        self.pipeline = None
        if self._fed_from is not None:
            self._audio.take(self._fed_from, self._end_sample)
        self.report(ChannelState.DISCONNECTED, reason)
        return self.announce_closed(reason)

    def announce_opened(self, start_sample: int) -> None:
        """Write `channel.opened` for an upload that holds the channel and begins at `start_sample`."""
        self.coverage.opened(start_sample)
        self._write_opened(start_sample)

    def _write_opened(self, start_sample: int) -> None:
        connection = self._require_holder()
        self.session.log.emit(
            ChannelOpened(
                channel=self.id,
                connection=connection.id,
                label=self.label,
                language=self.language,
                door=connection.door.value,
                glossary=None if self.terms is None else tuple(self.terms),
                start_ms=ms_of(start_sample),
                by=connection.by,
            )
        )

    def announce_closed(self, reason: str, end_sample: int | None = None) -> int:
        """Write `channel.closed` and free the channel."""
        connection, self._holder = self._require_holder(), None
        end_sample = self.end_sample if end_sample is None else end_sample
        self.coverage.ended(end_sample, is_orderly=reason in ORDERLY_ENDS)
        return self.write_closed(connection.id, reason, ms_of(end_sample))

    def write_closed(self, connection_id: str, reason: str, end_ms: int) -> int:
        """Write `channel.closed` for a connection, also of an earlier process. Returns the event's seq."""
        seq = self.session.log.emit(
            ChannelClosed(channel=self.id, connection=connection_id, reason=reason, end_ms=end_ms)
        )
        return seq or self.session.log.head_seq

    def _require_holder(self) -> Holder:
        if self._holder is None:
            raise RuntimeError(f"channel {self.id} of {self.session.id} is held by no connection")
        return self._holder


def _closed_ms(former: FormerChannel) -> int | None:
    """The end of the channel's newest feed, when its sender ended on purpose; else None."""
    last = former.feeds[-1] if former.feeds else None
    return last.closed_ms if last is not None and last.reason in ORDERLY_ENDS else None


MakePipeline = Callable[[Channel], Pipeline]
