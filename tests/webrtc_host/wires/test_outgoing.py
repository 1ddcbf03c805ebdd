"""Frames leave in their order, and a client that does not read is noticed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from aiohttp import web

from webrtc_host.errors import Overloaded
from webrtc_host.wires import outgoing
from webrtc_host.wires.messages import Goodbye
from webrtc_host.wires.outgoing import Outgoing


class Socket:
    """Keeps what was sent. may_send: not set while the client does not read."""

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self.closed: tuple[int, bytes] | None = None
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.has_left = False

    async def send_str(self, text: str) -> None:
        if self.has_left:
            raise ConnectionResetError
        await self.may_send.wait()
        await asyncio.sleep(0)
        self.sent.append(text)

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)

    async def close(self, *, code: int, message: bytes, drain: bool) -> None:
        self.closed = (code, message)


def made(socket: Socket) -> tuple[Outgoing, web.WebSocketResponse]:
    return Outgoing(), cast(Any, socket)


async def test_frames_of_two_tasks_leave_in_the_order_of_their_calls() -> None:
    socket = Socket()
    out, response = made(socket)
    await out.say(["before the upgrade"])
    await out.begin(response)
    await asyncio.gather(out.say(["1", "2"]), out.say([b"3"]), out.say(["4"]))
    assert socket.sent == ["before the upgrade", "1", "2", b"3", "4"]
    await out.close(Goodbye(1011, "ü" * 100, ("last",)))
    assert socket.sent[-1] == "last"
    assert socket.closed == (1011, ("ü" * 61).encode())


async def test_a_client_that_does_not_read_gets_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "SEND_S", 0.02)
    socket = Socket()
    socket.may_send.clear()
    out, response = made(socket)
    await out.begin(response)
    with pytest.raises(Overloaded):
        await out.say(["1", "2"])
    socket.may_send.set()
    await out.say(["3"])
    await out.close(Goodbye(1013, "", ("last",)))
    assert (socket.sent, socket.closed) == ([], (1013, b""))


async def test_a_client_that_has_left_is_no_error() -> None:
    socket = Socket()
    socket.has_left = True
    out, response = made(socket)
    await out.begin(response)
    await out.say(["1", "2"])
    await out.close(Goodbye())
    assert socket.sent == []
