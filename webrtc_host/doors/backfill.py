"""`GET /ws/backfill/{channel}`: audio that a client recorded during a network gap, sent afterwards.

This module has the messages of the socket, its limits (length, bytes a second, one caller per channel) and
its close codes. `recovery.service` decides which of the audio is used, archives it and transcribes it; the
resume token proves that the caller may send it. Invariant: when the socket closes with 1000, the words of the
gaps that it filled are in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.rates import Bucket, FrameRate, FrameRates
from webrtc_host.doors.control import CLOSE_FLOOD, FLOOD, Controls
from webrtc_host.doors.socket_audio import AudioReader, make_reader
from webrtc_host.doors.socket_messages import read_in_small_pieces, receive
from webrtc_host.doors.socket_start import AudioStart, message_fields, start_of
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import note_feed
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import text_field
from webrtc_host.http.fields import check_fields
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import GATE, check_upgrade
from webrtc_host.media.resample import MEDIA_RATE, Piece
from webrtc_host.recovery.audio import Run, joined
from webrtc_host.recovery.service import Filled
from webrtc_host.seams import SAMPLES_PER_MS, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.publisher_status import channel_status
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.resume import Refusal, ResumeTokens

logger = logging.getLogger(__name__)

AHEAD_SAMPLES_MAX = SAMPLE_RATE
"""A client's idea of the session's clock may be off by so much."""
RETRY_AFTER_S = 2.0
FIELDS = ("resume", "start_ms", "encoding", "sample_rate", "channels")
"""Of the first message. The session, and how the channel is called and read, are known by the token."""
TEXT_CHARS_MAX = 64 * 1024

Fill = Callable[[Channel, Sequence[Run]], Awaitable[Filled]]


@dataclass(frozen=True, slots=True)
class BackfillLimits:
    callers: int = 16  # at a time, all channels together
    frame_bytes: int = 1024 * 1024
    bytes_per_s: int = 1024 * 1024  # read no faster, and so much at once; 16 kHz s16 is 32 kB for a second
    first_message_s: float = 10.0
    idle_s: float = 10.0  # without a message


class BackfillDoor:
    def __init__(
        self,
        registry: SessionRegistry,
        tokens: ResumeTokens,
        fill: Fill,
        seconds_max: float,
        limits: BackfillLimits | None = None,
        rates: FrameRates | None = None,
    ) -> None:
        """fill: archives and reads what of the audio is missing. seconds_max: audio in one conversation."""
        self.registry = registry
        self.tokens = tokens
        self.fill = fill
        self.samples_max = round(seconds_max * SAMPLE_RATE)
        self.limits = limits or BackfillLimits()
        self.totals = {"callers": 0, "refused": 0, "sent_ms": 0, "filled_ms": 0, "segments": 0}
        self.rates = rates or FrameRates()
        self._busy: set[Channel] = set()

    def statistics(self) -> dict[str, float]:
        """Since the start of the process, and how many are here now."""
        return {**self.totals, "in_hand": len(self._busy)}

    @Route(
        "GET",
        "/ws/backfill/{channel}",
        Role.OPERATOR,
        "Audio of a network gap, over a WebSocket",
        is_websocket=True,
    )
    async def handle(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=self.limits.frame_bytes)
        check_upgrade(request)
        await socket.prepare(request)
        read_in_small_pieces(request)
        try:
            request.app[GATE].check_token(request)
            check_fields(request.query, ("token",), "the address")
            with self.rates.socket(key_of(request)) as rate:
                await _Conversation(self, request, socket, rate).run()
        except RequestError as error:
            self.totals["refused"] += 1
            await _refuse(socket, error)
        except Exception:
            logger.exception("a backfill failed")
            message = "the server made a mistake; its log has the details"
            await _refuse(socket, RequestError("internal", message, 500))
        return socket

    @contextlib.contextmanager
    def turn(self, channel: Channel) -> Any:
        """One caller at a time per channel. Raises RequestError 409, Overloaded 503."""
        if channel in self._busy:
            message = f"channel {channel.id} is being filled by another caller; come back when that has ended"
            raise RequestError("backfill_in_hand", message, 409)
        if len(self._busy) >= self.limits.callers:
            message = f"{len(self._busy)} channels are being filled already"
            raise Overloaded("too_many_backfills", message, retry_after_s=RETRY_AFTER_S)
        self._busy.add(channel)
        self.totals["callers"] += 1
        try:
            yield
        finally:
            self._busy.discard(channel)


class _Conversation:
    def __init__(
        self, door: BackfillDoor, request: web.Request, socket: web.WebSocketResponse, rate: FrameRate
    ) -> None:
        self._rate = rate
        self._door = door
        self._request = request
        self._channel_id = request.match_info["channel"]
        self._socket = socket
        self._kept = _Kept(door.samples_max)
        self._reader: AudioReader | None = None
        self._controls = Controls(("stop", "at"), TEXT_CHARS_MAX)
        self._bytes = Bucket(door.limits.bytes_per_s, door.limits.bytes_per_s)

    async def run(self) -> None:
        start, resume = await self._first_message()
        channel = self._channel_of(resume)
        with self._door.turn(channel):
            now_sample = channel.session.now_sample()
            self._begin(start, start.start_sample or 0, now_sample)
            note_feed(self._request, "fed", channel.session.id, [channel.id], "backfill")
            seconds_max = self._door.samples_max / SAMPLE_RATE
            now_ms = ms_of(now_sample)
            await self._say(type="ready", seconds_max=seconds_max, now_ms=now_ms, **channel_status(channel))
            try:
                await self._listen(start, channel)
            finally:
                if self._reader is not None:
                    await self._reader.close()
            filled = await self._door.fill(channel, self._kept.runs())
        self._count(filled)
        await self._say_goodbye(channel, filled)  # the next caller may come now

    async def _first_message(self) -> tuple[AudioStart, str]:
        text = None
        with contextlib.suppress(TimeoutError):
            message = await self._receive(self._door.limits.first_message_s)
            text = message.data if message.type is WSMsgType.TEXT else None
        if text is None:
            raise RequestError(
                "no_start",
                'the first message must be JSON such as {"resume": "…", "start_ms": 61234, '
                '"encoding": "pcm_s16le", "sample_rate": 16000}',
                400,
            )
        fields = message_fields(text, FIELDS)
        start = start_of(fields, self._channel_id)
        resume = text_field(fields, "resume", 200)
        if resume is None:
            raise RequestError("missing_field", "the first message has no `resume`", 422)
        if start.start_sample is None:
            raise RequestError("missing_field", "the first message has no `start_ms`", 422)
        return start, resume

    def _channel_of(self, resume: str) -> Channel:
        """The channel, when the token is of a client that fed it. Raises RequestError 403 or 409."""
        claim = self._door.tokens.find(resume)
        if isinstance(claim, Refusal):
            raise RequestError(f"resume_{claim.value}", f"the resume token is {claim.value}", 403)
        if self._channel_id not in claim.channels:
            message = f"the resume token is not one of channel {self._channel_id[:20]}"
            raise RequestError("resume_other_channels", message, 403)
        session = self._door.registry.get_live(claim.session)
        return self._door.registry.channel(session, self._channel_id)

    def _begin(self, start: AudioStart, at_sample: int, now_sample: int) -> None:
        if at_sample > now_sample + AHEAD_SAMPLES_MAX:
            raise RequestError(
                "bad_field", f"`start_ms` {ms_of(at_sample)} lies after the present, {ms_of(now_sample)}", 422
            )
        self._kept.begin(at_sample)
        self._reader = make_reader(start, self._kept)

    async def _listen(self, start: AudioStart, channel: Channel) -> None:
        """Until the client says stop, or is gone: then what came of it is used."""
        async for message in self._messages():
            if isinstance(message, bytes):
                await self._slow_down(len(message))
                assert self._reader is not None
                if message:
                    await self._reader.write(message)
                continue
            body = await self._control(message)
            if body.get("type") == "stop":
                break
            if body.get("type") == "at":
                await self._finish_run()
                self._begin(start, _place(body.get("start_ms")), channel.session.now_sample())
        await self._finish_run()

    async def _control(self, text: str) -> dict[str, Any]:
        """A text message; one that cannot be read is answered and left out (empty)."""
        try:
            return self._controls.read(text)
        except RequestError as error:
            self._controls.note_unreadable(asyncio.get_running_loop().time())
            await self._say(type="error", code=error.code, message=error.message)
            return {}

    async def _finish_run(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.finish()
            await reader.close()

    async def _receive(self, within_s: float) -> WSMessage:
        return await receive(self._socket, within_s, self._rate, self._request.transport)

    async def _messages(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                message = await self._receive(self._door.limits.idle_s)
            except TimeoutError:
                seconds = self._door.limits.idle_s
                raise RequestError("idle", f"nothing came for {seconds:.0f} s", 408) from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            yield message.data

    async def _slow_down(self, size: int) -> None:
        """Read no faster than the limit: the client's writes wait."""
        if wait_s := self._bytes.spend(size, asyncio.get_running_loop().time()):
            await asyncio.sleep(wait_s)

    def _count(self, filled: Filled) -> None:
        totals = self._door.totals
        totals["sent_ms"] += ms_of(self._kept.samples)
        totals["filled_ms"] += sum(ms_of(end - start) for start, end in filled.gaps)
        totals["segments"] += filled.segments

    async def _say_goodbye(self, channel: Channel, filled: Filled) -> None:
        gaps = [[ms_of(start), ms_of(end)] for start, end in filled.gaps]
        seq = channel.session.log.head_seq
        await self._say(type="stopped", final_seq=seq, filled=gaps, segments=filled.segments)
        await self._socket.close()

    async def _say(self, **fields: Any) -> None:
        if not self._socket.closed:
            with contextlib.suppress(ConnectionError):  # the client left; what it sent is used all the same
                await self._socket.send_str(json.dumps(fields))


class _Kept:
    """What was decoded so far, as runs in their places; the readers write into it."""

    def __init__(self, samples_max: int) -> None:
        self._samples_max = samples_max
        self._start_sample = 0
        self._parts: list[tuple[int, Float32Array]] = []
        self.samples = 0

    def begin(self, start_sample: int) -> None:
        """Pieces count from here on."""
        self._start_sample = start_sample

    async def put(self, piece: Piece, collected_samples: int = 0) -> None:
        self.samples += len(piece.samples)
        if self.samples > self._samples_max:
            seconds = self._samples_max // SAMPLE_RATE
            raise RequestError(
                "too_long", f"more than {seconds} s at once; send the rest in another conversation", 413
            )
        at = self._start_sample + piece.timestamp * SAMPLE_RATE // MEDIA_RATE
        self._parts.append((at, piece.samples))

    def archive_packet(self, timestamp: int, samples: int, payload: bytes) -> None:
        """Not kept as they came: what lies in a gap is kept, and a packet cannot be cut."""

    def runs(self) -> list[Run]:
        """The pieces put together where one follows the other."""
        return joined(self._parts)


def _place(start_ms: object) -> int:
    if not isinstance(start_ms, int) or isinstance(start_ms, bool) or start_ms < 0:
        raise RequestError("bad_field", "`start_ms` of an `at` must be whole milliseconds since t = 0", 422)
    return start_ms * SAMPLES_PER_MS


async def _refuse(socket: web.WebSocketResponse, error: RequestError) -> None:
    """Say why, then close: 4000 and the HTTP status, 1013 for a server that is full."""
    fields = {"type": "error", "code": error.code, "message": error.message}
    with contextlib.suppress(ConnectionError):
        await socket.send_str(json.dumps(fields))
        code = 1013 if error.status == 503 else 4000 + error.status
        if error.code == FLOOD:
            code = CLOSE_FLOOD
        await socket.close(code=code, message=error.message.encode()[:120])
