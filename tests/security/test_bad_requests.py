"""Bytes that are no HTTP get an error in the form of all errors, and no line of ours in the log."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from bench.http_answers import answers_of
from tests.security.ports import PORTS, running

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
async def test_bytes_that_are_no_http_get_a_proper_error(
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
