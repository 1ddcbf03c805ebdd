"""Malformed HTTP gets an error in the usual form, and no line in the server's log."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from bench.http_answers import answers_of, faults_of
from tests.security.ports import PORTS, TOKEN, head, running

HOST = b"Host: 127.0.0.1\r\n"
BROKEN = {
    "no request line": b"hello\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "a version that is none": b"GET / HTTP/1.:1\r\n" + HOST + b"\r\n",
    "a header without a colon": b"GET /ready HTTP/1.1\r\n" + HOST + b"X y\r\n\r\n",
    "NUL in a header": b"GET /ready HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "a length that is none": b"POST /push HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello",
    "two lengths": b"POST /push HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "length and chunks": (
        b"POST /push HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"
    ),
    "a long line": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long header": b"GET /ready HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 9000 + b"\r\n\r\n",
    "many headers": b"GET /ready HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 2000 + b"\r\n",
    "no host": b"GET /ready HTTP/1.1\r\n\r\n",
    "a good request first": b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n\x00\x00\x00\r\n\r\n",
}


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("kind", BROKEN)
async def test_malformed_http_gets_a_proper_error(
    port: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(port, tmp_path) as server:
        answer = await server.ask(BROKEN[kind])
    last = answers_of(answer)[0][-1]
    assert last.status == 400
    assert last.headers["content-type"].startswith("application/json")
    error = json.loads(last.body)["error"]
    assert error["code"] == "bad_request"
    assert error["message"].startswith("this is not a proper HTTP request: ")
    assert len(error["message"]) < 200 and "b'" not in error["message"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("version", [b" HTTP/0.9", b" HTTP/2.0", b" HTTP/1.7"])
async def test_other_versions_of_http_are_refused_in_http_1(
    port: str, version: bytes, tmp_path: Path
) -> None:
    async with running(port, tmp_path) as server:
        answer = await server.ask(b"GET /health" + version + b"\r\n" + HOST + b"\r\n")
    (last,), _ = answers_of(answer)
    assert (last.status, json.loads(last.body)["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("port", PORTS)
async def test_http_1_0_is_answered(port: str, tmp_path: Path) -> None:
    async with running(port, tmp_path) as server:
        answer = await server.ask(b"GET /health HTTP/1.0\r\n" + HOST + b"\r\n")
    (last,), _ = answers_of(answer)
    assert last.status == 200


@pytest.mark.parametrize("port", PORTS)
async def test_an_expectation_that_cannot_be_met_is_a_proper_error(port: str, tmp_path: Path) -> None:
    lines = ("Expect: a miracle", "Connection: close")
    async with running(port, tmp_path) as server:
        answer = await server.ask(head("GET", "/ready", *lines, token=TOKEN))
    (last,), _ = answers_of(answer)
    assert (last.status, faults_of(last)) == (417, [])


FIELDS = ("Origin", "Sec-Fetch-Site", "Host", "Authorization", "Content-Encoding", "Content-Type", "Cookie")


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("path", ["/health", "/ready", "/nowhere"])
async def test_invalid_bytes_in_a_header_are_no_server_error(
    port: str, name: str, path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST * (name != "Host")
    async with running(port, tmp_path, token="") as server:
        answer = await server.ask(request + name.encode() + b": \xff\xfe\r\nConnection: close\r\n\r\n")
    (last,), _ = answers_of(answer)
    assert 400 <= last.status < 500 and faults_of(last) == []
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("path", ["/push", "/offer", "/v1/audio/transcriptions", "/api/glossary"])
async def test_a_caller_that_disconnects_is_no_server_error(
    port: str, path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = ("Content-Type: multipart/form-data; boundary=b", "Content-Length: 100000")
    method = "PUT" if path.startswith("/api") else "POST"
    async with running(port, tmp_path) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.number)
        writer.write(head(method, path, *lines, token=TOKEN) + b"--b\r\nContent-Disposition: form-data\r\n")
        await writer.drain()
        assert b" 200 " in await server.ask(head("GET", "/health", "Connection: close"))
        writer.transport.abort()
        assert b" 200 " in await server.ask(head("GET", "/health", "Connection: close"))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
