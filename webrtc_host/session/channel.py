"""A channel: one lasting strip of a session, fed by one connection after another.

Owns what a channel remembers, the order of its blocks and the events of its coming and going. The registry
(`session/registry.py`) owns the limits, the pipeline owns the speech. A channel lies below the session: of
its session and of the connection that holds it, it knows the few things that `ChannelSession` and `Holder`
name. Invariant: the blocks it hands on never overlap and never go backwards, also over reconnects. Only the
channel writes its own attributes; others call `claim`, `release`, `restore` and `reserve`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from host_stt.contract import AUTO
from webrtc_host.events import ChannelClosed, ChannelOpened, ChannelStateChanged, EventSink
from webrtc_host.media.ranges import RangeSet, RangeView
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    AudioKeeper,
    Block,
    BlockKind,
    ChannelState,
    CoverageState,
    OpusPacket,
    ms_of,
)
from webrtc_host.transcript.coverage import WITHOUT_AUDIO, CoverageRun
from webrtc_host.transcript.coverage_keeper import CoverageBook, CoverageKeeper, OpeningNotes
from webrtc_host.transcript.event_log import ReadableLog
from webrtc_host.transcript.restart import FormerChannel

logger = logging.getLogger(__name__)


ORDERLY_ENDS = frozenset(
    ("hung_up", "stopped", "peer_closed", "track_removed", "track_ended", "read", "session_ended")
)
"""Why a channel closed whose sender said that it was done; every other reason is a loss."""
RANGES_MAX = 10_000
"""Received stretches remembered for each channel: hours of a bad network. Older gaps are then final."""


class SessionLog(EventSink, ReadableLog, Protocol):
    """The whole log of a session: written to, read, and waited for. `transcript.saved_log` implements it."""

    async def settled(self, seq: int | None = None) -> int:
        """Until event `seq` (None: the newest) is on disk, or the disk is known to fail. Returns that seq."""
        ...


class Pipeline(Protocol):
    """What turns a channel's blocks into events; `speech.pipeline.ChannelPipeline` in life."""

    def start(self) -> None: ...

    def feed(self, block: Block) -> None:
        """Never waits."""
        ...

    async def close(self) -> None:
        """Returns when the last words are in the log; to whoever calls again, too."""
        ...


class DoorKind(StrEnum):
    WEBRTC = "webrtc"
    WHIP = "whip"
    SOCKET = "socket"
    PUSH = "push"


@dataclass(frozen=True, slots=True)
class ChannelWish:
    """What a connection asks of a channel. None: as it is; for `channel`: the next free one."""

    channel: str | None = None
    label: str | None = None
    language: str | None = None
    terms: tuple[str, ...] | None = None


class ChannelSession(Protocol):
    """What a channel needs of its session; `sessions.Session` implements it."""

    @property
    def id(self) -> str: ...

    @property
    def log(self) -> SessionLog: ...

    def now_sample(self) -> int:
        """This moment on the session's timeline, at 16 kHz."""
        ...

    def now_ms(self) -> int: ...


class Holder(Protocol):
    """What a channel needs of the connection that holds it; `sessions.Connection` implements it."""

    @property
    def id(self) -> str: ...

    @property
    def door(self) -> DoorKind: ...

    @property
    def by(self) -> str | None:
        """The name of the token it came with; None: the server asks for none."""
        ...


class Channel:
    """A lasting strip of a session: reserved by a connection, opened, fed, closed; again and again."""

    def __init__(
        self,
        channel_id: str,
        session: ChannelSession,
        make_pipeline: MakePipeline,
        coverage_book: CoverageBook | None = None,
        keeper: AudioKeeper | None = None,
    ) -> None:
        """keeper: where the channel's audio is kept; None: nowhere."""
        self.id = channel_id
        self.session = session
        self.label = channel_id
        self.language = AUTO
        self.terms: tuple[str, ...] | None = None  # None: the glossary of the server
        self.pipeline: Pipeline | None = None  # None: not open
        self.keeper = keeper
        self._holder: Holder | None = None
        self._end_sample = 0
        self._taken = RangeSet()
        self._received = RangeSet()  # audio that came, live or later (backfill); the rest is missing
        self.coverage = CoverageKeeper(channel_id, session.log, coverage_book)
        self.notes = self.coverage.opening(0)  # what the pipeline of this opening says of its sound
        self.state: ChannelState | None = None
        self.opening = 0  # counts openings: what a pipeline of an older one says of the state is no news
        self._known_from: int | None = None  # `_received` says nothing of what lies before
        self._leaving: set[asyncio.Task[None]] = set()  # pipelines let go of, saying their last words
        self._make_pipeline = make_pipeline
        self._has_packets = False  # this opening's sound comes with the packets it was decoded from
        self._opened_sample = 0  # of this opening
        self._fed_from: int | None = None  # first sample of this opening

    @property
    def connection(self) -> Holder | None:
        """The connection that holds the channel, feeding it or about to; None: the channel is free."""
        return self._holder

    @property
    def end_sample(self) -> int:
        """End of the newest block that was handed on."""
        return self._end_sample

    @property
    def taken(self) -> RangeView:
        """What closed connections, uploads and filled gaps have covered: uploads may not lie there."""
        return self._taken

    def claim(self, connection: Holder, wish: ChannelWish) -> None:
        """The connection holds the channel from now on, with the settings that it wishes for.

        One connection at most holds a channel: raises RuntimeError when another one does. Callers are
        refused before, with a sentence of their own (`SessionRegistry.connect`).
        """
        if self._holder is not None and self._holder is not connection:
            raise RuntimeError(f"channel {self.id} of {self.session.id} is held by {self._holder.id}")
        self._holder = connection
        self.label = self.label if wish.label is None else wish.label
        self.language = self.language if wish.language is None else wish.language
        self.terms = self.terms if wish.terms is None else wish.terms

    def release(self, connection: Holder) -> None:
        """The connection holds the channel no longer. Changes nothing when another one holds it by now: a
        connection that ends late must not free what its successor feeds.
        """
        if self._holder is connection:
            self._holder = None

    def restore(self, former: FormerChannel) -> None:
        """Go on as the channel that an earlier process knew. Only before anything is fed."""
        self.label, self.language, self.terms = former.label, former.language, former.terms
        self._end_sample = former.end_ms * SAMPLES_PER_MS
        self._known_from = former.first_opened_ms * SAMPLES_PER_MS
        runs = [CoverageRun(r.from_ms, r.to_ms, CoverageState(r.state), r.reason) for r in former.coverage]
        self.coverage.restore(runs, former.first_opened_ms, _closed_ms(former))
        for run in runs:
            if run.state not in WITHOUT_AUDIO:
                self.note_received(run.from_ms * SAMPLES_PER_MS, run.to_ms * SAMPLES_PER_MS)
        for feed in former.feeds:
            end_ms = former.end_ms if feed.closed_ms is None else feed.closed_ms
            self._taken.add(feed.opened_ms * SAMPLES_PER_MS, end_ms * SAMPLES_PER_MS)

    def restore_kept(self, from_sample: int, end_sample: int) -> None:
        """Audio of an earlier process is kept up to `end_sample`, further than its record says.

        Live audio continues behind it, and the time from `from_sample` on is taken: it will be read from the
        archive, so nothing else may be written there.
        """
        self._end_sample = max(self._end_sample, end_sample)
        self._taken.add(from_sample, end_sample)

    def open(self) -> None:
        """The reserved connection starts to feed. Opening an open channel changes nothing."""
        if self.pipeline is not None:
            return
        self._fed_from, self._has_packets = None, False
        self._opened_sample = self.session.now_sample()
        self._known_from = self._opened_sample if self._known_from is None else self._known_from
        self.opening += 1
        self.coverage.opened(max(self._opened_sample, self.end_sample))
        self._write_opened(self._opened_sample)
        self.notes = self.coverage.opening(self.end_sample)
        self.pipeline = self._make_pipeline(self)
        self.pipeline.start()
        self.report(ChannelState.IDLE)

    def feed(self, block: Block) -> None:
        """Hand a block to the pipeline; what lies before `end_sample` is cut off. Never waits."""
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
        self.coverage.take(block)
        if block.kind is not BlockKind.LOST:
            self.note_received(block.start_sample, block.end_sample)
        if self.keeper is not None and not self._has_packets:
            self.keeper.keep_block(block)
        self.pipeline.feed(block)

    def note_received(self, start_sample: int, end_sample: int) -> None:
        """Sound of this stretch has come, so nothing of it is missing any more."""
        self._received.add(start_sample, end_sample)
        forgotten = self._received.forget_oldest(RANGES_MAX)
        self._known_from = self._known_from if forgotten is None else forgotten

    def claim_gap(self, start_sample: int, end_sample: int) -> None:
        """A missing stretch will be filled by this caller: it is received and taken, so no second caller
        fills it.
        """
        self.note_received(start_sample, end_sample)
        self._taken.add(start_sample, end_sample)

    @contextmanager
    def reserve(self, start_sample: int, end_sample: int) -> Iterator[None]:
        """The stretch is taken for an upload while the body reads it, and afterwards.

        When the body raises, the stretch is free again, but for what was taken before.
        """
        before = list(self._taken)
        self._taken.add(start_sample, end_sample)
        try:
            yield
        except BaseException:
            self._taken.remove(start_sample, end_sample)
            for kept in before:
                self._taken.add(*kept)
            raise

    def missing(self, from_sample: int, to_sample: int) -> list[tuple[int, int]]:
        """The stretches of [from_sample, to_sample) whose sound never came and will not come live."""
        if self._known_from is None:
            return []
        edge = self.session.now_sample()
        if self.pipeline is not None:
            edge = self._opened_sample if self._fed_from is None else self.end_sample
        return self._received.gaps(max(from_sample, self._known_from), min(to_sample, edge))

    def keep(self, packet: OpusPacket) -> None:
        """Hand a packet to the keeper, before the block decoded from it is fed.

        A packet cannot be cut: one that begins before `end_sample` is left out.
        """
        self._has_packets = True
        if self.keeper is not None and packet.start_sample >= self.end_sample:
            self.keeper.keep_packet(packet)

    def report(self, state: ChannelState, reason: str | None = None) -> None:
        """Write `channel.state` when it is news."""
        if state is self.state:
            return
        self.state = state
        at_ms = self.session.now_ms()
        self.session.log.emit(ChannelStateChanged(channel=self.id, state=state, reason=reason, at_ms=at_ms))

    def heed(self, state: ChannelState) -> bool:
        """Take the pipeline's view of the state. False: a lost signal stands above it, it is no news."""
        if self.state is ChannelState.NO_SIGNAL and state is ChannelState.IDLE:
            return False
        self.state = state
        return True

    async def close(self, reason: str) -> int:
        """Flush the last words, write `channel.closed`, free the channel. Returns the seq of that event."""
        pipeline = self.pipeline
        if pipeline is None:
            self._holder = None
            return self.session.log.head_seq
        try:
            await pipeline.close()
        except Exception:
            logger.exception("%s %s: the pipeline failed while it closed", self.session.id, self.id)
        if self.pipeline is not pipeline:  # let go of meanwhile, perhaps somebody else's by now
            return self.session.log.head_seq
        self.notes.closed(self.end_sample)
        return await self.session.log.settled(self._be_closed(reason))

    def let_go(self, reason: str) -> None:
        """As `close`, but the channel is free at once: the last words follow while the next one feeds it."""
        pipeline = self.pipeline
        if pipeline is None:
            self._holder = None
            return
        self._be_closed(reason)
        hearing_out = self._hear_out(pipeline, self.notes, self.end_sample)
        task = asyncio.create_task(hearing_out, name=f"last words of {self.id}")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def settle(self) -> None:
        """Wait for the last words of what was let go of."""
        if self._leaving:
            await asyncio.wait(set(self._leaving))

    async def _hear_out(self, pipeline: Pipeline, notes: OpeningNotes, end_sample: int) -> None:
        try:
            await pipeline.close()
        except Exception:
            logger.exception("%s %s: the pipeline failed while it closed", self.session.id, self.id)
        notes.closed(end_sample)

    def _be_closed(self, reason: str) -> int:
        self.pipeline = None
        if self._fed_from is not None:
            self._taken.add(self._fed_from, self._end_sample)
        self.report(ChannelState.DISCONNECTED, reason)
        return self.announce_closed(reason)

    def announce_opened(self, start_sample: int) -> None:
        """Write `channel.opened` for the upload that holds the channel and begins at `start_sample`."""
        self.coverage.opened(start_sample)
        self._write_opened(start_sample)

    def _write_opened(self, start_sample: int) -> None:
        connection = self._held_by()
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
        connection, self._holder = self._held_by(), None
        end_sample = self.end_sample if end_sample is None else end_sample
        self.coverage.ended(end_sample, is_orderly=reason in ORDERLY_ENDS)
        seq = self.session.log.emit(
            ChannelClosed(channel=self.id, connection=connection.id, reason=reason, end_ms=ms_of(end_sample))
        )
        return seq or self.session.log.head_seq

    def _held_by(self) -> Holder:
        if self._holder is None:
            raise RuntimeError(f"channel {self.id} of {self.session.id} is held by no connection")
        return self._holder


def _closed_ms(former: FormerChannel) -> int | None:
    """Where the newest connection of a former channel ended in good order; None: it did not."""
    last = former.feeds[-1] if former.feeds else None
    return last.closed_ms if last is not None and last.reason in ORDERLY_ENDS else None


MakePipeline = Callable[[Channel], Pipeline]
