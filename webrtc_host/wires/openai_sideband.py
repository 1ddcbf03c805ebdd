"""WebSockets that follow a call by WebRTC: `/v1/realtime?call_id=`. They get its events and may change it.

Invariant: a WebSocket that does not read is closed, and the call goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from aiohttp import WSMsgType, web

from host_stt_common.rates import FrameRate
from webrtc_host.doors.socket_messages import receive
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.auth import key_of
from webrtc_host.http.server import check_upgrade, error_response
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.wires.call import MESSAGE_CHARS_MAX, Call
from webrtc_host.wires.door import new_socket
from webrtc_host.wires.messages import Frame, Goodbye
from webrtc_host.wires.openai_site import OpenAiSite
from webrtc_host.wires.outgoing import Outgoing
from webrtc_host.wires.site import Traits

WAITING_MAX = 1000
"""Frames that wait for a WebSocket."""
IDLE_S = 24 * 3600.0
"""A follower need not send anything, so one that sends nothing is not closed early."""
TRAITS = Traits(DoorKind.OPENAI, message_bytes=MESSAGE_CHARS_MAX * 4, subprotocols=("realtime",))


class Calls:
    """The open calls of the process, by id."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def add(self, call_id: str, call: Call) -> None:
        self._calls[call_id] = call

    def remove(self, call_id: str) -> None:
        self._calls.pop(call_id, None)

    def get(self, call_id: str) -> Call:
        """Raises RequestError 404."""
        call = self._calls.get(call_id)
        if call is None:
            raise RequestError("unknown_call", "there is no such call; it may have ended", 404)
        return call


class SocketOutput:
    """Frames on their way to one WebSocket."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame | Goodbye] = asyncio.Queue(WAITING_MAX + 1)  # one place for the end

    def send(self, frames: list[Frame]) -> bool:
        if self._frames.qsize() + len(frames) > WAITING_MAX:
            return False
        for frame in frames:
            self._frames.put_nowait(frame)
        return True

    def close(self, code: int, reason: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._frames.put_nowait(Goodbye(code, reason))

    async def run(self, socket: web.WebSocketResponse) -> None:
        """Send until the end of the call, then close the WebSocket."""
        outgoing = Outgoing()
        await outgoing.begin(socket)
        try:
            while not isinstance(frame := await self._frames.get(), Goodbye):
                await outgoing.say([frame])
        except Overloaded as error:
            frame = Goodbye(1013, error.message)
        await outgoing.close(frame)


async def follow(openai: OpenAiSite, calls: Calls, request: web.Request) -> web.StreamResponse:
    """Handle a WebSocket with `call_id`."""
    output = SocketOutput()
    with openai.site.rates.socket(key_of(request)) as rate:
        try:
            check_upgrade(request)
            openai.check(request)
            call = calls.get(request.query["call_id"])
            if not call.join(output):
                raise Overloaded(
                    "too_many", "too many clients follow this call", retry_after_s=5.0, status=429
                )
        except RequestError as error:
            return error_response(error, request)
        try:
            socket = new_socket(TRAITS)
            await socket.prepare(request)
            await _converse(call, output, socket, rate, request)
        finally:
            call.leave(output)
        return socket


async def _converse(
    call: Call, output: SocketOutput, socket: web.WebSocketResponse, rate: FrameRate, request: web.Request
) -> None:
    sending = asyncio.create_task(output.run(socket), name="follow call of socket")
    try:
        while True:
            message = await receive(socket, IDLE_S, rate, request.transport)
            if message.type is not WSMsgType.TEXT:
                break
            call.on_message(message.data, output)
    except RequestError as error:
        await socket.close(code=1008, message=error.message.encode()[:100])
    finally:
        sending.cancel()
        await asyncio.wait({sending})
