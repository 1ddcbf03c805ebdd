"""Error texts of 8082 for wrong requests at every input: sentences without words of Python."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from bench.offer_fuzz import recorded
from tests.support.desk import Desk, a_config, running_desk
from tests.support.plain_words import python_word_in
from tests.support.server import ROOT

JUNK: tuple[Any, ...] = (None, True, 5, -1.5, [], {}, [None], {"a": None}, "\ud800", "x" * 3000, [[]], 1e400)
CHROMIUM = recorded(ROOT / "tests" / "support" / "offers")[0]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path)) as made:
        yield made


def bodies(*fields: str, **rest: Any) -> list[Any]:
    """Every invalid value as the body, and in every field."""
    return [*JUNK, *({**rest, field: value} for field in fields for value in JUNK)]


async def message_of(response: aiohttp.ClientResponse) -> str:
    """The error message of a refused request; empty for an accepted one."""
    text = await response.text()
    if response.status < 400:
        return ""
    assert response.status != 500, text
    message: str = json.loads(text)["error"]["message"]
    assert message.strip()
    return message


async def test_wrong_json_is_refused_with_a_plain_message(desk: Desk) -> None:
    session = desk.session.id
    offer = {"sdp": CHROMIUM, "type": "offer"}
    term = {"canonical": "Alpha-1"}
    calls = [
        ("POST", "/sessions/create", bodies("name", "label", "x")),
        ("PATCH", f"/api/sessions/{session}", bodies("name", "is_held", "x")),
        ("PUT", "/api/glossary", bodies("terms", "version", "x")),
        ("PUT", "/api/glossary", [{"version": 1, "terms": [value]} for value in JUNK]),
        ("PUT", "/api/glossary", [{"terms": [{**term, "channels": value}]} for value in JUNK]),
        ("POST", "/offer", bodies("sdp", "type", "session", "channels", "resume", "connection", **offer)),
        ("POST", "/offer", [{**offer, "channels": [value]} for value in JUNK]),
        (
            "POST",
            "/offer",
            [
                {**offer, "channels": [{field: value}]}
                for field in ("mid", "channel", "label", "language", "glossary")
                for value in JUNK
            ],
        ),
    ]
    seen = 0
    for method, path, wrong in calls:
        for body in wrong:
            async with desk.client.request(method, desk.url + path, json=body) as response:
                message = await message_of(response)
            assert python_word_in(message) is None, (method, path, str(body)[:80], message)
            seen += bool(message)
        for raw in (b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"a":' * 5000):
            headers = {"Content-Type": "application/json"}
            async with desk.client.request(method, desk.url + path, data=raw, headers=headers) as response:
                message = await message_of(response)
            assert python_word_in(message) is None, (method, path, raw[:20], message)
    assert seen > 150


async def test_wrong_queries_and_paths_are_refused_with_a_plain_message(desk: Desk) -> None:
    one = f"/api/sessions/{desk.session.id}"
    values = ("", "x", "-1", "1e9", "9" * 30, "None", "%00", "%ff", "C01,,", "{}", "٣")
    for path, names in (
        (f"{one}/segments", ("channel", "from_ms", "to_ms", "after", "limit")),
        (f"{one}/coverage", ("channel", "from_ms", "to_ms")),
        (f"{one}/export.srt", ("channel", "from_ms", "clock")),
        ("/api/search", ("q", "channel", "session", "from", "to", "limit", "before")),
        ("/api/sessions", ("limit", "before")),
        ("/api/audit", ("limit", "before")),
        ("/events", ("session", "channels", "since")),
        ("/api/glossary/prompt", ("channel",)),
        (f"{one}/channels/C01/audio", ("from_ms", "to_ms")),
    ):
        for name in names:
            for value in values:
                async with desk.client.get(URL(f"{desk.url}{path}?{name}={value}", encoded=True)) as response:
                    if response.status < 400:
                        continue
                    message = await message_of(response)
                assert python_word_in(message.replace("'None'", "")) is None, (path, name, value, message)
    for path in ("/nothing", f"{one}/export.xyz", "/whip/None", "/api/sessions/%00", "/api/segments/x/audio"):
        async with desk.client.get(URL(desk.url + path, encoded=True)) as response:
            message = "" if response.status < 400 else await message_of(response)
        assert python_word_in(message.replace("None", "")) is None, (path, message)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"FOO\r\n\r\n", "HTTP request: invalid method encountered"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", "HTTP request: invalid header token"),
        (b"GET http://[::1/x HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP request: "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "HTTP request: invalid character in"),
    ],
)
async def test_malformed_http_is_refused_with_a_plain_message(desk: Desk, raw: bytes, words: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(desk.url.rpartition(":")[2]))
    writer.write(raw)
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    assert b" 400 " in head.splitlines()[0]
    error = json.loads(body)["error"]
    assert error["code"] == "bad_request" and words in error["message"]
    assert python_word_in(error["message"]) is None


async def test_wrong_first_messages_are_refused_with_a_plain_message(desk: Desk) -> None:
    fields = (
        "encoding",
        "sample_rate",
        "channels",
        "language",
        "session",
        "label",
        "start_ms",
        "resume",
        "x",
    )
    first = [json.dumps(body) for body in bodies(*fields, encoding="pcm_s16le", sample_rate=16000)]
    for path in ("/ws/pcm/C40", "/ws/backfill/C40"):
        for text in (*first, "", "{", "null", '"keepalive"', "[" * 5000):
            try:
                socket = await desk.client.ws_connect(desk.url + path)
            except aiohttp.WSServerHandshakeError as refused:
                assert refused.status == 404, path
                break
            async with socket:
                await socket.send_str(text)
                answer = await socket.receive()
                said = answer.data if answer.type is aiohttp.WSMsgType.TEXT else answer.extra or ""
                body = json.loads(said) if said.startswith("{") else {"message": said}
                assert python_word_in(str(body.get("message", ""))) is None, (path, text[:80], said)


async def test_wrong_uploads_and_fragments_are_refused_with_a_plain_message(desk: Desk) -> None:
    for content in (b"", b"x", b"RIFF", b"ID3" + bytes(50), b"OggS" + bytes(200), b"fLaC" + bytes(100)):
        form = aiohttp.FormData()
        for name, value in (("session_id", desk.session.id), ("channel_id", "C41"), ("start_ts", "0")):
            form.add_field(name, value)
        form.add_field("audio", content, filename="a.wav")
        async with desk.client.post(f"{desk.url}/push", data=form) as response:
            message = await message_of(response)
        assert message and python_word_in(message) is None, (content[:10], message)
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x", "text/plain", "x"):
        for raw in (b"", b"--x", b"--x\r\n\r\n\r\n--x--", b"--x\r\nContent-Disposition: form-data\r\n\r\nx"):
            for path in ("/push", "/whip/C42"):
                headers = {"Content-Type": content_type}
                async with desk.client.post(desk.url + path, data=raw, headers=headers) as response:
                    message = await message_of(response)
                assert message and python_word_in(message) is None, (path, content_type, raw, message)
    for sdp in (
        "",
        "v=0",
        "v=0\r\nm=",
        CHROMIUM.replace("m=audio", "m=audio 9"),
        CHROMIUM.replace("opus", "x"),
    ):
        headers = {"Content-Type": "application/sdp"}
        async with desk.client.post(f"{desk.url}/whip/C42", data=sdp, headers=headers) as response:
            message = await message_of(response)
        assert python_word_in(message) is None, (sdp[:40], message)
