"""What is usual on each channel: collects its figures, keeps those of 24 hours, and compares.

Lines come from the event log, levels are read every two seconds. Every five minutes the figures of each
channel become one point, in memory and in the record, so that a restart loses five minutes at most. A request
reads memory only. Bounded: CHANNELS_MAX channels of POINTS_MAX points each.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterator

from webrtc_host.errors import StoreError
from webrtc_host.events import SegmentFinal
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.services.usual_figures import (
    DAY_MS,
    POINT_MS,
    POINTS_MAX,
    Comparison,
    Figure,
    Line,
    Point,
    UsualFigures,
)
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript import usual
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.store import Store
from webrtc_host.transcript.usual import UsualPoint

logger = logging.getLogger(__name__)

READING_S = 2.0
FRESH_SAMPLES = 1000 * SAMPLES_PER_MS
"""An older level is not counted: the channel gets no audio."""
CHANNELS_MAX = 256
"""Channels that are remembered. When there are more, the one that was silent for longest is forgotten."""
LINES_MAX = 5000
"""Lines that wait for the next reading."""

Key = tuple[str, str]
"""A channel: its id and its label."""


class LineInbox:
    """A listener of the event log: keeps what the finals tell until the next reading.

    It is made before the sessions, so it knows them by their ids only.
    """

    def __init__(self) -> None:
        self._lines: deque[tuple[str, str, Line]] = deque(maxlen=LINES_MAX)

    def observe(self, logged: LoggedEvent) -> None:
        event = logged.event
        if not isinstance(event, SegmentFinal):
            return
        delay_ms = logged.envelope.latency_ms if event.source is None else None
        confidence = None if event.conf is None else math.exp(min(event.conf, 0.0))
        line = Line(len(event.text.split()), delay_ms, confidence)
        self._lines.append((logged.session, event.channel, line))

    def take(self) -> Iterator[tuple[str, str, Line]]:
        """(session, channel, line), oldest first."""
        while self._lines:
            yield self._lines.popleft()


class Usual:
    """One per process; `run` is one of the server's start steps."""

    def __init__(
        self,
        store: Store,
        inbox: LineInbox,
        registry: SessionRegistry,
        wall_ms: Callable[[], int],
        reading_s: float = READING_S,
    ) -> None:
        self._store, self._inbox, self._registry = store, inbox, registry
        self._wall_ms, self._reading_s = wall_ms, reading_s
        self._figures: dict[Key, UsualFigures] = {}
        self._open_ms = _begin(wall_ms())  # where the point that is being made begins

    async def run(self) -> None:
        """Read the record, then the sessions every two seconds. Cancelled at the server's stop."""
        await self.load()
        while True:
            await asyncio.sleep(self._reading_s)
            await self.read()

    async def load(self) -> None:
        """Continue from the record."""
        since_ms, limit = self._wall_ms() - DAY_MS, CHANNELS_MAX * POINTS_MAX
        try:
            stored = await self._store.read(lambda c: usual.newest(c, since_ms, limit))
        except StoreError as error:
            logger.warning("what was usual is not known, because the record cannot be read: %s", error)
            return
        points: dict[Key, list[Point]] = {}
        for one in stored:
            point = Point(one.wall_ms, one.words, one.delay_ms, one.confidence, one.level_db)
            points.setdefault((one.channel, one.label), []).append(point)
        self._figures |= {key: UsualFigures(found) for key, found in points.items()}
        self._forget()

    async def read(self) -> None:
        """Take the new lines and the levels; make the points at the end of every five minutes."""
        wall_ms = self._wall_ms()
        if _begin(wall_ms) != self._open_ms:
            await self._close(wall_ms)
        sessions = {session.id: session for session in self._registry if not session.is_ended}
        for session_id, channel_id, line in self._inbox.take():
            session = sessions.get(session_id)
            channel = None if session is None else session.channels.get(channel_id)
            if channel is not None:
                self._of(channel).note_line(wall_ms, line)
        for session in sessions.values():
            since = session.now_sample() - FRESH_SAMPLES
            for channel in session.channels.values():
                if (level := channel.level) is not None and level.end_sample >= since:
                    self._of(channel).note_level(wall_ms, level.rms_db)

    def compare(self, session: Session) -> dict[str, dict[Figure, Comparison]]:
        """By channel; channels of which nothing is known are left out."""
        wall_ms = self._wall_ms()
        return {
            channel.id: figures.compare(wall_ms, self._reading_s)
            for channel in session.channels.values()
            if (figures := self._figures.get(_key(channel))) is not None
        }

    async def _close(self, wall_ms: int) -> None:
        from_ms, self._open_ms = self._open_ms, _begin(wall_ms)
        rows = []
        for (channel, label), figures in self._figures.items():
            if (point := figures.close(from_ms, self._reading_s)) is not None:
                figures_of_point = (point.words, point.delay_ms, point.confidence, point.level_db)
                rows.append(UsualPoint(channel, label, from_ms, *figures_of_point))
        self._forget()
        try:
            await self._store.write(lambda c: usual.put(c, rows, wall_ms - DAY_MS))
        except StoreError as error:
            logger.warning("the figures of %d channels are in memory only: %s", len(rows), error)

    def _of(self, channel: Channel) -> UsualFigures:
        return self._figures.setdefault(_key(channel), UsualFigures())

    def _forget(self) -> None:
        """Forget channels without audio for a day, and those over CHANNELS_MAX."""
        since_ms = self._wall_ms() - DAY_MS
        kept = [(key, one) for key, one in self._figures.items() if one.newest_ms >= since_ms]
        kept.sort(key=lambda item: item[1].newest_ms, reverse=True)
        self._figures = dict(kept[:CHANNELS_MAX])


def _key(channel: Channel) -> Key:
    return channel.id, channel.label


def _begin(wall_ms: int) -> int:
    return wall_ms - wall_ms % POINT_MS
