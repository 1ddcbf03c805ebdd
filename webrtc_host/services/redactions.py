"""Redactions: remove the text and the audio of a range for good, and keep a note of who did it, when and why.

The text goes in the transaction that saves the event `range.redacted`, then the events in memory, then the
audio; the coverage of the range becomes `redacted`. A redaction that a crash cut off is finished at the next
start. Invariants: nothing of a held session or channel is removed; nothing can bring the words back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from host_stt_common.names import one_line
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.events import RangeRedacted
from webrtc_host.seams import SAMPLES_PER_MS, CoverageState
from webrtc_host.services.session_logs import SessionLogs
from webrtc_host.services.suggestions import Suggestions
from webrtc_host.session.channel import Channel
from webrtc_host.transcript import records
from webrtc_host.transcript import redaction_rows as rows
from webrtc_host.transcript.coverage import CoverageRun
from webrtc_host.transcript.coverage_tracker import report_run
from webrtc_host.transcript.records import Span
from webrtc_host.transcript.search_writer import forget_old_words
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

SETTLE_S = 5.0
"""How long a redaction waits for the text of audio that is still being transcribed."""
SETTLE_POLL_S = 0.1
RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What to remove. has_text, has_audio: at least one of them."""

    session: str
    channel: str
    from_ms: int
    to_ms: int
    has_text: bool
    has_audio: bool
    reason: str

    @property
    def key(self) -> ChannelKey:
        return ChannelKey(self.session, self.channel)


@dataclass(frozen=True, slots=True)
class Redaction:
    """What was removed. copies: older copies of the record and damaged audio files, which still have it."""

    seq: int
    segments: tuple[str, ...]
    audio_ms: int
    copies: tuple[str, ...]


class Redactions:
    """One per process; `running` is one of the server's start steps."""

    def __init__(
        self, store: Store, logs: SessionLogs, archive: Archive | None, suggestions: Suggestions
    ) -> None:
        """archive: None: no audio is kept."""
        self._store, self._logs, self._archive, self._suggestions = store, logs, archive, suggestions
        self._lock = asyncio.Lock()
        self._begun: set[asyncio.Task[Redaction]] = set()

    def begin(self, wish: Wish, who: str) -> asyncio.Task[Redaction]:
        """`redact` as a task, which goes on when its caller has left, until the server stops."""
        task = asyncio.create_task(self.redact(wish, who), name="redaction")
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        return task

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One of the server's start steps. A stop interrupts a redaction; the next start finishes it."""
        removing = asyncio.create_task(self._remove_left_audio(), name="audio of redactions")
        try:
            yield
        finally:
            tasks = {removing, *self._begun}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def redact(self, wish: Wish, who: str) -> Redaction:
        """Raises RequestError 404, 409 (held, or still being transcribed), 413 and 422, StoreError."""
        if self._store.state.is_degraded:
            raise StoreError(f"the record cannot be written now ({self._store.state.reason})")
        if not one_line(wish.reason):
            raise RequestError("reason_missing", "a redaction needs a reason; write at least one word", 422)
        async with self._lock:
            log = await self._logs.of(wish.session)
            await self._check(wish)
            await log.settled()
            lines = tuple(await self._lines(wish)) if wish.has_text else ()
            # Words that wait to be counted would come into the record after the redaction.
            await self._suggestions.flush()
            event = RangeRedacted(
                channel=wish.channel,
                from_ms=wish.from_ms,
                to_ms=wish.to_ms,
                has_text=wish.has_text,
                has_audio=wish.has_audio,
                segments=lines,
                reason=one_line(wish.reason),
                by=who,
            )
            seq = log.emit(event)
            assert seq is not None, "the event is stored"
            await log.settled(seq)
            if wish.has_text:
                removed = partial(rows.removed_by, session=wish.session, event=event)
                log.redact(await self._store.read(removed))
            await self._cover(wish, who)
            await log.settled()
            if await self._store.read(lambda connection: rows.have_text(connection, lines)):
                raise StoreError("the record could not remove the text; try again in a moment")
            audio_ms = await self._remove_audio(wish, seq) if wish.has_audio else 0
            if wish.has_text:
                await self._store.write(forget_old_words)
            await self._store.scrub()
            logger.info("redacted %s lines and %s ms of audio of %s", len(lines), audio_ms, wish.channel)
            return Redaction(seq, lines, audio_ms, await self._copies(wish))

    async def trial(self, wish: Wish) -> tuple[int, int]:
        """(lines, milliseconds of audio) that a redaction would remove. Raises as `redact`."""
        await self._check(wish)
        lines = await self._lines(wish) if wish.has_text else []
        if self._archive is None or not wish.has_audio:
            return len(lines), 0
        first, last = wish.from_ms * SAMPLES_PER_MS, wish.to_ms * SAMPLES_PER_MS
        runs = await asyncio.to_thread(self._archive.runs, wish.key, first, last)
        return len(lines), sum(end - start for start, end in runs) // SAMPLES_PER_MS

    async def _remove_left_audio(self) -> None:
        """Remove the audio that a redaction could not remove, or that the end of a process left."""
        while True:
            try:
                async with self._lock:
                    for one in await self._store.read(rows.audio_to_remove):
                        key = ChannelKey(one.session, one.channel)
                        await self._remove(key, one.from_ms, one.to_ms, one.key)
            except (StoreError, Overloaded, OSError) as error:
                logger.warning("the audio of a redaction is not removed yet: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _check(self, wish: Wish) -> None:
        """Raises RequestError when the range may not be redacted, or not yet."""
        if await self._store.read(partial(rows.is_held, session=wish.session, channel=wish.channel)):
            message = (
                f"{wish.channel} of session {wish.session} is under a hold, so nothing of it is removed; a "
                "supervisor can lift the hold"
            )
            raise RequestError("session_held", message, 409)
        channel = self._live_channel(wish)
        if channel is None:
            known = partial(records.has_channel, session_id=wish.session, channel=wish.channel)
            if not await self._store.read(known):
                message = f"session {wish.session} has no channel {wish.channel}"
                raise RequestError("unknown_channel", message, 404)
            return
        for _ in range(round(SETTLE_S / SETTLE_POLL_S)):
            if _is_settled(channel, wish):
                return
            await asyncio.sleep(SETTLE_POLL_S)
        if not _is_settled(channel, wish):
            message = (
                f"{wish.channel} is transcribed up to {channel.coverage.covered_to_ms} ms, and the range "
                f"ends at {wish.to_ms} ms; try again when its text is there, or choose an earlier end"
            )
            raise RequestError("range_not_settled", message, 409)

    async def _lines(self, wish: Wish) -> list[str]:
        span = partial(
            rows.lines_in,
            session=wish.session,
            channel=wish.channel,
            from_ms=wish.from_ms,
            to_ms=wish.to_ms,
        )
        lines = await self._store.read(span)
        if len(lines) > rows.LINES_MAX:
            message = f"the range has more than {rows.LINES_MAX} lines; redact it in parts"
            raise RequestError("range_too_long", message, 413)
        return lines

    async def _cover(self, wish: Wish, who: str) -> None:
        """Note the redaction in the coverage, in place of every other state of the time that has one."""
        span = Span(wish.session, frozenset((wish.channel,)), wish.from_ms, wish.to_ms)
        reason = f"{who}: {one_line(wish.reason)}"
        channel = self._live_channel(wish)
        if channel is None:
            log = await self._logs.of(wish.session)
            for _, low, high in await self._store.read(partial(records.extents, span=span)):
                if low < high:
                    report_run(log, wish.channel, CoverageRun(low, high, CoverageState.REDACTED, reason))
            return
        low = max(wish.from_ms, channel.coverage.origin_ms or 0)
        high = min(wish.to_ms, channel.coverage.covered_to_ms)
        if low < high:
            start, end = low * SAMPLES_PER_MS, high * SAMPLES_PER_MS
            if wish.has_audio:
                channel.claim_gap(start, end)  # no client sends the audio again to fill a gap in it
            channel.coverage.repair(start, end, CoverageState.REDACTED, reason)

    async def _remove_audio(self, wish: Wish, seq: int) -> int:
        note = f"{rows.AUDIO_NOTE}{wish.session}:{seq}"
        try:
            return await self._remove(wish.key, wish.from_ms, wish.to_ms, note)
        except OSError as error:
            logger.error("the audio of a redaction is not removed yet: %s", error)
            message = f"the text is removed, the audio is not yet: {error.strerror}; the server tries again"
            raise StoreError(message) from error

    async def _remove(self, key: ChannelKey, from_ms: int, to_ms: int, note: str) -> int:
        samples = 0
        if self._archive is not None:
            first, last = from_ms * SAMPLES_PER_MS, to_ms * SAMPLES_PER_MS
            samples = await asyncio.to_thread(self._archive.redact, key, first, last)
        await self._store.write(lambda connection: rows.audio_removed(connection, note))
        return samples // SAMPLES_PER_MS

    async def _copies(self, wish: Wish) -> tuple[str, ...]:
        copies = await asyncio.to_thread(self._store.older_copies)
        if wish.has_audio and self._archive is not None:
            copies += await asyncio.to_thread(self._archive.damaged_files, wish.key)
        return tuple(copies)

    def _live_channel(self, wish: Wish) -> Channel | None:
        session = self._logs.live(wish.session)
        return None if session is None or session.is_ended else session.channels.get(wish.channel)


def _is_settled(channel: Channel, wish: Wish) -> bool:
    """Whether no text will come for the range."""
    if channel.unread.overlap(wish.from_ms * SAMPLES_PER_MS, wish.to_ms * SAMPLES_PER_MS) is not None:
        return False
    is_open = channel.connection is not None or channel.pipeline is not None
    return not is_open or channel.coverage.covered_to_ms >= wish.to_ms
