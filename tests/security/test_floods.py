"""Floods of small messages end their own connection or are read more slowly; the loop serves the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType

from host_stt_common.rates import MESSAGES_MAX, FrameRates
from tests.security.ports import TOKEN, Port, head, running
from tests.support.polling import until
from webrtc_host.keys import SOCKETS
from webrtc_host.seams import EventType

pytestmark = pytest.mark.slow

SAMPLE = b"\x00\x01"
FRAME = np.zeros(320, np.int16).tobytes()


@contextlib.asynccontextmanager
async def socket_of(port: Port, path: str) -> Any:
    url = f"http://127.0.0.1:{port.number}{path}{'&' if '?' in path else '?'}token={TOKEN}"
    async with aiohttp.ClientSession() as client, client.ws_connect(url, autoping=False) as socket:
        yield socket


async def until_closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The close code."""
    async with asyncio.timeout(20):
        while (await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
            pass
    return socket.close_code


async def say(socket: aiohttp.ClientWebSocketResponse, kind: str, count: int) -> None:
    with contextlib.suppress(ConnectionError):
        for _ in range(count):
            await (socket.ping(b"x") if kind == "ping" else socket.send_str("x"))


@pytest.mark.parametrize("kind", ["text", "ping"])
@pytest.mark.parametrize(("name", "path"), [("8082", "/ws"), ("8081", "/v1/windows")])
async def test_a_caller_that_sends_many_useless_messages_is_disconnected(
    name: str, path: str, kind: str, tmp_path: Path
) -> None:
    async with running(name, tmp_path) as port:
        if name == "8081":
            await until(port.is_ready)
        async with socket_of(port, path) as socket:
            await say(socket, kind, MESSAGES_MAX + 5)
            assert await until_closed(socket) == 1008
        async with socket_of(port, path) as socket:
            await say(socket, kind, 5)
            await say(socket, kind, MESSAGES_MAX - 6)
            await socket.ping(b"still there")
            async with asyncio.timeout(10):
                while (message := await socket.receive()).data != b"still there":
                    assert message.type not in (WSMsgType.CLOSE, WSMsgType.CLOSED)


class Flooder:
    """A raw WebSocket that sends one frame again and again as fast as it is read, in a thread."""

    def __init__(self, port: Port, path: str, frame: bytes) -> None:
        self._block = frame * (32 * 1024 // len(frame))
        self._stop = threading.Event()
        self._socket = port.connect()
        self._socket.sendall(head("GET", path, *UPGRADE, token=TOKEN))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1)
        assert answer.startswith(b"HTTP/1.1 101")
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._socket.send(self._block)
            except TimeoutError:
                continue  # it is read more slowly than this
            except OSError:
                return

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()


UPGRADE = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
MASK = bytes(4)
TEXT = b"\x81\x81" + MASK + b"x"
FLOODS = {
    "sample": b"\x82\x82" + MASK + SAMPLE,
    "empty": b"\x82\x80" + MASK,
    "ping": b"\x89\x80" + MASK,
}


async def test_other_watchers_get_events_while_one_floods(tmp_path: Path) -> None:
    async with running("8082", tmp_path) as port:
        desk = port.desk
        assert desk is not None
        async with socket_of(port, "/ws") as watcher:
            flooder = await asyncio.to_thread(Flooder, port, "/ws", TEXT)
            await until(lambda: desk.subscribers.statistics().watchers == 1)
            desk.final("alpha")
            kinds = []
            while EventType.SEGMENT_FINAL.value not in kinds:
                kinds.append(json.loads((await watcher.receive(timeout=20)).data)["type"])
            await asyncio.to_thread(flooder.close)


@pytest.mark.parametrize("kind", FLOODS)
async def test_tiny_frames_are_read_more_slowly_and_others_are_served(kind: str, tmp_path: Path) -> None:
    async with running("8082", tmp_path) as port:
        desk = port.desk
        assert desk is not None
        path = "/ws/pcm/C01?encoding=pcm_s16le&sample_rate=16000"
        began_s = asyncio.get_running_loop().time()
        flooder = await asyncio.to_thread(Flooder, port, path, FLOODS[kind])
        await until(lambda: len(desk.app[SOCKETS].rates) == 1)
        for _ in range(10):
            assert (await desk.get("/health"))[0] == 200
            await asyncio.sleep(0.1)
        await asyncio.to_thread(flooder.close)
    elapsed_s = asyncio.get_running_loop().time() - began_s  # the stop has closed the socket
    assert desk.app[SOCKETS].statistics()["frames"] <= 1600 + 800 * elapsed_s


@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_without_a_pause_is_closed(kind: str, tmp_path: Path) -> None:
    async with running("8082", tmp_path) as port:
        desk = port.desk
        assert desk is not None
        rates = desk.app[SOCKETS].rates = FrameRates(of_socket=20)
        rates.flood_s = 0.5
        path = "/ws/pcm/C01?encoding=pcm_s16le&sample_rate=16000"
        flooder = await asyncio.to_thread(Flooder, port, path, FLOODS[kind])
        await until(lambda: len(rates) == 1)
        await until(lambda: len(rates) == 0, within_s=30)
        await asyncio.to_thread(flooder.close)


async def test_a_gateway_of_sixteen_channels_is_not_slowed(tmp_path: Path) -> None:
    """16 channels, 50 frames a second each, from one address, for 3 s."""
    async with running("8082", tmp_path) as port, contextlib.AsyncExitStack() as stack:
        desk = port.desk
        assert desk is not None
        sockets = [
            await stack.enter_async_context(
                socket_of(port, f"/ws/pcm/C{number:02d}?encoding=pcm_s16le&sample_rate=16000")
            )
            for number in range(1, 17)
        ]
        for number in range(150):
            await asyncio.gather(*(socket.send_bytes(FRAME) for socket in sockets))
            await asyncio.sleep(0.02 if number % 50 else 0)
        for socket in sockets:
            await socket.send_str('{"type": "stop"}')
        for socket in sockets:
            await until_closed(socket)
        assert desk.app[SOCKETS].statistics()["audio_ms"] == 16 * 150 * 20
