"""Debian's nginx in front of the server, as in docs/howto/behind-nginx.md: pings, comments, headers."""

from __future__ import annotations

import asyncio
import logging
import re
import socket as sockets
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.desk import Desk, a_config, received, running_desk
from tests.support.polling import until
from webrtc_host.desk.sse import EventStream
from webrtc_host.desk.ws import WatchSocket

pytestmark = pytest.mark.net

NGINX = "/usr/sbin/nginx"
CONF = Path(__file__).with_name("nginx.conf")
HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "behind-nginx.md"
READ_TIMEOUT_S = 2
"""In place of 60 s; the server's 20 s and 15 s are shortened to match."""
TOKEN = "correct-horse-battery"
"""The how-to's YAML asks for one; the server does not start behind a proxy without."""
ORIGIN = {"Origin": "https://stt.example.org"}


@asynccontextmanager
async def behind_nginx(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **media: object
) -> AsyncIterator[tuple[Desk, str]]:
    """A desk and the address of the nginx in front of it."""
    monkeypatch.setattr(WatchSocket.__init__, "__kwdefaults__", {"ping_s": 0.5})
    monkeypatch.setattr(EventStream.__init__, "__kwdefaults__", {"comment_s": 0.5})
    config = a_config(folder / "data", token=TOKEN, media=media)
    async with running_desk(config, headers={"Authorization": f"Bearer {TOKEN}"}) as desk:
        port, backend = free_port(), desk.url.rpartition(":")[2]
        conf = write_conf(folder, port=port, backend=backend, read_timeout_s=READ_TIMEOUT_S)
        command = [NGINX, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(conf)]
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        try:
            await until(lambda: is_listening(port) or process.returncode is not None)
            assert process.returncode is None, (await process.communicate())[1].decode()
            yield desk, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            await process.communicate()  # also reads stderr to its end, so that the loop has no open pipe


def write_conf(folder: Path, **names: object) -> Path:
    folder.mkdir(exist_ok=True)
    conf = folder / "nginx.conf"
    conf.write_text(CONF.read_text(encoding="utf-8").format(folder=folder, **names), encoding="utf-8")
    return conf


def free_port() -> int:
    with sockets.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def is_listening(port: int) -> bool:
    with sockets.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


async def test_a_silent_socket_stays_open_beyond_the_proxys_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with behind_nginx(tmp_path, monkeypatch, trusted_proxies=["127.0.0.1"]) as (desk, url):
        socket = await desk.client.ws_connect(f"{url}/ws?since=0", headers=ORIGIN)
        assert (await received(socket, 1))[0]["type"] == "session.started"
        reading = asyncio.create_task(received(socket, 1))  # the client answers pings only while it reads
        await asyncio.sleep(READ_TIMEOUT_S + 1)
        desk.final("after the silence")
        assert (await asyncio.wait_for(reading, 5))[0]["text"] == "after the silence"
        await socket.close()


async def test_a_silent_event_stream_stays_open_and_is_not_buffered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        behind_nginx(tmp_path, monkeypatch) as (desk, url),
        desk.client.get(f"{url}/events?since=0") as response,
    ):
        assert "X-Accel-Buffering" not in response.headers, "nginx used the header and removed it"
        await response.content.readuntil(b"session.started")
        await response.content.readuntil(b"\n\n")
        comments = [await response.content.readuntil(b"\n\n") for _ in range(6)]
        assert comments == [b":\n\n"] * 6, "the events arrive one by one, over three seconds"
        desk.final("short")
        piece = await asyncio.wait_for(response.content.readuntil(b"\n\n"), 1)
        assert b'"text":"short"' in piece


async def test_forwarded_origin_and_address_are_used_from_a_trusted_proxy_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aiohttp.access")
    forwarded = {**ORIGIN, "X-Forwarded-For": "198.51.100.7"}
    async with behind_nginx(tmp_path / "a", monkeypatch, trusted_proxies=["127.0.0.1"]) as (desk, url):
        async with desk.client.put(f"{url}/api/glossary", json={}, headers=forwarded) as response:
            assert response.status == 200
        # The client's own value comes first; nginx adds the loopback address, which is a trusted proxy.
        assert any("198.51.100.7 PUT /api/glossary" in r.getMessage() for r in caplog.records)
    async with behind_nginx(tmp_path / "b", monkeypatch) as (desk, url):
        async with desk.client.put(f"{url}/api/glossary", json={}, headers=ORIGIN) as response:
            assert response.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await desk.client.ws_connect(f"{url}/ws", headers=ORIGIN)
    async with behind_nginx(tmp_path / "c", monkeypatch, allowed_origins=[ORIGIN["Origin"]]) as (desk, url):
        socket = await desk.client.ws_connect(f"{url}/ws", headers=ORIGIN)
        await socket.close()


async def test_a_caller_through_the_proxy_without_the_token_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        behind_nginx(tmp_path, monkeypatch, trusted_proxies=["127.0.0.1"]) as (_, url),
        aiohttp.ClientSession(headers=ORIGIN) as stranger,
    ):
        async with stranger.put(f"{url}/api/glossary", json={}) as response:
            assert response.status == 401
        async with stranger.get(f"{url}/api/audit") as response:
            assert response.status == 401


def test_the_howto_shows_what_is_tested() -> None:
    def directives(text: str) -> set[str]:
        found = re.findall(r"(?m)^\s*((?:proxy_(?!pass|temp)|client_max|default|'')[^;#]*);", text)
        return {" ".join(line.split()) for line in found}

    shown = directives(re.sub(r"^.*?```nginx|```.*$", "", HOWTO.read_text(encoding="utf-8"), flags=re.S))
    tested = directives(CONF.read_text(encoding="utf-8"))
    other = {
        "proxy_read_timeout 60s": "proxy_read_timeout {read_timeout_s}s",
        "proxy_set_header X-Forwarded-Proto $scheme": "proxy_set_header X-Forwarded-Proto https",
        "proxy_set_header X-Forwarded-Host $http_host": "proxy_set_header X-Forwarded-Host stt.example.org",
    }
    assert {other.get(line, line) for line in shown} == tested
