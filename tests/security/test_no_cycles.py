"""A request that was refused is freed at once, with its connection; nothing waits for the collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.web_protocol import RequestHandler

from tests.security.ports import PORTS, TOKEN, head, running
from tests.security.test_bad_requests import BROKEN
from tests.support.polling import until

CLOSE = "Connection: close"
CHUNKED = "Transfer-Encoding: chunked"
FORM = "Content-Type: multipart/form-data; boundary=x"
REFUSED = {
    "an unknown path": head("GET", "/nowhere", CLOSE),
    "a method that is not taken": head("DELETE", "/health", CLOSE),
    "no token": head("POST", "/v1/audio/transcriptions", CLOSE, "Content-Length: 0"),
    "a compressed body": head("POST", "/push", CLOSE, "Content-Encoding: gzip", "Content-Length: 0"),
    "a form with bad chunks": head("POST", "/push", "Transfer-Encoding: chunked", FORM, token=TOKEN)
    + b"zz\r\nhello\r\n",
    **BROKEN,
    "a head of 200 kB": b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000,
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Switch the collector off. Freeze what earlier tests left, so that only new objects are searched.

    It stays frozen. Otherwise the collector would go through all modules again, in every later test.
    """
    gc.disable()
    gc.freeze()
    yield
    gc.enable()


def connections() -> int:
    """HTTP connections in memory, open or not, that were made since the test began."""
    return sum(isinstance(one, RequestHandler) for one in gc.get_objects())


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refused_request_leaves_no_cycle(
    port: str, kind: str, tmp_path: Path, no_collector: None
) -> None:
    async with running(port, tmp_path) as server:
        before = connections()
        for _ in range(3):
            assert await server.ask(REFUSED[kind])
        await until(lambda: connections() == before)


SOCKETS = ("/ws/pcm/C01?encoding=pcm_s16le&sample_rate=16000&session=s_none", "/ws/backfill/C01")
FRAMES = {
    "reserved bits": b"\xf0\x80\0\0\0\0",
    "text that is not UTF-8": b"\x81\x81\0\0\0\0\xff",
    "a message that is not JSON": b"\x81\x81\0\0\0\0{",
}
CLOSE_FRAME = b"\x88\x80\0\0\0\0"


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("path", SOCKETS)
async def test_a_refused_socket_leaves_no_cycle(
    path: str, frame: str, tmp_path: Path, no_collector: None
) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    handshake = head("GET", path, *upgrade, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", token=TOKEN)
    async with running("8082", tmp_path) as server:
        before = connections()
        for _ in range(3):
            assert (await server.ask(handshake + FRAMES[frame] + CLOSE_FRAME)).startswith(b"HTTP/1.1 101 ")
        await until(lambda: connections() == before)
