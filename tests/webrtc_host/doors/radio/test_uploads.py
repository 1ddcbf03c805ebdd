"""Call uploads of radio systems against the whole server: replies, finals, keys, a crash."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from host_stt.contract import Answer, Float32Array, Window, WindowError
from tests.support.audio_files import encoded
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.webrtc_host.doors.radio.test_forms import META, TRUNK_RECORDER
from tests.webrtc_host.recovery.crashing import (
    BUSY_BOX_S,
    SHORT,
    archived,
    crash,
    events_of,
    expected_words,
    of,
    of_log,
    word_per_half_second,
    words_of,
)
from tests.webrtc_host.speech.engine_server import EngineServer, engine_server
from webrtc_host.errors import RequestError
from webrtc_host.keys import CALL_UPLOADS, RECORD, RECORDED_CALLS, REDACTIONS
from webrtc_host.services.redactions import Wish
from webrtc_host.transcript import records
from webrtc_host.transcript.meta import meta_with_prefix

TOKENS = (
    {"name": "radio room", "token": "operator-secret", "role": "operator"},
    {"name": "visitor", "token": "viewer-secret", "role": "viewer"},
)
FIRE = {"talkgroup": 5001, "channel": "C05", "systems": ["11", "county"], "label": "Fire"}
IMPORTED = "Call imported successfully.\n"


@asynccontextmanager
async def a_server(folder: Path, engine: EngineServer | None = None, **parts: Any) -> AsyncIterator[Desk]:
    radio = {"talkgroups": [FIRE], **parts.pop("radio", {})}
    os.makedirs(folder, exist_ok=True)
    if engine is not None:
        parts |= {"engine_url": engine.url, "store": {"url": ""}}
    async with running_desk(a_config(folder, radio=radio, **parts), make_pipeline=None) as desk:
        yield desk


def spoken() -> tuple[bytes, Float32Array]:
    """A call as trunk-recorder records it, at 8 kHz, and its samples at 16 kHz."""
    samples = padded(say(SHORT))
    return encoded(samples[np.newaxis, : len(samples) // 2 * 2 : 2], 8000), samples


def form(audio: bytes | None = None, name: str = "call.wav", part: str = "audio", **fields: Any) -> Any:
    data = aiohttp.FormData(default_to_multipart=True)
    for key, value in fields.items():
        if value is not None:
            data.add_field(key, str(value))
    if audio is not None:
        file = io.BytesIO(audio)
        data.add_field(part, file, filename=name, content_type="application/octet-stream")
    return data


def rdio(at_s: float, **fields: Any) -> dict[str, Any]:
    return {**TRUNK_RECORDER, "dateTime": f"{at_s:.3f}", **fields}


async def send(desk: Desk, data: Any, path: str = "/api/call-upload", **more: Any) -> tuple[int, str]:
    async with desk.client.post(desk.url + path, data=data, **more) as response:
        assert response.content_type == "text/plain"
        return response.status, await response.text()


async def read(desk: Desk) -> None:
    """Wait until the calls were transcribed."""
    await until(lambda: desk.app[RECORDED_CALLS].is_idle, BUSY_BOX_S)


async def test_a_call_becomes_text_at_its_true_time_once(tmp_path: Path) -> None:
    audio, samples = spoken()
    async with engine_server(word_per_half_second) as engine, a_server(tmp_path, engine) as desk:
        began_s = time.time() - 30
        assert await send(desk, form(audio, **rdio(began_s))) == (200, IMPORTED)
        assert await send(desk, form(audio, **rdio(began_s))) == (200, "duplicate call rejected\n")
        later_s = began_s + len(samples) / 16_000 + 3
        meta = {**META, "start_time": later_s}
        sent = form(audio, key="any", meta=json.dumps(meta))
        assert await send(desk, sent, "/api/trunk-recorder-call-upload") == (200, IMPORTED)
        await read(desk)
        session = desk.session
        events = await events_of(desk, session.id)
        opened = [(e["channel"], e["door"], e["label"]) for e in of(events, "channel.opened")]
        assert opened == [("C05", "call", "Fire")] * 2
        assert all(e["by"] is None for e in of(events, "channel.opened") if "by" in e)
        finals = of(events, "segment.final")
        starts = [e["start_ms"] * 16 for e in of(events, "channel.opened")]
        wanted = [word for start in starts for word in expected_words(samples, start)]
        words = words_of(events)
        assert len(words) == len(set(words)) and len(set(wanted) - set(words)) <= 2, (words, wanted)
        for final in finals:
            assert final["source"] == "call" and "latency_ms" not in final
            assert final["talkers"][0]["id"] in (4001, 4002)
            for word in final["words"]:
                assert abs(word["start_ms"] - int(word["text"][1:]) * 500) <= 300
        assert {"id": 4001, "start_ms": 0, "label": "Engine 12"} in finals[0]["talkers"]
        _, coverage = await desk.get(f"/api/sessions/{session.id}/coverage")
        (channel,) = coverage["channels"]
        assert channel["totals_ms"]["transcribed"] > 2000
        assert {run["state"] for run in channel["runs"]} <= {"transcribed", "silence", "closed"}
        await _is_in_the_record(desk, session.id, finals)
        assert not await desk.app[RECORD].store.read(lambda c: meta_with_prefix(c, "call:"))
        lines = await desk.app[RECORD].store.read(lambda c: records.audit_page(c, 10))
        assert [line.channel for line in lines if line.action == "fed"] == ["C05"] * 2


async def _is_in_the_record(desk: Desk, session: str, finals: list[dict[str, Any]]) -> None:
    """Search, export and playing work as for live audio."""
    word = finals[0]["words"][1]["text"]
    _, found = await desk.get("/api/search", q=word)
    assert [(hit["channel"], hit["label"]) for hit in found["hits"]] == [("C05", "Fire")]
    async with desk.client.get(f"{desk.url}/api/sessions/{session}/export.srt") as response:
        assert word in await response.text()
    async with desk.client.get(f"{desk.url}/api/segments/{finals[0]['segment']}/audio") as response:
        assert (response.status, response.content_type) == (200, "audio/ogg")


async def test_a_call_that_a_crash_interrupts_is_read_at_the_next_start(tmp_path: Path) -> None:
    audio, samples = spoken()
    async with engine_server(lambda window: None) as engine:
        async with a_server(tmp_path / "first", engine) as desk:
            assert await send(desk, form(audio, **rdio(time.time() - 30))) == (200, IMPORTED)
            session = desk.session
            await archived(desk, session.channels["C05"])
            copy = crash(tmp_path / "first", tmp_path / "second")
        engine.reply = word_per_half_second
        async with a_server(copy, engine) as desk:
            await read(desk)
            events = await events_of(desk, session.id)
            wanted = expected_words(samples, 0)
            assert len(set(wanted) - set(words_of(events))) <= 2
            assert {final["source"] for final in of(events, "segment.final")} == {"call"}
            assert of(events, "segment.final")[0]["talkers"][0]["label"] == "Engine 12"
            assert not await desk.app[RECORD].store.read(lambda c: meta_with_prefix(c, "call:"))
            again = form(audio, **rdio(desk.session.started_wall.timestamp()))
            assert await send(desk, again) == (200, "duplicate call rejected\n")


async def test_a_call_that_the_engine_cannot_read_is_failed(tmp_path: Path) -> None:
    def fail(window: Window) -> Answer:
        return WindowError(window.id, "decode_failed", "it does not work")

    audio, _ = spoken()
    async with engine_server(fail) as engine, a_server(tmp_path, engine) as desk:
        assert await send(desk, form(audio, **rdio(time.time() - 30))) == (200, IMPORTED)
        await read(desk)
        _, coverage = await desk.get(f"/api/sessions/{desk.session.id}/coverage")
        assert coverage["channels"][0]["totals_ms"].get("failed", 0) > 1000, coverage


async def test_a_call_that_waits_for_its_text_cannot_be_redacted_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webrtc_host.services.redactions.SETTLE_S", 0.2)
    audio, _ = spoken()
    answers: list[Window] = []
    async with (
        engine_server(lambda window: answers.append(window)) as engine,
        a_server(tmp_path, engine) as desk,
    ):
        assert await send(desk, form(audio, **rdio(time.time() - 30))) == (200, IMPORTED)
        wish = Wish(desk.session.id, "C05", 0, 2000, has_text=True, has_audio=True, reason="a name")
        with pytest.raises(RequestError) as early:
            await desk.app[REDACTIONS].redact(wish, "supervisor")
        assert (early.value.status, early.value.code) == (409, "range_not_settled")
        await until(lambda: bool(answers), BUSY_BOX_S)
        await engine.answer(word_per_half_second(answers[0]))
        await read(desk)
        await desk.app[REDACTIONS].redact(wish, "supervisor")
        assert of_log(desk.session, "segment.final")[0]["text"] == "[redacted]"


SECOND_OF_AUDIO = encoded(np.full((1, 8000), 0.1, np.float32), 8000)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_server(tmp_path, tokens=TOKENS) as desk:
        yield desk


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({}, 200, IMPORTED),
        ({"audio": None}, 417, "Incomplete call data: no audio\n"),
        ({"audio": b""}, 417, "Incomplete call data: no audio\n"),
        ({"dateTime": None}, 417, "Incomplete call data: no datetime\n"),
        ({"system": None}, 417, "Incomplete call data: no system\n"),
        ({"talkgroup": "-"}, 417, "Incomplete call data: no talkgroup\n"),
        ({"key": "wrong one"}, 401, "Invalid API key for system 11 talkgroup 5001.\n"),
        ({"key": "viewer-secret"}, 401, "Invalid API key for system 11 talkgroup 5001.\n"),
        ({"key": None, "talkgroup": None}, 401, "Invalid API key for system 11.\n"),
        (
            {"talkgroup": "9"},
            403,
            "Call not imported: talkgroup 9 of system 11 / county is not in radio.talkgroups of this "
            "server\n",
        ),
    ],
)
async def test_the_replies_are_those_of_rdio_scanner(
    desk: Desk, change: dict[str, Any], status: int, text: str
) -> None:
    given = {"audio": SECOND_OF_AUDIO, **rdio(time.time() - 5, key="operator-secret"), **change}
    assert await send(desk, form(**given)) == (status, text)


async def test_the_connection_test_of_sdrtrunk(desk: Desk) -> None:
    sent = {"system": "11", "test": "1"}
    status, text = await send(desk, form(b"", "", key="operator-secret", **sent))
    assert (status, text.lower().startswith("incomplete call data: no talkgroup")) == (417, True)
    assert (await send(desk, form(b"", "", key="wrong one", **sent)))[0] == 401
    assert (await send(desk, None))[0] == 401


async def test_the_key_may_come_in_the_usual_places_too(desk: Desk) -> None:
    places: list[dict[str, Any]] = [
        {"headers": {"Authorization": "Bearer operator-secret"}},
        {"headers": {"X-API-Key": "operator-secret"}},
        {"params": {"key": "operator-secret"}},
    ]
    for number, place in enumerate(places):
        sent = form(SECOND_OF_AUDIO, **rdio(time.time() - 20 + 5 * number, key=None))
        expected = IMPORTED if number == 0 else None
        status, text = await send(desk, sent, **place)
        assert status == 200 and (expected is None or text == expected), (place, text)


async def test_bad_forms_have_plain_replies(desk: Desk) -> None:
    key = {"Authorization": "Bearer operator-secret"}
    assert (await send(desk, b"x", headers=key))[0] == 415
    broken = {**key, "Content-Type": "multipart/form-data; boundary=x"}
    assert await send(desk, b"--x\r\n", headers=broken) == (
        *(400, "Call not imported: the multipart form is broken: it ends too early\n"),
    )
    no_audio = form(b"no audio", **rdio(time.time() - 5, key="operator-secret"))
    assert (await send(desk, no_audio))[0] == 415
    async with desk.client.get(f"{desk.url}/api/call-upload") as response:
        assert response.status == 405
    too_large = form(bytes(17 * 1024 * 1024), **rdio(time.time() - 5, key="operator-secret"))
    assert (await send(desk, too_large)) == (
        *(413, "Call not imported: the body is over the limit of 16777216 bytes\n"),
    )


async def test_openmhz_answers_every_failure_with_500(desk: Desk) -> None:
    fields = {"talkgroup_num": "5001", "start_time": f"{time.time() - 5:.0f}", "stop_time": "0"}
    good = {**fields, "api_key": "operator-secret"}

    async def upload(name: str = "a.m4a", system: str = "county", **given: Any) -> tuple[int, str]:
        return await send(desk, form(SECOND_OF_AUDIO, name, "call", **{**good, **given}), f"/{system}/upload")

    assert await upload() == (200, "")
    assert await upload(api_key="wrong one") == (500, "API Keys do not match!\n")
    assert await upload(system="elsewhere") == (500, "ShortName does not exist: elsewhere\n")
    assert await upload("a.wav") == (500, "Error, invalid filename: a.wav\n")
    assert await upload(system="a%0Ab") == (500, "ShortName does not exist: a b\n")
    assert await upload(talkgroup_num="9") == (500, "Talkgroup does not exist, skipping.\n")
    assert (await upload(start_time="never"))[0] == 500
    for key, system, reply in (
        ("operator-secret", "county", (200, "")),
        ("wrong one", "county", (403, "Invalid API Key\n")),
        ("operator-secret", "elsewhere", (500, "Invalid System Name\n")),
    ):
        assert await send(desk, {"api_key": key}, f"/{system}/authorize") == reply


async def test_other_talkgroups_may_be_ignored(tmp_path: Path) -> None:
    async with a_server(tmp_path, radio={"unknown": "ignore"}) as desk:
        status, text = await send(desk, form(SECOND_OF_AUDIO, **rdio(time.time() - 5, talkgroup="9")))
        assert status == 200 and "not imported" in text and "imported successfully" not in text
        data = form(SECOND_OF_AUDIO, "a.mp3", "call", talkgroup_num=9, start_time=time.time() - 5)
        assert (await send(desk, data, "/county/upload"))[0] == 200
        assert list(desk.registry) == []


async def test_a_server_with_too_many_waiting_calls_says_that_it_is_busy(tmp_path: Path) -> None:
    async with engine_server(lambda window: None) as engine:
        settings = {"tokens": (), "radio": {"waiting_s": 5}}
        speech = encoded(say(SHORT)[np.newaxis], 16_000)  # 2.1 s; a call without speech would not wait
        async with a_server(tmp_path, engine, **settings) as desk:
            replies = []
            for at_s in (40, 36, 32):
                data = form(speech, **rdio(time.time() - at_s))
                async with desk.client.post(f"{desk.url}/api/call-upload", data=data) as response:
                    replies.append((response.status, response.headers.get("Retry-After")))
                    text = await response.text()
            assert replies[:2] == [(200, None)] * 2
            assert replies[2] == (503, "10") and text.startswith("Server busy, please try again")


async def test_many_uploads_at_once_are_taken_or_told_to_come_again(desk: Desk) -> None:
    began_s = time.time() - 3000

    async def upload(number: int) -> tuple[int, str]:
        fields = rdio(began_s + 20 * number, key="operator-secret")
        return await send(desk, form(SECOND_OF_AUDIO, **fields))

    assert await upload(0) == (200, IMPORTED)
    replies = await asyncio.gather(*(upload(number) for number in range(1, 101)))
    taken = [reply for reply in replies if reply == (200, IMPORTED)]
    busy = [status for status, text in replies if text.startswith("Server busy, please try again")]
    assert len(taken) >= 16 and len(taken) + len(busy) == 100
    assert set(busy) <= {503}
    assert desk.app[CALL_UPLOADS].statistics()["in_hand"] == 0


H2C = (
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
)


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("is_swapped", [False, True])
async def test_javas_upgrade_header_is_ignored(desk: Desk, is_chunked: bool, is_swapped: bool) -> None:
    """SDRTrunk's HTTP client offers HTTP/2 in its first request over plain http."""
    fields = rdio(time.time() - 5, key="operator-secret")
    parts = [f'--x\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    names = 'filename="a.wav"; name="audio"' if is_swapped else 'name="audio"; filename="a.wav"'
    body = "".join(parts).encode() + f"--x\r\nContent-Disposition: form-data; {names}\r\n\r\n".encode()
    body += SECOND_OF_AUDIO + b"\r\n--x--\r\n"
    if is_chunked:
        length = "Transfer-Encoding: chunked\r\n"
        pieces = [body[at : at + 4096] for at in range(0, len(body), 4096)]
        body = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in pieces) + b"0\r\n\r\n"
    else:
        length = f"Content-Length: {len(body)}\r\n"
    host, _, port = desk.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/call-upload HTTP/1.1\r\nHost: {host}:{port}\r\n{H2C}{length}"
    writer.write(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode() + body)
    try:
        status = await asyncio.wait_for(reader.readline(), 20)
        assert status == b"HTTP/1.1 200 OK\r\n"
        text = await asyncio.wait_for(reader.readuntil(IMPORTED.encode()), 20)
        assert text.endswith(IMPORTED.encode())
    finally:
        writer.close()


@pytest.mark.skipif(shutil.which("curl") is None and not os.environ.get("CI"), reason="curl is not installed")
async def test_curl_sends_a_call_as_trunk_recorder_does(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "call.wav"
    file.write_bytes(SECOND_OF_AUDIO)
    fields = rdio(time.time() - 5, key="operator-secret")
    arguments = [text for name, value in fields.items() for text in ("--form-string", f"{name}={value}")]
    process = await asyncio.create_subprocess_exec(
        *("curl", "-sS", "-w", "%{http_code}", "-F", f"audio=@{file};type=application/octet-stream"),
        *(*arguments, f"{desk.url}/api/call-upload"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out.decode() == f"{IMPORTED}200"
