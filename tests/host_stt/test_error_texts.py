"""What 8081 says to wrong requests: sentences, with nothing of Python in them."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from host_stt.contract import HEADER, MAGIC, WIRE_VERSION
from tests.host_stt.test_server import serving
from tests.support.plain_words import python_word_in

PATH = "/v1/audio/transcriptions"
FIELDS = (
    "language",
    "response_format",
    "temperature",
    "timestamp_granularities[]",
    "prompt",
    "model",
    "stream",
    "x",
)
VALUES = ("", "x", "None", "-1", "1e400", "nan", "{}", "[1", "\u0663", "x" * 5000)


async def test_wrong_forms_are_refused_in_words() -> None:
    async with serving() as client:
        for name in FIELDS:
            for value in VALUES:
                form = aiohttp.FormData()
                form.add_field(name, value)
                form.add_field("file", b"no recording", filename="a.wav")
                answer = await client.post(PATH, data=form)
                message = (await answer.json())["error"]["message"]
                assert answer.status < 500, message
                assert python_word_in(message.replace("'None'", "")) is None, (name, value[:20], message)
        for content in (b"", b"RIFF", b"ID3" + bytes(50), b"OggS" + bytes(200), b"\x1aE\xdf\xa3" + bytes(60)):
            form = aiohttp.FormData()
            form.add_field("file", content, filename="a.wav")
            answer = await client.post(PATH, data=form)
            message = (await answer.json())["error"]["message"]
            assert python_word_in(message) is None, (content[:10], message)


async def test_broken_bodies_are_refused_in_words() -> None:
    part = b"--x\r\nContent-Disposition: form-data; name=file; filename=a.wav\r\n\r\n"
    async with serving() as client:
        for kind in (
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "multipart/form-data; boundary=",
            "x/y",
        ):
            for raw in (
                b"",
                b"--x",
                b"--y\r\n",
                b"--x\nfoo\n\nbar",
                b"--x\r\nbad\r\n\r\n",
                part + b"x",
                part,
            ):
                answer = await client.post(PATH, data=raw, headers={"Content-Type": kind})
                message = str((await answer.json())["error"]["message"])
                assert 400 <= answer.status < 500
                assert python_word_in(message) is None, (kind, raw, message)
        for path in ("/nothing", "/v1/nothing", PATH):
            answer = await client.get(path)
            body = await answer.json()
            assert "error" in body, (path, answer.status, body)
            message = body["error"]["message"]
            assert python_word_in(message) is None, message


async def test_wrong_windows_are_refused_in_words() -> None:
    good: dict[str, Any] = {
        "id": "w_1",
        "channel": "C01",
        "encoding": "pcm_s16le",
        "sample_rate": 16000,
        "start_sample": 0,
        "priority": "final",
        "language": "en",
        "terms": [],
        "history": "",
        "deadline_ms": 1000,
    }
    junk: tuple[Any, ...] = (None, True, 1.5, -1, "x", {}, [None], "\ud800")
    wrong = [{**good, name: value} for name in good for value in junk]
    wrong += [{key: value for key, value in good.items() if key != name} for name in good]
    async with serving() as client, client.ws_connect("/v1/windows") as socket:
        for header in wrong:
            text = json.dumps(header).encode()
            await socket.send_bytes(HEADER.pack(MAGIC, WIRE_VERSION, 0, len(text)) + text + bytes(3200))
            answer = await socket.receive_json(timeout=10)
            message = str(answer.get("message", ""))
            assert python_word_in(message) is None, (header, message)
