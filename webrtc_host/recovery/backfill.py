"""Late sound: what a client sends after a gap is kept before it is read, and read again after a crash.

Owns the order: claim the gaps, hand their audio to the archive, note in the record that they are to be read,
read, forget the note. `recovery.gap_filling` decides which gaps are filled and what text is used. Invariant:
while a note stands, a restarted server reads the noted gaps from the archive; what was read and told before
is neither missing nor said twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from webrtc_host.archive.archive import Archive
from webrtc_host.archive.writer import ChannelKey
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.events import TimedWord
from webrtc_host.recovery.gap_filling import (
    AROUND_SAMPLES,
    EDGE_MS,
    Filled,
    Gap,
    MakePastPipeline,
    Run,
    Stretch,
    claim_gaps,
    joined,
    keep,
    read_gaps,
)
from webrtc_host.recovery.reading import PastDecoder
from webrtc_host.seams import ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript.meta import delete_meta, meta_with_prefix, put_meta
from webrtc_host.transcript.records import words_between
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

NOTE_KEY = "backfill:{session}:{channel}:{start}"
"""In `meta`, with the first sample of the first gap; the value is the JSON list of the gaps, in samples."""
NOTES = "backfill:"

Note = tuple[str, Channel, tuple[Gap, ...]]
"""Its key, and the gaps that are claimed and read for it."""


class BackfillService:
    """Made once for the process; `prepare` and `running` are steps of its life, around recovery."""

    def __init__(
        self,
        registry: SessionRegistry,
        store: Store,
        archive: Archive | None,
        make_pipeline: MakePastPipeline,
    ) -> None:
        self._registry, self._store, self._archive = registry, store, archive
        self._make_pipeline = make_pipeline
        self._tasks: set[asyncio.Task[Any]] = set()
        self._noted: list[Note] = []  # of before this start

    async def fill(self, channel: Channel, runs: Sequence[Run]) -> Filled:
        """Keep and read what of the runs is missing. Returns when its last words are in the log.

        A caller who goes away changes nothing: what was claimed is read.
        """
        return await asyncio.shield(self._begin(self._fill(channel, runs), f"late sound of {channel.id}"))

    async def _fill(self, channel: Channel, runs: Sequence[Run]) -> Filled:
        runs = sorted(runs, key=lambda run: run.start_sample)
        gaps = claim_gaps(channel, runs)
        if not gaps:
            return Filled((), 0)
        keep(channel, runs, gaps)
        key = await self._note(channel, gaps)
        filled = await self._read(channel, runs, gaps)
        await self._forget(key)
        return filled

    @property
    def is_idle(self) -> bool:
        """Nothing is being read."""
        return not self._tasks

    async def prepare(self) -> None:
        """Before recovery, with the archive open: find what an earlier process was given and had not read to
        the end, and claim it. Without an archive there is nothing to read it from.
        """
        if self._archive is None:
            return
        self._noted = [note async for note in self._notes()]

    def reserved(self, place: ChannelKey) -> Sequence[Gap]:
        """What this room will read, so nobody else need."""
        return [
            gap
            for _, channel, gaps in self._noted
            if ChannelKey(channel.session.id, channel.id) == place
            for gap in gaps
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self._noted:
            logger.info("late sound of %d gaps was not read before the restart", len(self._noted))
            self._begin(self._read_noted(self._noted), "late sound of before the restart")
        try:
            yield
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Break off what is read. Its notes stand: the next start reads them."""
        if tasks := set(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self, channel: Channel, runs: Sequence[Run], gaps: Sequence[Gap]) -> Filled:
        known: list[TimedWord] = []
        span_ms = ms_of(gaps[0][0]) - EDGE_MS, ms_of(gaps[-1][1]) + EDGE_MS
        with contextlib.suppress(StoreError, Overloaded):
            known = await self._store.read(
                lambda connection: words_between(connection, channel.session.id, channel.id, *span_ms)
            )
        filled = await read_gaps(channel, runs, gaps, self._make_pipeline, known)
        await channel.session.log.settled()
        return filled

    async def _note(self, channel: Channel, gaps: Sequence[Gap]) -> str:
        key = NOTE_KEY.format(session=channel.session.id, channel=channel.id, start=gaps[0][0])
        try:
            await self._store.write(lambda connection: put_meta(connection, {key: json.dumps(gaps)}))
        except (StoreError, Overloaded) as error:
            logger.warning("late sound of %s would not outlive a crash now: %s", channel.id, error)
        return key

    async def _forget(self, key: str) -> None:
        try:
            await self._store.write(lambda connection: delete_meta(connection, key))
        except (StoreError, Overloaded) as error:
            logger.warning("late sound that was read will be looked at again at the next start: %s", error)

    async def _notes(self) -> AsyncIterator[Note]:
        """What is still to be read, its time claimed. A note that can never be read is forgotten."""
        assert self._archive is not None
        found = await self._store.read(lambda connection: meta_with_prefix(connection, NOTES))
        for key, value in found.items():
            _, session_id, channel_id, _ = key.split(":")
            try:
                session = self._registry.get_live(session_id)
                channel = self._registry.channel(session, channel_id)
            except RequestError as error:
                logger.warning("late sound of %s %s is not read: %s", session_id, channel_id, error)
                await self._forget(key)
                continue
            noted = [(int(start), int(end)) for start, end in json.loads(value)]
            gaps = claim_gaps(channel, await asyncio.to_thread(self._stretches_kept, channel, noted))
            if gaps:
                yield key, channel, gaps
            else:
                await self._forget(key)

    async def _read_noted(self, notes: Sequence[Note]) -> None:
        for key, channel, gaps in notes:
            try:
                runs = await asyncio.to_thread(self._kept, channel, gaps)
                await self._read(channel, runs, gaps)
                await self._forget(key)
            except asyncio.CancelledError:
                raise
            except Exception:
                logger.exception("%s: late sound could not be read", channel.id)

    def _stretches_kept(self, channel: Channel, noted: Sequence[Gap]) -> list[Stretch]:
        """What of the noted gaps lies in the archive; the rest may be sent once more. Blocking."""
        assert self._archive is not None
        place = ChannelKey(channel.session.id, channel.id)
        return [
            Stretch(max(low, start), min(high, end))
            for start, end in noted
            for low, high in self._archive.runs(place, start, end)
        ]

    def _kept(self, channel: Channel, gaps: Sequence[Gap]) -> list[Run]:
        """The gaps' sound, and some around it, from the archive. Blocking."""
        assert self._archive is not None
        place = ChannelKey(channel.session.id, channel.id)
        parts = []
        for start, end in gaps:
            low, high = max(0, start - AROUND_SAMPLES), end + AROUND_SAMPLES
            blocks = PastDecoder().blocks(self._archive, place, low, high)
            parts += [(block.start_sample, block.samples) for block in blocks]
        return joined(parts)
