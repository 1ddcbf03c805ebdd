"""What `ws`, `sse` and `data_channel` share: the request of a watcher, and the loop that sends its events.

It parses `session`, `channels` and `since`, and decides on close codes. Each of the three passes a `send`
that waits while its peer is slow; there is no other back pressure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from host_stt_common.callers import LOOPBACK
from host_stt_common.channel_ids import BadChannelId, channel_ids_of
from webrtc_host.desk.subscribers import End, Subscribers, Watcher
from webrtc_host.errors import RequestError
from webrtc_host.http.fields import check_fields
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript.event_log import EncodedEvent

BATCH_EVENTS = 32
"""Events taken at once. Few, so that a replay to one watcher does not delay live events to others."""
SEQ_MAX = 2**53
QUERY_FIELDS = ("session", "channels", "since", "token", "lastEventId")
"""lastEventId: programs that have no EventSource send Last-Event-ID in this form."""
LEVELS = "levels"
"""Only for WebSockets: `levels=1` also sends the channels' levels."""

CLOSE_CODES = {401: 4401, 403: 4403, 404: 4404, 429: 4429, 503: 1013}
"""HTTP status of a refusal -> WebSocket close code."""
CLOSE_MALFORMED = 4400
CLOSE_OF_END = {End.OVERFLOW: 1013, End.GOING_AWAY: 1001, End.LEFT: 1000}
REASON_OF_END = {
    End.OVERFLOW: "too slow; come back with since=",
    End.GOING_AWAY: "the server is stopping; come back with since=",
    End.LEFT: "",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """The request of a watcher. None: the current session, all channels, live events only."""

    session: str | None = None
    channels: frozenset[str] | None = None
    since: int | None = None
    has_levels: bool = False

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], last_event_id: str | None = None, *, can_have_levels: bool = False
    ) -> Wish:
        """last_event_id: SSE's own resume; it wins over `since`, which its reconnects repeat unchanged.

        Raises RequestError 400 for a bad value, 422 for an unknown field: misspelt, it would show other text
        than was asked for.
        """
        check_fields(query, (*QUERY_FIELDS, LEVELS) if can_have_levels else QUERY_FIELDS, "the address")
        since = last_event_id or query.get("lastEventId") or query.get("since")
        levels = query.get(LEVELS, "0")
        if levels not in ("0", "1"):
            raise RequestError("bad_levels", f"levels is 0 or 1, not {levels[:20]!r}", 400)
        channels = _channels(query.get("channels"))
        return cls(query.get("session") or None, channels, _since(since), levels == "1")


class Watching:
    """Brings a watcher and its session together."""

    def __init__(self, registry: SessionRegistry, subscribers: Subscribers) -> None:
        self._registry = registry
        self.subscribers = subscribers

    def session_of(self, wish: Wish) -> Session:
        """Raises RequestError 404 when there is no such session."""
        return self._registry.get(wish.session)

    def join(self, wish: Wish, caller: str = LOOPBACK) -> Watcher:
        """caller: the key it is counted by.

        Raises RequestError 404 (no such session) and Overloaded (too many, stopping).
        """
        log = self._registry.get(wish.session).log
        return self.subscribers.join(log, wish.channels, wish.since, caller)


async def pump(
    watcher: Watcher,
    send: Callable[[EncodedEvent], Awaitable[None]],
    *,
    idle_s: float | None = None,
    on_idle: Callable[[], Awaitable[None]] | None = None,
) -> End:
    """Send a watcher's events as they come, until it ends. Returns the reason.

    on_idle: called after each `idle_s` without events. A `send` that is stuck is given up when the watcher
    overflows or the server stops. Raises what `send` raises when the peer has gone.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as patience:
            watcher.on_hurry(lambda left_s: patience.reschedule(loop.time() + left_s))
            return await _pump(watcher, send, idle_s, on_idle)
    except TimeoutError:
        if not patience.expired():
            raise
        return watcher.reason
    finally:
        watcher.on_hurry(None)


async def _pump(
    watcher: Watcher,
    send: Callable[[EncodedEvent], Awaitable[None]],
    idle_s: float | None,
    on_idle: Callable[[], Awaitable[None]] | None,
) -> End:
    while True:
        if watcher.end is None and not await _has_something(watcher, idle_s) and on_idle is not None:
            await on_idle()
        await watcher.refill()
        for event in watcher.take(BATCH_EVENTS):
            await send(event)
        if watcher.end is not None:
            return watcher.end
        if watcher.has_waiting:
            await asyncio.sleep(0)


async def _has_something(watcher: Watcher, idle_s: float | None) -> bool:
    if idle_s is None or watcher.has_waiting:
        await watcher.wait()
        return True
    idling = asyncio.timeout(idle_s)
    try:
        async with idling:
            await watcher.wait()
    except TimeoutError:
        if not idling.expired():
            raise
        return False
    return True


def close_code(error: RequestError) -> int:
    return CLOSE_CODES.get(error.status, CLOSE_MALFORMED)


def close_reason(text: str) -> bytes:
    """A close frame carries 123 bytes of reason at most."""
    return text.encode()[:123].decode(errors="ignore").encode()


def _channels(text: str | None) -> frozenset[str] | None:
    if not text:
        return None
    try:
        return channel_ids_of(text)
    except BadChannelId as error:
        message = f"channels are C01, C02, ... with commas between, not {error.name[:20]!r}"
        raise RequestError("bad_channel", message) from error


def _since(text: str | None) -> int | None:
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > SEQ_MAX:
        raise RequestError("bad_since", f"since is the seq of the last event you have, not {text[:20]!r}")
    return int(text)
