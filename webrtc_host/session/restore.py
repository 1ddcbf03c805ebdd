"""Session restore: after a restart, makes the sessions of the record live again.

Connections that a crash ended are closed in the log, and the time without a server becomes `lost`. This
happens before the server accepts clients. Invariant: a session keeps its id, its t = 0 (by wall clock) and
its seq, and its time never goes back, even when the wall clock was set back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from webrtc_host.errors import RequestError
from webrtc_host.seams import ChannelState
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import SessionLog
from webrtc_host.session.recorded import RecordedSession
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript.coverage_tracker import SERVER_DOWN
from webrtc_host.transcript.restart import FormerChannel, FormerRecord, FormerSession

logger = logging.getLogger(__name__)

CRASHED = "server_crashed"
STOPPED = "server_stopping"


class MakeRestoredLog(Protocol):
    def __call__(self, session_id: str, now_ms: Callable[[], int], head_seq: int = 0) -> SessionLog: ...


@dataclass(frozen=True, slots=True)
class RestoredSession:
    """A session that was restored, and the time without a server, on its own timeline."""

    session: Session
    down_from_ms: int
    down_to_ms: int
    was_stopped: bool  # False: a crash, and archived audio may have no text yet
    cut_off: tuple[str, ...]  # channels that were being fed at that moment


def restore_sessions(
    registry: SessionRegistry, former: FormerRecord, make_log: MakeRestoredLog, now_wall_s: float
) -> tuple[RestoredSession, ...]:
    """Put every former session into the registry; returns those that had not ended.

    Sessions of recordings are left out of the result: their jobs continue them.
    """
    restored = []
    for session in former.sessions:
        if session.is_recorded and not session.is_ended:
            _restore_recorded(registry, session, make_log)
            continue
        live = _restore_session(registry, session, make_log, now_wall_s)
        if session.is_ended:
            continue
        down_from_ms = max(session.alive_ms, (former.down_from_wall_ms or 0) - session.t0_wall_ms)
        down_to_ms = live.now_ms()
        cut_off = _restore_channels(
            registry, live, session, min(down_from_ms, down_to_ms), former.was_stopped
        )
        restored.append(RestoredSession(live, down_from_ms, down_to_ms, former.was_stopped, cut_off))
        logger.info(
            "session %s is restored at seq %s after %.1f s (%s)",
            session.id,
            session.head_seq + 1,
            max(0, down_to_ms - down_from_ms) / 1000,
            "the server was stopped" if former.was_stopped else "the server had crashed",
        )
    return tuple(restored)


def _restore_session(
    registry: SessionRegistry, former: FormerSession, make_log: MakeRestoredLog, now_wall_s: float
) -> Session:
    age_s = max(now_wall_s - former.t0_wall_ms / 1000, former.alive_ms / 1000)
    session = Session(
        former.id,
        former.name,
        clock=registry.clock,
        started_wall=datetime.fromtimestamp(former.t0_wall_ms / 1000, UTC),
        make_log=lambda session_id, now_ms: make_log(session_id, now_ms, former.head_seq),
        age_s=age_s,
        is_ended=former.is_ended,
    )
    registry.adopt(session, is_current=former.is_current)
    return session


def _restore_recorded(
    registry: SessionRegistry, former: FormerSession, make_log: MakeRestoredLog
) -> RecordedSession:
    """The session of a recording that was being transcribed. No time has passed in it."""
    session = RecordedSession(
        former.id,
        former.name,
        clock=registry.clock,
        started_wall=datetime.fromtimestamp(former.t0_wall_ms / 1000, UTC),
        make_log=lambda session_id, now_ms: make_log(session_id, now_ms, former.head_seq),
    )
    registry.adopt(session, is_current=False)
    for known in former.channels:
        try:
            registry.channel(session, known.channel).restore(known)
        except RequestError as error:
            logger.warning("session %s: a channel of the record is not restored: %s", session.id, error)
            continue
        session.restore(known.end_ms)
    return session


def _restore_channels(
    registry: SessionRegistry, session: Session, former: FormerSession, down_from_ms: int, was_stopped: bool
) -> tuple[str, ...]:
    """Restore the channels of the session. Returns the ids of those that were being fed."""
    cut_off = []
    for known in former.channels:
        try:
            channel = registry.channel(session, known.channel)
        except RequestError as error:
            logger.warning("session %s: a channel of the record is not restored: %s", session.id, error)
            continue
        channel.restore(known)
        if any(feed.closed_ms is None for feed in known.feeds):
            cut_off.append(channel.id)
            _close_interrupted_feeds(channel, known, was_stopped)
        else:
            channel.coverage.absent(down_from_ms)
        channel.coverage.absent(session.now_ms(), SERVER_DOWN)
    return tuple(cut_off)


def _close_interrupted_feeds(channel: Channel, former: FormerChannel, was_stopped: bool) -> None:
    """Write `channel.closed` for each connection that fed the channel when the server ended."""
    reason = STOPPED if was_stopped else CRASHED
    for feed in former.feeds:
        if feed.closed_ms is None:
            channel.write_closed(feed.connection, reason, max(former.end_ms, feed.opened_ms))
    channel.report(ChannelState.DISCONNECTED, reason)
