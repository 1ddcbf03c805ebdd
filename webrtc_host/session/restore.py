"""Session restore: after a restart, the sessions of the record continue.

Owns the events of a restart: feeds that the end of the server cut off are closed, and the time without a
server is lost. It is complete before the server accepts clients. Invariant: a session keeps its id, its
t = 0 (by the wall clock) and its seq, and its time never goes back, even when the wall clock was set back
meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from webrtc_host.errors import RequestError
from webrtc_host.events import ChannelClosed
from webrtc_host.seams import ChannelState
from webrtc_host.session.channel import Channel, SessionLog
from webrtc_host.session.registry import Session, SessionRegistry
from webrtc_host.transcript.coverage_keeper import SERVER_DOWN
from webrtc_host.transcript.restart import FormerChannel, FormerRecord, FormerSession

logger = logging.getLogger(__name__)

CRASHED = "server_crashed"
STOPPED = "server_stopping"


class MakeFormerLog(Protocol):
    def __call__(self, session_id: str, now_ms: Callable[[], int], head_seq: int = 0) -> SessionLog: ...


@dataclass(frozen=True, slots=True)
class RestoredSession:
    """A session that continues, and the time without a server, on the session's own timeline."""

    session: Session
    down_from_ms: int
    down_to_ms: int
    was_stopped: bool  # in order; False: the server crashed, and archived audio may lack its text
    cut_off: tuple[str, ...]  # channels that were fed when the server ended


def restore_sessions(
    registry: SessionRegistry, former: FormerRecord, make_log: MakeFormerLog, now_wall_s: float
) -> tuple[RestoredSession, ...]:
    """Put every former session into the registry. Returns those that continue; ended ones do not."""
    restored = []
    for session in former.sessions:
        live = _made_live(registry, session, make_log, now_wall_s)
        if session.is_ended:
            continue
        down_from_ms = max(session.alive_ms, (former.down_from_wall_ms or 0) - session.t0_wall_ms)
        down_to_ms = live.now_ms()
        cut_off = _open_channels(registry, live, session, min(down_from_ms, down_to_ms), former.was_stopped)
        restored.append(RestoredSession(live, down_from_ms, down_to_ms, former.was_stopped, cut_off))
        logger.info(
            "session %s continues at seq %s after %.1f s (%s)",
            session.id,
            session.head_seq + 1,
            max(0, down_to_ms - down_from_ms) / 1000,
            "the server was stopped" if former.was_stopped else "the server had crashed",
        )
    return tuple(restored)


def _made_live(
    registry: SessionRegistry, former: FormerSession, make_log: MakeFormerLog, now_wall_s: float
) -> Session:
    age_s = max(now_wall_s - former.t0_wall_ms / 1000, former.alive_ms / 1000)
    session = Session(
        former.id,
        former.name,
        clock=registry.clock,
        started_wall=datetime.fromtimestamp(former.t0_wall_ms / 1000, UTC),
        make_log=lambda session_id, now_ms: make_log(session_id, now_ms, former.head_seq),
        age_s=age_s,
    )
    session.is_ended = former.is_ended
    registry.adopt(session, is_current=former.is_current)
    return session


def _open_channels(
    registry: SessionRegistry, session: Session, former: FormerSession, down_from_ms: int, was_stopped: bool
) -> tuple[str, ...]:
    """Restore the channels of a session. Returns the ids of those that were being fed."""
    cut_off = []
    for known in former.channels:
        try:
            channel = registry.channel(session, known.channel)
        except RequestError as error:
            logger.warning("session %s: a channel of the record cannot be restored: %s", session.id, error)
            continue
        channel.restore(known)
        if any(feed.closed_ms is None for feed in known.feeds):
            cut_off.append(channel.id)
            _close_feeds(channel, known, was_stopped)
        else:
            channel.coverage.absent(down_from_ms)
        channel.coverage.absent(session.now_ms(), SERVER_DOWN)
    return tuple(cut_off)


def _close_feeds(channel: Channel, former: FormerChannel, was_stopped: bool) -> None:
    """Write `channel.closed` for each feed that was open when the server ended."""
    reason = STOPPED if was_stopped else CRASHED
    for feed in former.feeds:
        if feed.closed_ms is None:
            end_ms = max(former.end_ms, feed.opened_ms)
            channel.session.log.emit(
                ChannelClosed(channel=channel.id, connection=feed.connection, reason=reason, end_ms=end_ms)
            )
    channel.report(ChannelState.DISCONNECTED, reason)
