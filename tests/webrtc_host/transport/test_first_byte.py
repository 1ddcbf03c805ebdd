"""HTTP, HTTPS and ICE over TCP on one port."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from host_stt_cli import certificate
from host_stt_common import accepting
from host_stt_common.connections import ConnectionLimits, Connections
from tests.support.polling import until
from webrtc_host.transport.first_byte import OnePortSite
from webrtc_host.transport.ice_tcp import IceTcp
from webrtc_host.transport.listening import open_sockets


class Port:
    def __init__(self, number: int, frames: list[bytes], site: OnePortSite) -> None:
        self.number = number
        self.frames = frames
        self.site = site

    @property
    def undecided(self) -> int:
        return self.site.undecided

    async def ice(self) -> None:
        count = len(self.frames)
        _, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(b"\x00\x04stun")
        await until(lambda: len(self.frames) > count)
        writer.close()


@asynccontextmanager
async def one_port(tls: ssl.SSLContext | None = None, **limits: Any) -> AsyncIterator[Port]:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=f"hello over {request.scheme}")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    listening = open_sockets("127.0.0.1", 0)
    frames: list[bytes] = []
    site = OnePortSite(
        runner,
        listening.tcp,
        lambda on_bound: IceTcp(lambda data, _: frames.append(data), lambda _: None, on_bound),
        connections=Connections(ConnectionLimits(**limits), clock=time.monotonic),
        ssl_context=tls,
        backlog=16,
    )
    await site.start()
    try:
        yield Port(listening.port, frames, site)
    finally:
        await runner.cleanup()
        listening.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder: Path = tmp_path_factory.mktemp("tls")
    cert, key = certificate.self_signed(folder, datetime.datetime.now(datetime.UTC))
    return certificate.server_context(cert, key)


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(url, ssl=False) as answer:
        return answer.status, await answer.text()


async def test_http_and_ice_share_a_port() -> None:
    async with one_port() as port:
        await port.ice()
        assert await get(f"http://127.0.0.1:{port.number}/") == (200, "hello over http")
        await port.ice()
        assert port.frames == [b"stun", b"stun"]
        assert str(port.number) in port.site.name


async def test_https_and_ice_share_a_port_and_ice_is_not_inside_tls(tls: ssl.SSLContext) -> None:
    async with one_port(tls) as port:
        await port.ice()
        assert await get(f"https://127.0.0.1:{port.number}/") == (200, "hello over https")
        assert port.frames == [b"stun"]


async def test_plain_http_on_an_https_port_gets_a_response_that_says_so(tls: ssl.SSLContext) -> None:
    async with one_port(tls) as port:
        status, text = await get(f"http://127.0.0.1:{port.number}/?token=secret")
        assert status == 400
        assert "https://" in text and "secret" not in text


async def test_a_failed_handshake_is_not_logged_as_an_error_of_the_server(
    tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with one_port(tls) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(b"\x16\x03\x01\x00\x05hello")
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert (await get(f"https://127.0.0.1:{port.number}/"))[0] == 200
    assert [r.getMessage() for r in caplog.records if r.levelname in ("WARNING", "ERROR")] == []


async def test_a_connection_that_sends_nothing_is_closed_after_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "SWEEP_S", 0.05)
    async with one_port(silent_s=0.1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await until(lambda: port.undecided == 0)


@pytest.mark.parametrize("length", [50, 100_000])
async def test_a_handshake_that_stops_is_closed_after_a_time(
    length: int, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50: in the middle of the client's hello; 100,000: after the whole of it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl._create_unverified_context().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    monkeypatch.setattr(accepting, "SWEEP_S", 0.05)
    async with one_port(tls, head_s=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(outgoing.read()[:length])
        await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_above_the_limit_the_oldest_silent_connection_is_closed() -> None:
    async with one_port(total=3) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(4)]
        assert await asyncio.wait_for(silent[0][0].read(), 5) == b"", "the oldest"
        assert port.undecided == 3
        for _, writer in silent:
            writer.close()
        await until(lambda: port.undecided == 0)
        await port.ice()


async def test_a_caller_that_disconnects_silently_leaves_no_state() -> None:
    async with one_port() as port:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.close()
        await port.ice()
        await until(lambda: port.undecided == 0)


async def test_closing_ends_undecided_connections() -> None:
    async with one_port() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        await until(lambda: port.undecided == 1)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert not [task for task in asyncio.all_tasks() if "_dispatch" in str(task)]
