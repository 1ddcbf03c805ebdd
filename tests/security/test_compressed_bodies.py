"""No compressed body is unpacked, on either port, with or without a token."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import http_parser

from tests.security.ports import PORTS, TOKEN, head, running, status_of
from tests.support.desk import a_config, running_desk

ZEROS = bytes(4 << 20)
BODIES = {
    "gzip": gzip.compress(ZEROS),
    "deflate": zlib.compress(ZEROS),
    "br": b"\x5b\xff\xff\x3f\x00\x24\x00\xe2\x99\x40\x02",
    "zstd": b"\x28\xb5\x2f\xfd\x00\x58\x00\x00",
    "x-unknown": b"x",
    "identity, gzip": gzip.compress(ZEROS),
}
PATHS = (
    "/health",
    "/nowhere",
    "/api/sessions",
    "/v1/audio/transcriptions",
    "/push",
    "/offer",
    "/warmup",
    "/",
)


@pytest.fixture
def unpackings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The encodings that aiohttp began to unpack."""
    begun: list[str] = []
    begin = http_parser.DeflateBuffer.__init__

    def remember(self: Any, out: Any, encoding: str | None, *rest: Any, **more: Any) -> None:
        begun.append(str(encoding))
        begin(self, out, encoding, *rest, **more)

    monkeypatch.setattr(http_parser.DeflateBuffer, "__init__", remember)
    return begun


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("encoding", BODIES)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_compressed_body_is_415_and_never_unpacked(
    port: str, encoding: str, is_chunked: bool, tmp_path: Path, unpackings: list[str]
) -> None:
    body = BODIES[encoding]
    if is_chunked:
        length, body = "Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        length = f"Content-Length: {len(body)}"
    async with running(port, tmp_path) as server:
        for path in PATHS:
            for method, token in (("POST", ""), ("POST", TOKEN), ("GET", "")):
                lines = (f"Content-Encoding: {encoding}", length, "Connection: close")
                answer = await server.ask(head(method, path, *lines, token=token) + body)
                assert status_of(answer) == 415, (method, path)
                assert b'"code":"encoded_body"' in answer.replace(b'": "', b'":"')
    assert unpackings == []


@pytest.mark.parametrize("port", PORTS)
async def test_an_uncompressed_body_may_declare_the_encoding_identity(port: str, tmp_path: Path) -> None:
    async with running(port, tmp_path) as server:
        lines = ("Content-Encoding: identity", "Content-Length: 0", "Connection: close")
        assert status_of(await server.ask(head("GET", "/health", *lines))) == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_part_of_a_form_is_not_unpacked_either(encoding: str, tmp_path: Path) -> None:
    part = BODIES[encoding]
    form = (
        b'--b\r\nContent-Disposition: form-data; name="name"\r\nContent-Encoding: %s\r\n\r\n%s\r\n--b--\r\n'
    ) % (encoding.encode(), part)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with running_desk(a_config(tmp_path)) as desk:
        for path in ("/sessions/create", "/push"):
            async with desk.client.post(desk.url + path, data=form, headers=headers) as answer:
                assert answer.status == 400, path
                assert "encoded" in json.loads(await answer.text())["error"]["message"]
        assert list(desk.registry) == []


async def test_sockets_do_not_agree_to_compress(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        for path in ("/ws", "/ws/pcm/C01", "/ws/backfill/C01"):
            async with desk.client.ws_connect(desk.url + path, compress=15) as socket:
                assert not socket.compress, path
    async with running("8081", tmp_path) as engine, aiohttp.ClientSession() as client:
        url = f"http://127.0.0.1:{engine.number}/v1/windows?token={TOKEN}"
        async with client.ws_connect(url, compress=15) as socket:
            assert not socket.compress
