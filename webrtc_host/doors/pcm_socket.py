"""`GET /ws/pcm/{channel}`: sound over a WebSocket, for programs and for browsers that WebRTC cannot reach.

Owns the socket's conversation: the first message, the frames, `stop`, errors and close codes. Decoding is
`socket_audio`'s, place and pace `socket_feed`'s. A caller that is faster than real time is read no faster:
its writes wait, nothing is kept for it. Invariant: `end` runs once; after it no task or thread of this socket
is left and its channel is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from host_stt_common.garbage import clear_tracebacks
from host_stt_common.rates import FrameRate, FrameRates
from webrtc_host.config import MediaConfig
from webrtc_host.doors.control import CLOSE_FLOOD, FLOOD, Controls
from webrtc_host.doors.socket_audio import AudioReader, make_reader
from webrtc_host.doors.socket_feed import FeedConfig, SocketFeed
from webrtc_host.doors.socket_messages import read_in_small_pieces, receive
from webrtc_host.doors.socket_start import (
    AudioStart,
    check_late_message,
    check_start,
    message_fields,
    query_fields,
    start_of,
)
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.auth import key_of
from webrtc_host.http.fields import merged
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import GATE, check_upgrade
from webrtc_host.seams import SAMPLES_PER_MS, ms_of
from webrtc_host.session.channel import Channel, DoorKind
from webrtc_host.session.registry import Connection, SessionRegistry
from webrtc_host.session.resume import Claim, Refusal, ResumeTokens
from webrtc_host.session.takeover import take_over_dead

logger = logging.getLogger(__name__)

TICK_S = 0.25
FINISH_S = 2.0
"""For what is held when a connection ends without having been asked to by its client."""
CLOSE_TIMEOUT_S = 2.0
"""A peer that does not answer our close frame is cut off after this long."""
TEXT_S = 0.05
"""Between two text messages; nobody needs more."""
CLOSE_OF_REASON = {"server_stopping": 1001}
PEER_CLOSED = "peer_closed"
CONNECTION_LOST = "connection_lost"
"""The client left without `stop`: with a close frame, or without one."""
RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class SocketLimits:
    frame_bytes: int = 256 * 1024  # one binary frame; 1.4 s of 48 kHz floats
    text_bytes: int = 64 * 1024
    hard_frame_bytes: int = 1024 * 1024  # beyond it the frame is not even read: close code 1009
    first_message_s: float = 10.0
    idle_s: float = 30.0  # without a message; `keepalive` is one
    containers: int = 64  # each has a thread


def close_code(error: RequestError) -> int:
    """4000 and the HTTP status; 1013 (come again later) for a server that is full, 1008 for a flood."""
    if error.code == FLOOD:
        return CLOSE_FLOOD
    return 1013 if error.status == 503 else 4000 + error.status


class PcmSocketDoor:
    def __init__(
        self,
        registry: SessionRegistry,
        media: MediaConfig,
        limits: SocketLimits | None = None,
        tokens: ResumeTokens | None = None,
        rates: FrameRates | None = None,
    ) -> None:
        """tokens: of the clients that may take their channels over; None: nobody may.

        rates: shared with other doors whose frames count together with these.
        """
        self.registry = registry
        self.tokens = tokens
        self.limits = limits or SocketLimits()
        self.feed_config = FeedConfig(
            no_signal_samples=round(media.no_signal_after_s * 1000) * SAMPLES_PER_MS,
        )
        self.totals = {"frames": 0, "bytes": 0, "audio_ms": 0, "slowed": 0, "refused": 0}
        self.rates = rates or FrameRates()
        self._containers = 0

    @Route(
        "GET", "/ws/pcm/{channel}", Role.OPERATOR, "Audio of a channel, over a WebSocket", is_websocket=True
    )
    async def handle(self, request: web.Request) -> web.StreamResponse:
        # No heartbeat: of a caller that is slowed, the pong would wait behind its own sound.
        socket = web.WebSocketResponse(
            timeout=CLOSE_TIMEOUT_S, autoping=False, compress=False, max_msg_size=self.limits.hard_frame_bytes
        )
        check_upgrade(request)
        await socket.prepare(request)
        read_in_small_pieces(request)
        with self.rates.socket(key_of(request)) as rate:
            await _Conversation(self, request, socket, rate).run()
        return socket

    def statistics(self) -> dict[str, float]:
        """Since the start of the process; a socket is counted when it closes."""
        return {**self.totals}

    @contextlib.contextmanager
    def room_for(self, start: AudioStart) -> Iterator[None]:
        """A place among the containers that are being decoded. Raises Overloaded."""
        if not start.encoding.is_container:
            yield
            return
        if self._containers >= self.limits.containers:
            raise Overloaded(
                "too_many_streams",
                f"{self._containers} {start.encoding.value} and other containers are being decoded already; "
                "send Opus packets or PCM",
                retry_after_s=RETRY_AFTER_S,
            )
        self._containers += 1
        try:
            yield
        finally:
            self._containers -= 1


class _Conversation:
    def __init__(
        self, door: PcmSocketDoor, request: web.Request, socket: web.WebSocketResponse, rate: FrameRate
    ) -> None:
        self._rate = rate
        self._door = door
        self._request = request
        self._socket = socket
        self._error: RequestError | None = None
        self._connection: Connection | None = None
        self._feed: SocketFeed | None = None
        self._reader: AudioReader | None = None
        self._reading: asyncio.Task[str] | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[int] | None = None
        self._controls = Controls(("stop", "keepalive"), door.limits.text_bytes)
        self._address: dict[str, Any] = {}
        self._frames = 0
        self._bytes = 0

    async def run(self) -> None:
        try:
            self._request.app[GATE].check_token(self._request)
            start = await self._first_message()
            with self._door.room_for(start):
                await self._begin(start)
                await self._converse()
        except RequestError as error:
            self._error = error
            clear_tracebacks(error)  # they lead to this conversation, which keeps the error
            await self._say_goodbye("refused", None)

    async def end(self, reason: str) -> int:
        """Drain, flush the last words, say so, close. Returns the seq of the channel's last event."""
        if self._feed is not None:
            self._feed.is_hurried = True
        return await self._end_once(reason)

    def release(self, reason: str) -> None:
        """Give the channel up at once, then end."""
        if self._connection is None or self._feed is None or self._feed.is_over:
            return
        self._feed.is_over = True
        self._connection.channels[0].detach(reason)
        self._door.registry.disconnect(self._connection)
        self._ending = self._ending or asyncio.create_task(self._end(reason), name=f"end socket ({reason})")

    async def _first_message(self) -> AudioStart:
        """What is coming, from the address and the first message; an address with `encoding` is enough."""
        channel_id = self._request.match_info["channel"]
        self._address = query_fields(self._request.query)
        if "encoding" in self._address:
            return start_of(self._address, channel_id)
        message = await self._receive(self._door.limits.first_message_s, "no first message came")
        if message.type is not WSMsgType.TEXT:
            raise RequestError(
                "no_start", "the first message must be JSON text that says what is coming", 400
            )
        if len(message.data) > self._door.limits.text_bytes:
            raise RequestError("too_large", "the first message is too long", 413)
        return start_of(merged(self._address, message_fields(message.data)), channel_id)

    async def _begin(self, start: AudioStart) -> None:
        registry = self._door.registry
        session = registry.get_live(start.session)
        check_start(start.start_sample, session.now_sample())
        channel = registry.channel(session, str(start.spec.channel))
        claim = await self._claimed(start, channel)
        await take_over_dead(registry, channel)
        connection = registry.connect(
            session, DoorKind.SOCKET, [start.spec], self.end, self.release, by=token_name(self._request)
        )
        self._connection = connection
        if claim is not None and self._door.tokens is not None:
            self._door.tokens.give(connection, claim)
        try:
            channel.open()
            self._feed = SocketFeed(channel, self._door.feed_config, start_sample=start.start_sample)
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
        """What a resume token stands for. The client's own earlier connection lets the channel go."""
        if start.resume is None or self._door.tokens is None:
            return None
        claim = self._door.tokens.find(start.resume)
        if isinstance(claim, Refusal) or claim.session != channel.session.id:
            return None
        holder = self._door.registry.holder_of(channel)
        if claim.channels != (channel.id,):
            return None
        if holder is not None and holder.id == claim.connection:
            await self._door.registry.take_over(holder)
        return claim

    async def _converse(self) -> None:
        self._reading = asyncio.create_task(self._read(), name="read socket")
        try:
            await asyncio.wait({self._reading})
        except asyncio.CancelledError:  # the server gives up on the handler, or the client is gone
            await asyncio.wait({self._reading}, timeout=FINISH_S)
            await self._end_once("server_stopping" if self._request.transport else self._left())
            raise
        if self._reading.cancelled():  # somebody else ends this connection
            await self._end_once("closed")
        elif (error := self._reading.exception()) is None:
            await self._end_once(self._reading.result())
        elif isinstance(error, RequestError):
            self._error = error
            clear_tracebacks(error)
            await self._end_once(error.code)
        else:
            logger.error("a socket failed while it was read", exc_info=error)
            self._error = RequestError("internal", "the server made a mistake; its log has the details", 500)
            await self._end_once("failed")

    def _left(self) -> str:
        """Why the client is gone: what the reader found, or that the connection broke off."""
        reading = self._reading
        if reading is None or not reading.done() or reading.cancelled() or reading.exception():
            return CONNECTION_LOST
        return reading.result()

    async def _read(self) -> str:
        """Until the end of what the client has to say, all of it handed on; why it ended."""
        assert self._reader is not None
        while True:
            message = await self._receive(self._door.limits.idle_s, "nothing came")
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
                case _:  # the connection broke off without a closing handshake
                    await self._reader.finish()
                    return CONNECTION_LOST

    async def _take(self, data: bytes) -> None:
        assert self._reader is not None and self._feed is not None
        if len(data) > self._door.limits.frame_bytes:
            raise RequestError(
                "too_large",
                f"a frame of {len(data)} bytes; {self._door.limits.frame_bytes} at most, send smaller ones",
                413,
            )
        self._frames += 1
        self._bytes += len(data)
        await self._feed.admit()
        if data:  # some senders mark a pause, or test the line, with a frame of nothing
            await self._reader.write(data)

    async def _is_stop(self, text: str) -> bool:
        """Read a text message; one that cannot be read is answered, and the feed goes on."""
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
                logger.exception("letting time pass failed on a socket")
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
        if not feed.is_over:
            feed.is_over = True
            seq = await channel.close(reason)
            self._door.registry.disconnect(connection)
        self._count(feed)
        logger.info("socket %s closed (%s)", connection.id[:6], reason)
        await self._say_goodbye(reason, seq)
        return seq

    async def _drain(self, feed: SocketFeed) -> None:
        """What was received and not yet handed on; nothing more once the client has said `stop`."""
        assert self._reader is not None
        feed.is_hurried = True
        try:
            if self._error is None:
                await asyncio.wait_for(self._reader.finish(), FINISH_S)
        except (RequestError, TimeoutError) as error:
            logger.info("the end of a socket's sound was not decoded: %s", error)
        except Exception:
            logger.exception("the end of a socket's sound could not be handed on")
        try:
            await self._reader.close()
            feed.flush()
        except Exception:
            logger.exception("a socket's sound did not end cleanly")

    def _count(self, feed: SocketFeed) -> None:
        totals = self._door.totals
        totals["frames"] += self._frames
        totals["bytes"] += self._bytes
        totals["audio_ms"] += ms_of(feed.samples)
        totals["slowed"] += feed.waits

    async def _say_goodbye(self, reason: str, seq: int | None) -> None:
        """`stopped` or `error`, then the close frame; to a client that left, nothing."""
        code = CLOSE_OF_REASON.get(reason, 1000)
        if self._error is not None:
            self._door.totals["refused"] += 1
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
