"""The stream of the conversation API against the whole server: text, summary, clients that leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.support.audio_files import encoded
from tests.support.desk import Desk, a_config, abort_connection, running_desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from webrtc_host.keys import SUMMARIES

SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"
STREAM = "/api/v1/conversation/stream"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


async def rest_of(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """The messages until the server closes."""
    messages = []
    while (message := await socket.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
        messages.append(json.loads(message.data))
    return messages


async def kept_text(desk: Desk) -> str:
    await desk.written()
    _, found = await desk.get(f"/api/sessions/{desk.session.id}/segments")
    return " ".join(one["text"] for one in found["segments"])


@pytest.mark.parametrize("kind", ["pcm", "webm"])
async def test_text_comes_back_and_the_summary_last(desk: Desk, kind: str) -> None:
    if kind == "pcm":
        address, data = f"{STREAM}?format=pcm&sample_rate=8000&channel=C05", pcm16(SPEECH, 8000)
    else:  # as a browser's MediaRecorder: one WebM file, cut anywhere, without a word about it
        sound = np.interp(np.arange(3 * len(SPEECH)) / 3, np.arange(len(SPEECH)), SPEECH)
        data = encoded(sound[np.newaxis].astype(np.float32), 48_000, "webm", "libopus")
        address = f"{STREAM}?channel=C05"
    async with desk.client.ws_connect(desk.url + address) as socket:
        for frame in frames(data, 1999):
            await socket.send_bytes(frame)
        await socket.send_str('{"type": "end"}')
        *segments, last = await rest_of(socket)
        assert socket.close_code == 1000
    assert {one["type"] for one in segments} == {"transcript_segment"}
    assert " ".join(one["text"] for one in segments).split()[:5] == HEARD.split()[:5]
    assert (last["type"], last["status"], last["error"]) == ("final_summary", "COMPLETED", None), last
    assert last["summary"] and segments[0]["segment"] in last["content"]["cited"]
    assert (last["session"], last["channel"]) == (desk.session.id, "C05")
    await until(lambda: not left_tasks() and not desk.registry.connections)
    _, listed = await desk.get(f"/api/sessions/{desk.session.id}/summaries")
    assert [one["status"] for one in listed["summaries"]] == ["done"]


async def test_a_stream_does_not_cover_the_time_before_it_and_says_when_nothing_was_said(desk: Desk) -> None:
    async def streamed(samples: Any) -> dict[str, Any]:
        async with desk.client.ws_connect(f"{desk.url}{STREAM}?format=pcm&channel=C05") as socket:
            for frame in frames(pcm16(samples)):
                await socket.send_bytes(frame)
            await socket.send_str('{"type": "end"}')
            return (await rest_of(socket))[-1]

    first = await streamed(SPEECH)
    assert first["warning"] is None
    end_ms = first["content"]["covers"]["to_ms"]
    await until(lambda: desk.session.now_ms() > end_ms + 6000)
    opened_ms = desk.session.now_ms()
    last = await streamed(np.zeros(8000, np.float32))
    assert last["content"]["covers"]["from_ms"] > opened_ms - 4000, "nobody sent anything before"
    assert (last["status"], last["warning"]) == ("COMPLETED", "no speech was found in this stream")


async def test_a_client_that_disappears_loses_no_word_and_its_summary_is_made(desk: Desk) -> None:
    socket = await desk.client.ws_connect(f"{desk.url}{STREAM}?format=pcm")
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    await until(lambda: desk.session.channels["C01"].end_sample > len(SPEECH) // 2)
    abort_connection(socket)
    await until(lambda: not left_tasks() and not desk.registry.connections)
    assert (await kept_text(desk)).split() == HEARD.split()
    service = desk.app[SUMMARIES]

    async def is_made() -> bool:
        return [row.status for row in await service.of_session(desk.session.id)] == ["done"]

    await until(is_made)


async def test_while_the_summary_is_made_a_client_may_leave_and_its_pings_are_answered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    make = desk.app[SUMMARIES].make

    async def slowly(scope: Any) -> Any:
        await gate.wait()
        return await make(scope)

    async def ended() -> aiohttp.ClientWebSocketResponse:
        socket = await desk.client.ws_connect(f"{desk.url}{STREAM}?format=pcm", autoping=False)
        await socket.send_bytes(pcm16(SPEECH[:1600]))
        await socket.send_str("end")
        await until(lambda: "conclude of socket" in left_tasks())
        return socket

    monkeypatch.setattr(desk.app[SUMMARIES], "make", slowly)
    abort_connection(await ended())
    await until(lambda: not left_tasks())
    socket = await ended()
    await socket.ping(b"1")
    assert (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.PONG
    gate.set()
    (last,) = await rest_of(socket)
    assert last["status"] == "COMPLETED" and last["content"]["lines"] == 0


async def test_what_the_address_shows_is_refused_before_the_upgrade(tmp_path: Path) -> None:
    tokens = ({"name": "app", "token": "correct-horse", "role": "operator"},)
    async with running_desk(a_config(tmp_path, tokens=tokens)) as desk:
        for query, status in (("", 401), ("token=correct-horse&format=nonsense", 422)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await desk.client.ws_connect(f"{desk.url}{STREAM}?{query}")
            assert refused.value.status == status
        async with desk.client.ws_connect(f"{desk.url}{STREAM}?token=correct-horse") as socket:
            await socket.send_bytes(bytes(3200))
            (last,) = await rest_of(socket)
            assert (last["status"], last["error"]["code"]) == ("FAILED", "unknown_format")
            assert socket.close_code == 4415
