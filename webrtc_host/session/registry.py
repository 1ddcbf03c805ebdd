"""The registry of sessions, and of the connections that feed their channels.

This module decides which connection feeds which channel, applies the limits, and sets each session's t = 0.
Inputs (`doors/`) make the connections, an injected factory makes a channel's pipeline, and the event log
stores the events. Invariant: at most one connection holds a channel. Everything runs in the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from host_stt_common.channel_ids import channel_id_of
from webrtc_host.config import LimitsConfig
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.events import SessionEnded, SessionStarted
from webrtc_host.seams import AudioArchive, Clock, LiveAudio
from webrtc_host.session.channel import Channel, ChannelSpec, MakePipeline
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.session import MakeLog, Session
from webrtc_host.transcript.coverage_tracker import CoverageBook

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 5.0
NAME_CHARS_MAX = 200


MakeArchive = Callable[[str, str], AudioArchive]
"""(session id, channel id) -> the archive of the channel's audio."""
MakeLive = Callable[[str, str], LiveAudio]
"""(session id, channel id) -> where the channel puts its audio for listening desks."""


AnySession = TypeVar("AnySession", bound=Session)


class SessionRegistry:
    """All sessions and connections of the process, and the limits on them."""

    def __init__(
        self,
        limits: LimitsConfig,
        make_log: MakeLog,
        make_pipeline: MakePipeline,
        *,
        clock: Clock = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        coverage: CoverageBook | None = None,
        make_archive: MakeArchive | None = None,
        make_live: MakeLive | None = None,
    ) -> None:
        """make_archive, make_live: called for each new channel. None: no audio is archived, or can be
        listened to.
        """
        self.limits = limits
        self.connections: dict[str, Connection] = {}
        self.coverage = coverage or CoverageBook()
        self._sessions: dict[str, Session] = {}
        self._current: Session | None = None
        self._make_log = make_log
        self._make_pipeline = make_pipeline
        self._make_archive = make_archive
        self._make_live = make_live
        self.clock = clock
        self._wall = wall

    def __iter__(self) -> Iterator[Session]:
        """All sessions, oldest first."""
        return iter(list(self._sessions.values()))

    def adopt(self, session: Session, *, is_current: bool) -> None:
        """Add a session of an earlier process; older sessions first."""
        self._sessions[session.id] = session
        if is_current and not session.is_ended:
            self._current = session

    def create(self, name: str | None = None, *, is_current: bool = False, age_s: float = 0.0) -> Session:
        """Make a new session beside the current one. Raises Overloaded when there are too many.

        age_s: its t = 0 was so long ago.
        """
        return self.create_as(Session, name, is_current=is_current, age_s=age_s)

    def create_as(
        self, kind: type[AnySession], name: str | None = None, *, is_current: bool = False, age_s: float = 0.0
    ) -> AnySession:
        """Like `create`, with the class of the session."""
        self._remove_oldest_ended()
        session_id = f"s_{secrets.token_hex(4)}"
        while session_id in self._sessions:
            session_id = f"s_{secrets.token_hex(4)}"
        session = kind(
            session_id,
            (name or session_id)[:NAME_CHARS_MAX],
            clock=self.clock,
            started_wall=self._wall() - timedelta(seconds=age_s),
            make_log=self._make_log,
            age_s=age_s,
        )
        self._sessions[session_id] = session
        session.log.emit(
            SessionStarted(name=session.name, t0_wall=session.started_wall, is_current=is_current)
        )
        logger.info("session %s opened", session_id)
        return session

    def current(self, age_s: float = 0.0) -> Session:
        """The session for callers who name none: made when first needed, and used until it ends.

        age_s: of a session that is made now, for audio that began so long ago.
        """
        if self._current is None or self._current.is_ended:
            self._current = self.create(is_current=True, age_s=age_s)
        return self._current

    def get(self, session_id: str | None) -> Session:
        """The named session, ended or not; the current one for None. Raises RequestError 404."""
        if session_id is None:
            return self.current()
        session = self._sessions.get(session_id)
        if session is None:
            raise RequestError(
                "unknown_session",
                f"there is no session {session_id[:40]!r}; leave `session` out to use the current one",
                404,
            )
        return session

    def get_live(self, session_id: str | None) -> Session:
        """Like `get`, for inputs: raises RequestError 409 when the session has ended."""
        session = self.get(session_id)
        if session.is_ended:
            raise RequestError("session_ended", f"session {session.id} has ended; open another one", 409)
        if session.is_recorded:
            message = f"session {session.id} is the text of a recording; send audio to another session"
            raise RequestError("session_is_recorded", message, 409)
        return session

    def forget(self, session_id: str) -> None:
        """Remove an ended session that was removed from the record. Its watchers get no more events."""
        session = self._sessions.get(session_id)
        if session is not None and session.is_ended:
            del self._sessions[session_id]

    async def end(self, session: Session, reason: str = "requested") -> int:
        """Close the session's connections, write `session.ended`, return its seq.

        A second call changes nothing and returns the newest seq.
        """
        if session.is_ended:
            return session.log.head_seq
        session.mark_ended()
        ends = (
            self.end_connection(connection, "session_ended")
            for connection in self.connections.values()
            if connection.session is session
        )
        await asyncio.gather(*ends)
        await asyncio.gather(*(channel.wait_detached() for channel in session.channels.values()))
        for channel in session.channels.values():
            channel.coverage.absent(session.now_ms())
        session.log.emit(SessionEnded(reason=reason))
        logger.info("session %s ended (%s)", session.id, reason)
        return await session.log.settled()

    def connect(
        self,
        session: Session,
        door: DoorKind,
        specs: Sequence[ChannelSpec],
        end: Callable[[str], Awaitable[int]],
        release: Callable[[str], None] | None = None,
        *,
        by: str | None = None,
        on_disconnect: Callable[[Connection], None] | None = None,
    ) -> Connection:
        """Make a connection that holds the requested channels, in the order of `specs`: all or none.

        release: see `Connection`; None: the input can only `end`. by: the name of the caller's token.
        on_disconnect: called once, by `disconnect`, when the connection is no longer registered.

        Raises RequestError 422 (a bad id, a channel twice), 409 (fed by another connection), Overloaded 429.
        """
        connection_id = f"c_{secrets.token_hex(8)}"
        connection = Connection(
            *(connection_id, session, door, self.clock(), end),
            by=by,
            release=release,
            on_disconnect=on_disconnect,
        )
        self.extend(connection, specs)
        self.connections[connection.id] = connection
        return connection

    def extend(self, connection: Connection, specs: Sequence[ChannelSpec]) -> tuple[Channel, ...]:
        """Add channels to a connection: all or none, with the errors of `connect`."""
        channels = tuple(self._choose(connection.session, specs))
        for channel, spec in zip(channels, specs, strict=True):
            channel.claim(connection, spec)
        connection.add(channels)
        return channels

    def check_room(self, session: Session, specs: Sequence[ChannelSpec]) -> None:
        """Whether `connect` would find these channels now. Raises its errors; reserves nothing."""
        self._choose(session, specs)

    def age_s(self, connection: Connection) -> float:
        """Seconds since the connection was made."""
        return self.clock() - connection.opened_s

    def release_channel(self, connection: Connection, channel: Channel) -> None:
        """Remove a channel from the connection and free it; it is closed, or was only reserved."""
        connection.drop(channel)
        channel.release(connection)

    def disconnect(self, connection: Connection) -> None:
        """Remove a connection whose channels are closed. Channels that it only reserved are freed."""
        is_first_call = self.connections.pop(connection.id, None) is not None
        if is_first_call and connection.on_disconnect is not None:
            connection.on_disconnect(connection)
        for channel in connection.channels:
            channel.release(connection)

    def holder_of(self, channel: Channel) -> Connection | None:
        """The connection that holds the channel; None: the channel is free."""
        return None if channel.connection is None else self.connections.get(channel.connection.id)

    async def end_connection(self, connection: Connection, reason: str) -> int:
        """Drain and close one connection. Returns the seq of its last event."""
        try:
            return await connection.end(reason)
        except Exception:
            logger.exception("connection %s failed while it closed", connection.id)
            return connection.session.log.head_seq

    async def take_over(self, connection: Connection, reason: str = "resumed") -> None:
        """Free the channels of a connection whose client has made another connection.

        They are free at once when the input supports it, else after the last windows are transcribed.
        """
        if connection.release is None:
            await self.end_connection(connection, reason)
        else:
            connection.release(reason)

    async def close(self) -> None:
        """Drain every connection when the server stops. Sessions do not end: a restart can restore them."""
        ends = (
            self.end_connection(connection, "server_stopping") for connection in self.connections.values()
        )
        await asyncio.gather(*ends)
        channels = [channel for session in self for channel in session.channels.values()]
        await asyncio.gather(*(channel.wait_detached() for channel in channels))

    def statistics(self) -> dict[str, int]:
        doors = Counter(connection.door.value for connection in self.connections.values())
        return {
            "sessions": len(self._sessions),
            "connections": len(self.connections),
            "channels_fed": self._fed(),
            **{f"connections_{door.value}": doors[door.value] for door in DoorKind},
        }

    def channel(self, session: Session, channel_id: str) -> Channel:
        """The channel with this id, made when first needed. Raises RequestError 422 outside C01-C64."""
        known = session.channels.get(channel_id)
        if known is not None:
            return known
        if channel_id not in self._ids():
            raise RequestError(
                "unknown_channel",
                f"channel {channel_id[:20]} is outside C01-C{self.limits.channels_per_session:02d}",
                422,
            )
        archive = None if self._make_archive is None else self._make_archive(session.id, channel_id)
        live = None if self._make_live is None else self._make_live(session.id, channel_id)
        channel = Channel(channel_id, session, self._make_pipeline, self.coverage, archive, live)
        session.channels[channel_id] = channel
        return channel

    def _ids(self) -> list[str]:
        return [channel_id_of(number) for number in range(1, self.limits.channels_per_session + 1)]

    def _fed(self) -> int:
        return sum(len(connection.channels) for connection in self.connections.values())

    def _remove_oldest_ended(self) -> None:
        """Remove the oldest ended session when the table is full."""
        if len(self._sessions) < self.limits.sessions:
            return
        oldest_ended = next((s.id for s in self._sessions.values() if s.is_ended), None)
        if oldest_ended is None:
            raise Overloaded(
                "too_many_sessions",
                f"{len(self._sessions)} sessions are open, the limit is {self.limits.sessions}; "
                "end one or raise limits.sessions",
                retry_after_s=RETRY_AFTER_S,
                status=429,
            )
        del self._sessions[oldest_ended]

    def _choose(self, session: Session, specs: Sequence[ChannelSpec]) -> list[Channel]:
        """The channels for the requests: the named ones, and the lowest free ids for the others."""
        if self._fed() + len(specs) > self.limits.channels_per_process:
            raise Overloaded(
                "too_many_channels",
                f"{self._fed()} channels are fed and {len(specs)} more are requested; this server accepts "
                f"{self.limits.channels_per_process}",
                retry_after_s=RETRY_AFTER_S,
                status=429,
            )
        named = [spec.channel for spec in specs if spec.channel is not None]
        for channel_id, times in Counter(named).items():
            self._check_free(self.channel(session, channel_id), times)
        free = [i for i in self._ids() if i not in named and not self._is_held(session, i)]
        if len(specs) - len(named) > len(free):
            raise Overloaded(
                "no_free_channel",
                f"{len(specs)} channels are requested, {len(free) + len(named)} of "
                f"{self.limits.channels_per_session} are free in {session.id}; close a connection first",
                retry_after_s=RETRY_AFTER_S,
                status=429,
            )
        rest = iter(free)
        return [self.channel(session, spec.channel or next(rest)) for spec in specs]

    def _check_free(self, channel: Channel, times: int) -> None:
        if times > 1:
            raise RequestError(
                "duplicate_channel", f"channel {channel.id} is named {times} times; each feeds one track", 422
            )
        if channel.connection is not None:
            raise RequestError(
                "channel_fed",
                f"channel {channel.id} is already fed by another connection; close that one or choose "
                "another channel",
                409,
            )

    def _is_held(self, session: Session, channel_id: str) -> bool:
        channel = session.channels.get(channel_id)
        return channel is not None and channel.connection is not None
