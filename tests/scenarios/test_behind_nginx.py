"""Behind Debian's nginx, set up with the very lines of docs/howto/https.md, over https."""

from __future__ import annotations

import asyncio
import datetime
import getpass
import io
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import pytest

from host_stt_cli.certificate import self_signed
from host_stt_cli.ports import free_port
from tests.support.server import ROOT, Server

pytestmark = pytest.mark.net

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"  # Debian keeps it out of an ordinary user's PATH
AROUND = """
user {user};
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {above}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        {inside}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Proxy:
    url: str
    trust: ssl.SSLContext

    def client(self, **headers: str) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self.trust)
        timeout = aiohttp.ClientTimeout(total=30)
        return aiohttp.ClientSession(self.url, connector=connector, headers=headers, timeout=timeout)


def lines_of_the_howto() -> tuple[str, str]:
    """(above the server block, inside it)."""
    page = (ROOT / "docs" / "howto" / "https.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)```", page, flags=re.S)
    (above,) = [block for block in blocks if block.startswith("map ")]
    (inside,) = [block for block in blocks if block.startswith("location ")]
    return above, inside


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with Server(folder, "--set", "media.trusted_proxies=[127.0.0.1/32]") as running:
        yield running.wait_ready()


@pytest.fixture(scope="module")
def proxy(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    cert, key = self_signed(folder, datetime.datetime.now(datetime.UTC))
    port = free_port("127.0.0.1")
    above, inside = lines_of_the_howto()
    inside = inside.replace("http://127.0.0.1:8082", server.url)
    text = AROUND.format(
        user=getpass.getuser(), folder=folder, above=above, inside=inside, port=port, cert=cert, key=key
    )
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    with subprocess.Popen(
        [NGINX, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for_port(process, port)
            yield Proxy(f"https://localhost:{port}", ssl.create_default_context(cafile=cert))
        finally:
            process.terminate()
            process.wait(10)


def wait_for_port(process: subprocess.Popen[str], port: int) -> None:
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(f"nginx ended: {process.stderr.read()}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nginx does not listen")


async def a_session(client: aiohttp.ClientSession) -> str:
    async with client.post("/sessions/create", json={"name": "behind nginx"}) as answer:
        assert answer.status == 200
        return str((await answer.json())["session_id"])


async def test_the_page_comes_over_https(proxy: Proxy) -> None:
    async with proxy.client() as client, client.get("/") as answer:
        assert (answer.status, "<title>" in await answer.text()) == (200, True)


async def test_events_stream_through_without_waiting_in_a_buffer(proxy: Proxy) -> None:
    async with proxy.client() as client:
        session = await a_session(client)
        async with client.get("/events", params={"session": session, "since": "0"}) as events:
            assert events.headers["Content-Type"].startswith("text/event-stream")
            async with asyncio.timeout(10):
                await read_until(events, b'"session.started"')
                async with client.post(f"/api/sessions/{session}/end") as ended:
                    assert ended.status == 200
                await read_until(events, b'"session.ended"')


async def read_until(events: aiohttp.ClientResponse, wanted: bytes) -> None:
    async for line in events.content:
        if wanted in line:
            return
    raise AssertionError(f"the stream ended without {wanted!r}")


async def test_a_web_socket_passes_and_so_does_its_page_s_origin(proxy: Proxy) -> None:
    async with proxy.client(Origin=proxy.url) as client:
        session = await a_session(client)
        async with client.ws_connect("/ws", params={"session": session, "since": "0"}) as socket:
            first = await socket.receive_json(timeout=10)
            assert (first["type"], first["seq"]) == ("session.started", 1)


async def test_a_foreign_page_is_refused_behind_the_proxy_too(proxy: Proxy) -> None:
    async with proxy.client(Origin="https://elsewhere.example") as client:
        async with client.post("/sessions/create", json={}) as answer:
            assert answer.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/ws")
        assert refused.value.status == 403


async def test_an_upload_larger_than_nginx_allows_by_default_passes(proxy: Proxy) -> None:
    """3 MB: nginx's own limit is 1 MB. What it holds is no sound, and 8082 is the one to say so."""
    async with proxy.client() as client:
        form = aiohttp.FormData()
        for name, value in (
            ("session_id", await a_session(client)),
            ("channel_id", "C01"),
            ("start_ts", "0"),
        ):
            form.add_field(name, value)
        form.add_field("audio", io.BytesIO(bytes(3_000_000)), filename="zeros.wav")
        async with client.post("/push", data=form) as answer:
            assert answer.status in (415, 422)
            assert (await answer.json())["error"]["message"]


def test_nothing_of_it_troubled_the_server(proxy: Proxy, server: Server) -> None:
    assert server.process.poll() is None
    assert not [line for line in server.err if "Traceback" in line or " ERROR " in line]
