"""Recovery put to work: after a crash, sound that was kept and not read goes through the pipeline again.

Owns the order (prepare before anyone is let in, then read in the background, two channels at a time, behind
everything live) and what is remembered as done. What to read and what is known are `recovery.plan`'s.
Invariant: a feed counts as recovered only when all its finals are in the log; a crash meanwhile begins again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from webrtc_host.archive.archive import Archive
from webrtc_host.archive.writer import ChannelKey
from webrtc_host.errors import EngineError, StoreError
from webrtc_host.events import SpeechEnded
from webrtc_host.recovery.finding import (
    DONE_KEY,
    Failed,
    FailedWindows,
    known_around,
    known_to_its_end,
    still_failed,
    unrecovered_feeds,
)
from webrtc_host.recovery.plan import RESTART_RULE, Plan
from webrtc_host.recovery.reading import PastDecoder, PastNotes, PastSink, PastTranscriber, RecoveryFigures
from webrtc_host.seams import SAMPLES_PER_MS, ms_of
from webrtc_host.services.record import RecordService
from webrtc_host.services.speech import SpeechService
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.restore import RestoredSession
from webrtc_host.transcript.meta import put_meta

logger = logging.getLogger(__name__)

AT_ONCE = 2
"""Channels read again at one time; each keeps one window or two before the engine."""
PIECE_SAMPLES = 10_000 * SAMPLES_PER_MS
TAIL_SPARE_MS = 5000  # what else may lie between a packet and its first event
RECENT_MS = 60_000
"""A feed closed so shortly before the crash may not have said its last words: a channel changes hands before
they are read.
"""
FINALS_POLL_S = 0.2
FINALS_WAIT_S = 7200.0
AGAIN_MAX = 256  # utterances waiting to be read once more; each is a few packets of a file
TRIED_MAX = 10_000
SETTLE_S = 1.0
NEVER_SAMPLE = 1 << 60
LEAVE_S = 0.3  # given to a reading that the end of the server breaks off


@dataclass(frozen=True, slots=True)
class CutOff:
    """A feed that a crash ended."""

    channel: Channel
    opened_seq: int
    plan: Plan

    @property
    def place(self) -> ChannelKey:
        return ChannelKey(self.channel.session.id, self.channel.id)

    def reads(self, failed: Failed) -> bool:
        at = failed.start_ms * SAMPLES_PER_MS
        return self.place == failed.place and self.plan.from_sample <= at < self.plan.to_sample


class RecoveryService:
    """Made once for the process; `running` is a step of its life: archive open, sessions restored."""

    def __init__(
        self,
        archive: Archive,
        record: RecordService,
        speech: SpeechService,
        registry: SessionRegistry,
        failed: FailedWindows,
        reserved: Callable[[ChannelKey], Sequence[tuple[int, int]]],
        backlog_ms: int,
    ) -> None:
        """failed: hears of every event. reserved: the kept audio of a channel that somebody else reads, in
        samples. backlog_ms: audio that may wait for voice detection.
        """
        self._archive, self._record, self._store, self._speech = archive, record, record.store, speech
        self._registry, self._failed, self._reserved = registry, failed, reserved
        self._tail_ms = backlog_ms + TAIL_SPARE_MS
        self.figures = RecoveryFigures()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._task: asyncio.Task[None] | None = None
        self._again: set[asyncio.Task[None]] = set()
        self._tried: dict[str, None] = {}  # utterances read once more; in order

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._begin(self._record.restored)
        hearing = asyncio.create_task(self._hear_of_failed(), name="failed windows")
        try:
            yield
        finally:
            hearing.cancel()
            await asyncio.wait((hearing,))
            await self._end()

    async def _begin(self, restored: Sequence[RestoredSession]) -> None:
        """Before callers: find what there is to read, set each channel's clock behind it, begin to read."""
        cut_off: list[CutOff] = []
        for one in restored:
            for channel in one.session.channels.values():
                try:
                    recent_ms = one.down_from_ms - RECENT_MS
                    cut_off += await self._find(channel, recent_ms)
                except (StoreError, OSError):
                    logger.exception("%s %s cannot be recovered", one.session.id, channel.id)
                    self.figures.feeds_failed += 1
        waiting = [one for one in cut_off if not one.plan.is_empty]
        await self._find_failed(restored, waiting)
        if not waiting:
            return
        self.figures.feeds_waiting = len(waiting)
        seconds = sum(one.plan.to_sample - one.plan.from_sample for one in waiting) / 16_000
        logger.info("recovery: %d feeds were cut off, up to %.0f s of sound are read", len(waiting), seconds)
        self._task = asyncio.create_task(self._run(waiting), name="recovery")

    async def _end(self) -> None:
        """What is not done is begun again at the next start."""
        tasks = [*self._again, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _hear_of_failed(self) -> None:
        """A window that failed for want of an engine is read once more, when there is one. Late words come as
        finals of the same utterance.
        """
        while True:
            self._read_later(await self._failed.next())

    def _read_later(self, failed: Failed) -> None:
        if failed.utterance in self._tried:
            return
        if len(self._again) >= AGAIN_MAX:  # the next start finds it
            self.figures.feeds_failed += 1
            return
        self._tried[failed.utterance] = None
        while len(self._tried) > TRIED_MAX:
            self._tried.pop(next(iter(self._tried)))
        task = asyncio.create_task(self._repair(failed), name=f"read {failed.utterance} again")
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    def statistics(self) -> dict[str, float]:
        figures = self.figures
        return {
            "feeds_waiting": figures.feeds_waiting,
            "feeds_done": figures.feeds_done,
            "feeds_failed": figures.feeds_failed + self._failed.refused,
            "audio_ms": figures.audio_ms,
            "finals": figures.finals,
        }

    async def _find(self, channel: Channel, recent_ms: int) -> list[CutOff]:
        """The channel's feeds that a crash ended and that were not read again yet, oldest first.

        recent_ms: feeds closed later than this are among them.
        """
        session_id, channel_id, head_seq = channel.session.id, channel.id, channel.session.log.head_seq
        feeds = await self._store.read(
            lambda connection: unrecovered_feeds(connection, session_id, channel_id, head_seq, recent_ms)
        )
        found: list[CutOff] = []
        place = ChannelKey(session_id, channel_id)
        for feed in feeds:
            limit = NEVER_SAMPLE if feed.next_ms is None else feed.next_ms * SAMPLES_PER_MS
            end = await asyncio.to_thread(self._archive.end_before, place, limit)
            if feed.next_ms is None:
                channel.restore_archived(feed.opened_ms * SAMPLES_PER_MS, end)
            known = await self._store.read(partial(known_to_its_end, place=place, feed=feed))
            plan = Plan(known, end, self._tail_ms)
            runs = await asyncio.to_thread(self._archive.runs, place, plan.from_sample, plan.to_sample)
            for start_sample, end_sample in runs:  # it will be read: nobody need send it again
                channel.note_received(start_sample, end_sample)
            found.append(CutOff(channel, feed.opened_seq, plan))
        return found

    async def _find_failed(self, restored: Sequence[RestoredSession], waiting: Sequence[CutOff]) -> None:
        """What was given up for want of an engine, and not read again before the server ended."""
        for one in restored:
            for channel_id in one.session.channels:
                place = ChannelKey(one.session.id, channel_id)
                try:
                    failed = await self._store.read(partial(still_failed, place=place))
                except StoreError:
                    logger.exception("%s %s: what failed is not known", place.session, place.channel)
                    self.figures.feeds_failed += 1
                    continue
                for window in failed:
                    if not any(cut_off.reads(window) for cut_off in waiting):
                        self._read_later(window)

    async def _run(self, waiting: Sequence[CutOff]) -> None:
        await asyncio.gather(*(self._recover(cut_off) for cut_off in waiting))
        figures = self.figures
        seconds = figures.audio_ms / 1000
        logger.info("recovery is done: %.0f s of sound read, %d finals", seconds, figures.finals)

    async def _recover(self, cut_off: CutOff) -> None:
        place = cut_off.place
        try:
            async with self._places:
                await self._read_again(cut_off.channel, cut_off.plan)
            key = f"{DONE_KEY.format(session=place.session, channel=place.channel)}{cut_off.opened_seq}"
            await self._store.write(lambda connection: put_meta(connection, {key: "done"}))
            self.figures.feeds_done += 1
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("%s %s could not be recovered", place.session, place.channel)
            self.figures.feeds_failed += 1
        finally:
            self.figures.feeds_waiting -= 1

    async def _repair(self, failed: Failed) -> None:
        """Read the utterance of a failed window once more, when the channel's last words are out."""
        place = failed.place
        session = self._registry.get(place.session)
        channel = self._registry.channel(session, place.channel)
        self.figures.feeds_waiting += 1
        try:
            async with self._places:
                await asyncio.sleep(SETTLE_S)
                known = await self._store.read(partial(known_around, place=place, start_ms=failed.start_ms))
                plan = Plan(known, session.now_sample(), again=frozenset({failed.utterance}))
                if not plan.is_empty:
                    await self._read_again(channel, plan)
            self.figures.feeds_done += 1
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("%s %s: %s could not be read again", session.id, channel.id, failed.utterance)
            self.figures.feeds_failed += 1
        finally:
            self.figures.feeds_waiting -= 1

    async def _read_again(self, channel: Channel, plan: Plan) -> None:
        place = ChannelKey(channel.session.id, channel.id)
        reserved = self._reserved(place)
        sink = PastSink(channel.session.log, plan, self.figures)
        notes = PastNotes(channel.coverage.repairing())
        transcriber = PastTranscriber(self._speech.engine, plan)
        pipeline = self._speech.make_past_pipeline(channel, sink, notes, transcriber)
        pipeline.start()
        try:
            decoder = PastDecoder()
            for at in range(plan.from_sample, plan.to_sample, PIECE_SAMPLES):
                end = min(at + PIECE_SAMPLES, plan.to_sample)
                blocks = await asyncio.to_thread(decoder.blocks, self._archive, place, at, end)
                for block in blocks:
                    if any(a < block.end_sample and block.start_sample < b for a, b in reserved):
                        continue
                    await pipeline.wait_for_space()
                    notes.read.add(block.start_sample, block.end_sample)
                    pipeline.feed(block)
                    channel.note_received(block.start_sample, block.end_sample)
                    self.figures.audio_ms += len(block.samples) // SAMPLES_PER_MS
            await _finals_of(pipeline)
        except BaseException:
            sink.is_over = transcriber.is_over = True  # the next start reads it from the beginning
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await pipeline.close()
            raise
        await pipeline.close()
        if transcriber.gave_up:
            raise EngineError("unreachable", "there was no engine for half an hour")
        for utterance in plan.broken_off():
            channel.session.log.emit(
                SpeechEnded(
                    channel=channel.id,
                    utterance=utterance.id,
                    start_ms=utterance.start_ms,
                    end_ms=max(utterance.start_ms, ms_of(plan.to_sample)),
                    rule=RESTART_RULE,
                )
            )


async def _finals_of(pipeline: Any) -> None:
    """Wait until the engine has read everything; behind live channels it may take its time."""
    async with asyncio.timeout(FINALS_WAIT_S):
        while True:
            figures = pipeline.statistics()
            if figures.queued_ms == 0 and figures.in_flight == 0:
                return
            await asyncio.sleep(FINALS_POLL_S)
