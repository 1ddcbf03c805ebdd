"""The conversation on one socket of `/ws/pcm`: the first message, the frames, `stop`, errors and close codes.

`socket_audio` decodes the audio; `socket_feed` gives it its place and its pace. When a client sends faster
than real time, the server reads more slowly, so the client's writes wait and nothing collects here.
Invariant: `_end` runs once; after it no task or thread of this socket is left, and its channel is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from host_stt_common.garbage import clear_tracebacks
from host_stt_common.rates import FrameRate
from webrtc_host.doors.control import CLOSE_FLOOD, FLOOD, Controls
from webrtc_host.doors.pcm_shared import SharedBySockets
from webrtc_host.doors.socket_audio import AudioReader, make_reader
from webrtc_host.doors.socket_feed import SocketFeed
from webrtc_host.doors.socket_messages import receive
from webrtc_host.doors.socket_start import (
    AudioStart,
    check_late_message,
    check_start,
    message_fields,
    query_fields,
    start_of,
)
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.fields import merged
from webrtc_host.http.server import GATE
from webrtc_host.seams import ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import Connection
from webrtc_host.session.resume import Claim, Refusal
from webrtc_host.session.takeover import take_over_dead

logger = logging.getLogger(__name__)

TICK_S = 0.25
FINISH_S = 2.0
"""For decoding the rest when a connection ends without `stop`."""
CLOSE_TIMEOUT_S = 2.0
"""How long the server waits for the client's close frame before it closes the TCP connection."""
TEXT_S = 0.05
"""Pause after a text message, so that many of them do not keep the server busy."""
CLOSE_OF_REASON = {"server_stopping": 1001}
PEER_CLOSED = "peer_closed"
CONNECTION_LOST = "connection_lost"
"""The client left without `stop`: with a close frame, or without one."""


def close_code(error: RequestError) -> int:
    """4000 plus the HTTP status; 1013 (try again later) for a server that is full, 1008 for a flood."""
    if error.code == FLOOD:
        return CLOSE_FLOOD
    return 1013 if error.status == 503 else 4000 + error.status


class PcmConversation:
    """One socket, from the first message to the close frame."""

    def __init__(
        self, shared: SharedBySockets, request: web.Request, socket: web.WebSocketResponse, rate: FrameRate
    ) -> None:
        self._rate = rate
        self._shared = shared
        self._request = request
        self._socket = socket
        self._error: RequestError | None = None
        self._connection: Connection | None = None
        self._feed: SocketFeed | None = None
        self._reader: AudioReader | None = None
        self._reading: asyncio.Task[str] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[int] | None = None
        self._controls = Controls(("stop", "keepalive"), shared.limits.text_bytes)
        self._address: dict[str, Any] = {}
        self._frames = 0
        self._bytes = 0

    async def run(self) -> None:
        try:
            self._request.app[GATE].check_token(self._request)
            start = await self._first_message()
            with self._shared.room_for(start):
                await self._begin(start)
                await self._converse()
        except RequestError as error:
            self._error = error
            clear_tracebacks(error)  # they lead to this conversation, which keeps the error
            await self._say_goodbye("refused", None)

    async def end(self, reason: str) -> int:
        """Decode the rest, flush the last words, send `stopped`, close. Returns the seq of the last event."""
        if self._feed is not None:
            self._feed.hurry()
        return await self._end_once(reason)

    def release(self, reason: str) -> None:
        """Detach from the channel at once, then end."""
        if self._connection is None or self._feed is None or self._feed.is_detached:
            return
        self._feed.detach()
        self._connection.channels[0].detach(reason)
        self._shared.registry.disconnect(self._connection)
        self._ending = self._ending or asyncio.create_task(self._end(reason), name=f"end socket ({reason})")

    async def _first_message(self) -> AudioStart:
        """What the audio is, from the query and the first message. A query with `encoding` is enough."""
        channel_id = self._request.match_info["channel"]
        self._address = query_fields(self._request.query)
        if "encoding" in self._address:
            return start_of(self._address, channel_id)
        message = await self._receive(self._shared.limits.first_message_s, "no first message came")
        if message.type is not WSMsgType.TEXT:
            raise RequestError(
                "no_start", "the first message must be JSON text that describes the audio", 400
            )
        if len(message.data) > self._shared.limits.text_bytes:
            raise RequestError("too_large", "the first message is too long", 413)
        return start_of(merged(self._address, message_fields(message.data)), channel_id)

    async def _begin(self, start: AudioStart) -> None:
        registry = self._shared.registry
        session = registry.get_live(start.session)
        check_start(start.start_sample, session.now_sample())
        channel = registry.channel(session, str(start.spec.channel))
        claim = await self._claimed(start, channel)
        await take_over_dead(registry, channel)
        tokens = self._shared.tokens
        connection = registry.connect(
            *(session, DoorKind.SOCKET, [start.spec], self.end, self.release),
            by=token_name(self._request),
            on_disconnect=None if tokens is None else tokens.closed,
        )
        self._connection = connection
        if claim is not None and tokens is not None:
            tokens.give(connection, claim)
        try:
            channel.open()
            self._feed = SocketFeed(channel, self._shared.feed, start_sample=start.start_sample)
            self._reader = make_reader(start, self._feed)
        except BaseException:
            await channel.close("refused")
            registry.disconnect(connection)
            raise
        note_feed(self._request, "fed", session.id, [channel.id], f"socket {connection.id}")
        logger.info("socket %s opened: %s feeds %s", connection.id[:6], start.encoding.value, channel.id)
        self._ticking = asyncio.create_task(self._tick(), name=f"tick socket {connection.id[:6]}")
        await self._say(
            type="started",
            session=session.id,
            connection=connection.id,
            channel=channel.id,
            now_ms=session.now_ms(),
        )

    async def _claimed(self, start: AudioStart, channel: Channel) -> Claim | None:
        """What a resume token allows. An earlier connection of the same client gives up the channel."""
        if start.resume is None or self._shared.tokens is None:
            return None
        claim = self._shared.tokens.find(start.resume)
        if isinstance(claim, Refusal) or claim.session != channel.session.id:
            return None
        holder = self._shared.registry.holder_of(channel)
        if claim.channels != (channel.id,):
            return None
        if holder is not None and holder.id == claim.connection:
            await self._shared.registry.take_over(holder)
        return claim

    async def _converse(self) -> None:
        self._reading = asyncio.create_task(self._read(), name="read socket")
        try:
            await asyncio.wait({self._reading})
        except asyncio.CancelledError:  # the server stops the handler, or the client is gone
            await asyncio.wait({self._reading}, timeout=FINISH_S)
            await self._end_once("server_stopping" if self._request.transport else self._left())
            raise
        if self._reading.cancelled():  # `end` or `release` was called
            await self._end_once("closed")
        elif (error := self._reading.exception()) is None:
            await self._end_once(self._reading.result())
        elif isinstance(error, RequestError):
            self._error = error
            clear_tracebacks(error)
            await self._end_once(error.code)
        else:
            logger.error("a socket failed while it was read", exc_info=error)
            self._error = RequestError(
                "internal", "the server failed on this socket; its log has the details", 500
            )
            await self._end_once("failed")

    def _left(self) -> str:
        """Why the client is gone: the result of `_read`, or a broken connection."""
        reading = self._reading
        if reading is None or not reading.done() or reading.cancelled() or reading.exception():
            return CONNECTION_LOST
        return reading.result()

    async def _read(self) -> str:
        """Read and decode until the client ends. Returns the reason."""
        assert self._reader is not None
        while True:
            message = await self._receive(self._shared.limits.idle_s, "nothing came")
            match message.type:
                case WSMsgType.BINARY:
                    await self._take(message.data)
                case WSMsgType.TEXT:
                    if await self._is_stop(message.data):
                        await self._reader.finish()
                        return "stopped"
                    await asyncio.sleep(TEXT_S)
                case WSMsgType.CLOSE:
                    await self._reader.finish()
                    return PEER_CLOSED
                case _:  # the connection ended without a closing handshake
                    await self._reader.finish()
                    return CONNECTION_LOST

    async def _take(self, data: bytes) -> None:
        assert self._reader is not None and self._feed is not None
        if len(data) > self._shared.limits.frame_bytes:
            raise RequestError(
                "too_large",
                f"a frame of {len(data)} bytes; {self._shared.limits.frame_bytes} at most, send smaller ones",
                413,
            )
        self._frames += 1
        self._bytes += len(data)
        await self._feed.admit()
        if data:  # some senders mark a pause, or test the connection, with an empty frame
            await self._reader.write(data)

    async def _is_stop(self, text: str) -> bool:
        """Whether the text message is `stop`. An invalid one gets an error, and the feed continues."""
        try:
            return bool(self._controls.read(text)["type"] == "stop")
        except RequestError as error:
            if "encoding" in self._address and not self._frames and check_late_message(text, self._address):
                return False
            self._controls.note_unreadable(asyncio.get_running_loop().time())
            await self._say(v=1, type="error", code=error.code, message=error.message)
            return False

    async def _receive(self, within_s: float, what: str) -> WSMessage:
        try:
            return await receive(self._socket, within_s, self._rate, self._request.transport)
        except TimeoutError as error:
            raise RequestError("idle", f"{what} within {within_s:g} s", 408) from error

    async def _tick(self) -> None:
        assert self._feed is not None
        while True:
            await asyncio.sleep(TICK_S)
            try:
                self._feed.on_tick()
            except Exception:
                logger.exception("the timer of a socket failed")
                return

    async def _end_once(self, reason: str) -> int:
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(reason), name=f"end socket ({reason})")
        return await asyncio.shield(self._ending)

    async def _end(self, reason: str) -> int:
        connection, feed = self._connection, self._feed
        assert connection is not None and feed is not None
        await _cancelled(self._reading)
        await _cancelled(self._ticking)
        await self._drain(feed)
        channel = connection.channels[0]
        seq = connection.session.log.head_seq
        if not feed.is_detached:
            feed.detach()
            seq = await channel.close(reason)
            self._shared.registry.disconnect(connection)
        self._count(feed)
        logger.info("socket %s closed (%s)", connection.id[:6], reason)
        await self._say_goodbye(reason, seq)
        return seq

    async def _drain(self, feed: SocketFeed) -> None:
        """Decode what was received and not decoded yet, and close the decoder."""
        assert self._reader is not None
        feed.hurry()
        try:
            if self._error is None:
                await asyncio.wait_for(self._reader.finish(), FINISH_S)
        except (RequestError, TimeoutError) as error:
            logger.info("the end of a socket's audio was not decoded: %s", error)
        except Exception:
            logger.exception("the end of a socket's audio could not be passed on")
        try:
            await self._reader.close()
            feed.flush()
        except Exception:
            logger.exception("the decoder of a socket could not be closed")

    def _count(self, feed: SocketFeed) -> None:
        totals = self._shared.totals
        totals["frames"] += self._frames
        totals["bytes"] += self._bytes
        totals["audio_ms"] += ms_of(feed.samples)
        totals["slowed"] += feed.waits

    async def _say_goodbye(self, reason: str, seq: int | None) -> None:
        """Send `stopped` or `error`, then the close frame; to a client that left, only the close frame."""
        code = CLOSE_OF_REASON.get(reason, 1000)
        if self._error is not None:
            self._shared.totals["refused"] += 1
            code = close_code(self._error)
            later = {}
            if self._error.retry_after_s is not None:
                later = {"retry_after_ms": round(self._error.retry_after_s * 1000)}
            await self._say(v=1, type="error", code=self._error.code, message=self._error.message, **later)
        elif reason not in (PEER_CLOSED, CONNECTION_LOST):
            await self._say(type="stopped", reason=reason, final_seq=seq)
        with contextlib.suppress(ConnectionError, TimeoutError):
            await self._socket.close(code=code, message=reason.encode()[:123], drain=False)

    async def _say(self, **fields: Any) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.send_str(json.dumps(fields))


async def _cancelled(task: asyncio.Task[Any] | None) -> None:
    if task is not None and task is not asyncio.current_task():
        task.cancel()
        await asyncio.wait({task})
