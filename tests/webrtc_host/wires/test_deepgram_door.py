"""Deepgram v1 and v2 over real sockets: refusals, encodings, results, ends."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from host_stt.contract import Float32Array
from tests.support.desk import Desk, a_config, abort_connection, running_desk
from tests.support.polling import until
from tests.support.recordings import wav
from tests.support.socket_audio import container_of, g711_of
from tests.support.speech import padded, say
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from webrtc_host.media.opus import Codec
from webrtc_host.wires import deepgram
from webrtc_host.wires.site import Traits

TOKEN = "correct-horse-battery"
RAW = "encoding=linear16&sample_rate=16000"
SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


async def connect(desk: Desk, query: str, path: str = "/v1/listen") -> aiohttp.ClientWebSocketResponse:
    return await desk.client.ws_connect(f"{desk.url}{path}?{query}")


async def rest(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    """The messages up to the close frame."""
    messages = []
    while (message := await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
        messages.append(json.loads(message.data))
    assert message.type is aiohttp.WSMsgType.CLOSE, message
    return messages


async def listened(desk: Desk, query: str, data: bytes, bytes_each: int = 3200) -> list[dict[str, Any]]:
    """The messages of a stream that is sent at once, up to its end."""
    socket = await connect(desk, query)
    for frame in frames(data, bytes_each):
        await socket.send_bytes(frame)
    await socket.send_json({"type": "CloseStream"})
    messages = await rest(socket)
    assert socket.close_code == 1000
    return messages


def finals(messages: list[dict[str, Any]], channel: int = 0) -> list[dict[str, Any]]:
    results = [one for one in messages if one["type"] == "Results" and one["is_final"]]
    return [one for one in results if one["channel_index"][0] == channel]


def text_of(messages: list[dict[str, Any]], channel: int = 0) -> str:
    texts = (one["channel"]["alternatives"][0]["transcript"] for one in finals(messages, channel))
    return " ".join(text for text in texts if text)


def assert_contiguous(messages: list[dict[str, Any]], length_s: float, channel: int = 0) -> None:
    at = 0.0
    for one in finals(messages, channel):
        assert one["start"] == pytest.approx(at, abs=1e-6)
        at = one["start"] + one["duration"]
    assert at == pytest.approx(length_s, abs=0.03)


def stereo(left: Float32Array, right: Float32Array) -> bytes:
    planes = np.stack([np.frombuffer(pcm16(one, 48_000), "<i2") for one in (left, right)])
    return planes.T.tobytes()


async def test_every_encoding_gives_the_same_text_and_contiguous_ranges(desk: Desk) -> None:
    """All at the same time, each on a channel of its own."""
    sound = np.frombuffer(pcm16(SPEECH, 48_000), "<i2")
    quiet = np.zeros_like(SPEECH)
    messages = await asyncio.gather(
        listened(desk, f"{RAW}&interim_results=true&vad_events=true&utterance_end_ms=1000", pcm16(SPEECH)),
        listened(
            *(desk, "encoding=linear16&sample_rate=48000&channels=2&multichannel=true"),
            stereo(quiet, SPEECH),
            9600,
        ),
        listened(desk, "encoding=mulaw&sample_rate=8000", g711_of(SPEECH[::2].astype(float), Codec.PCMU)),
        listened(desk, "", wav(SPEECH)),
        listened(desk, "encoding=ogg-opus", container_of("ogg", sound), 700),
    )
    length_s = len(SPEECH) / 16_000
    for number, one in enumerate(messages):
        speaking = 1 if number == 1 else 0
        assert text_of(one, speaking) == HEARD, number
        assert_contiguous(one, length_s, speaking)
        assert one[-1]["type"] == "Metadata"
        assert one[-1]["duration"] == pytest.approx(length_s, abs=0.03)
    assert text_of(messages[1], 0) == ""
    assert_contiguous(messages[1], length_s, 0)
    kinds = [one["type"] for one in messages[0]]
    assert kinds.index("SpeechStarted") < kinds.index("Results")
    assert any(not one["is_final"] for one in messages[0] if one["type"] == "Results")
    assert sum(one["speech_final"] for one in finals(messages[0])) == 1
    await until(lambda: not desk.registry.connections and not left_tasks())
    assert not desk.subscribers.statistics().watchers
    opened = [json.loads(one.data) for one in desk.session.log.since(0) if b'"channel.opened"' in one.data]
    assert [one["channel"] for one in opened] == ["C01", "C02", "C03", "C04", "C05", "C06"]
    assert {one["door"] for one in opened} == {"deepgram"}


async def test_finalize_and_configure_work_while_audio_arrives(desk: Desk) -> None:
    socket = await connect(desk, f"{RAW}&keyterm=gate&channel=C05")
    channel = desk.session.channels["C05"]
    assert channel.terms == ("gate",)
    await socket.send_json({"type": "Configure", "keyterms": ["Alpha-1"]})
    assert (await socket.receive_json(timeout=10))["keyterms"] == ["Alpha-1"]
    assert channel.terms == ("Alpha-1",)
    for frame in frames(pcm16(SPEECH[: -16_000 * 3 // 4])):  # speech goes on at its end
        await socket.send_bytes(frame)
    await socket.send_json({"type": "Finalize"})
    message = await socket.receive_json(timeout=20)
    assert (message["from_finalize"], message["is_final"], message["speech_final"]) == (True, True, True)
    assert message["channel"]["alternatives"][0]["transcript"] == HEARD
    await socket.send_json({"type": "CloseStream"})
    assert (await rest(socket))[-1]["type"] == "Metadata"


async def test_a_client_without_audio_and_keepalive_is_closed_after_ten_seconds(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deepgram.TRAITS.idle_s == 10
    monkeypatch.setattr(deepgram, "TRAITS", Traits(deepgram.TRAITS.door, idle_s=1.0))
    socket = await connect(desk, RAW)
    for _ in range(6):
        await asyncio.sleep(0.2)
        await socket.send_json({"type": "KeepAlive"})
    message = await socket.receive(timeout=10)
    assert (message.data, (message.extra or "")[:8]) == (1011, "NET-0001")


async def test_audio_that_cannot_be_decoded_is_1008(desk: Desk) -> None:
    socket = await connect(desk, "")
    await socket.send_bytes(b"this is no audio at all")
    message = await socket.receive(timeout=10)
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1008)
    assert (message.extra or "").startswith("DATA-0000")
    await until(lambda: not desk.registry.connections)


async def test_pings_of_a_client_that_sends_faster_than_real_time_are_answered(desk: Desk) -> None:
    socket = await desk.client.ws_connect(f"{desk.url}/v1/listen?{RAW}", autoping=False)
    for frame in frames(bytes(32_000 * 60)):
        await socket.send_bytes(frame)
    await socket.ping(b"are you there")
    async with asyncio.timeout(10):
        while (message := await socket.receive()).type is not aiohttp.WSMsgType.PONG:
            assert message.type is aiohttp.WSMsgType.TEXT
    assert message.data == b"are you there"
    abort_connection(socket)


async def test_turns_over_a_socket(desk: Desk) -> None:
    socket = await connect(desk, f"{RAW}&eager_eot_threshold=0.4", "/v2/listen")
    for frame in frames(pcm16(SPEECH), 2560):
        await socket.send_bytes(frame)
    await socket.send_json({"type": "CloseStream"})
    messages = await rest(socket)
    assert messages[0]["type"] == "Connected"
    events = [one["event"] for one in messages[1:]]
    assert events[0] == "StartOfTurn"
    assert events[-1] == "EndOfTurn"
    assert events.count("EndOfTurn") == 1
    assert "EagerEndOfTurn" in events
    assert messages[-1]["transcript"] == HEARD
    assert [one["sequence_id"] for one in messages] == list(range(len(messages)))


async def test_a_file_is_transcribed_and_is_in_the_record(desk: Desk) -> None:
    address = f"{desk.url}/v1/listen?utterances=true&keyterm=gate"
    async with desk.client.post(address, data=wav(SPEECH)) as response:
        body = await response.json()
        assert response.status == 200, body
        assert response.headers["dg-request-id"] == body["metadata"]["request_id"]
    (channel,) = body["results"]["channels"]
    alternative = channel["alternatives"][0]
    assert alternative["transcript"] == HEARD
    assert [word["word"] for word in alternative["words"]] == HEARD.split()
    assert 0.2 < alternative["words"][0]["start"] < 0.6
    assert body["results"]["utterances"][0]["transcript"] == HEARD
    assert body["metadata"]["duration"] == pytest.approx(len(SPEECH) / 16_000, abs=0.01)
    _, record = await desk.get(f"/api/sessions/{desk.session.id}/segments")
    assert [one["text"] for one in record["segments"]] == [HEARD]
    async with desk.client.post(f"{desk.url}/v1/listen", json={"url": "http://127.0.0.1/"}) as response:
        assert response.status == 400
        assert (await response.json())["err_code"] == "URL_NOT_ALLOWED"
    async with desk.client.post(f"{desk.url}/v1/listen", data=io.BytesIO(b"no audio")) as response:
        assert response.status == 415


async def test_a_client_that_disappears_frees_its_channel(desk: Desk) -> None:
    socket = await connect(desk, RAW)
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    await until(lambda: desk.session.channels["C01"].end_sample > 0)
    abort_connection(socket)
    await until(lambda: not desk.registry.connections and not left_tasks())
    events = [one.data for one in desk.session.log.since(0)]
    assert any(b'"segment.final"' in one for one in events)


TOKENS = (
    {"name": "radio", "token": TOKEN, "role": "operator"},
    {"name": "wall", "token": "only to look", "role": "viewer"},
)


async def test_keys_are_read_from_the_header_and_the_subprotocol(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, tokens=TOKENS)) as desk:
        address = f"{desk.url}/v1/listen?{RAW}"
        for headers in ({"Authorization": f"Token {TOKEN}"}, {"Authorization": f"bearer {TOKEN}"}):
            async with desk.client.ws_connect(address, headers=headers) as socket:
                assert len(socket._response.headers["dg-request-id"]) == 36
                assert socket._response.headers["Host-STT-Channel"] == "C01"
            await until(lambda: not desk.registry.connections)
        async with desk.client.ws_connect(address, protocols=("token", TOKEN)) as socket:
            assert socket.protocol == "token"
        for protocols in (("bearer", "wrong"), ("token",), ()):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await desk.client.ws_connect(address, protocols=protocols)
            assert refused.value.status == 401


async def test_a_refusal_comes_before_the_upgrade_in_the_form_of_the_service(tmp_path: Path) -> None:
    async with running_desk(
        a_config(tmp_path, tokens=TOKENS, limits={"channels_per_process": 1, "channels_per_session": 1})
    ) as desk:

        async def asked(query: str, token: str, path: str = "/v1/listen") -> tuple[int, dict[str, Any]]:
            upgrade = {
                **{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
                **{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Authorization": f"Token {token}"},
            }
            async with desk.client.get(f"{desk.url}{path}?{query}", headers=upgrade) as response:
                return response.status, await response.json()

        status, body = await asked(RAW, "wrong one")
        assert status == 401
        assert set(body) >= {"err_code", "err_msg", "request_id"}
        assert (await asked(RAW, "only to look"))[0] == 403
        assert (await asked("encoding=g729&sample_rate=8000", TOKEN))[0] == 400
        assert (await asked(f"{RAW}&channel=C77", TOKEN))[0] == 422
        assert (await asked(f"{RAW}&channels=2", TOKEN, "/v2/listen"))[0] == 400
        async with desk.client.get(
            f"{desk.url}/v1/listen", headers={"Authorization": f"Token {TOKEN}"}
        ) as response:
            assert response.status == 400
        async with desk.client.post(f"{desk.url}/v1/listen", data=b"") as response:
            assert response.status == 401
        headers = {"Authorization": f"Token {TOKEN}"}
        async with desk.client.ws_connect(f"{desk.url}/v1/listen?{RAW}", headers=headers):
            status, body = await asked(RAW, TOKEN)
            assert status == 429


async def test_a_hundred_connections_at_once_get_a_channel_or_429(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:

        async def connected() -> aiohttp.ClientWebSocketResponse | int:
            try:
                return await connect(desk, RAW)
            except aiohttp.WSServerHandshakeError as error:
                return error.status

        made = await asyncio.gather(*(connected() for _ in range(100)))
        sockets = [one for one in made if not isinstance(one, int)]
        assert len(sockets) == 64
        assert [one for one in made if isinstance(one, int)] == [429] * 36
        await sockets[0].send_bytes(bytes(2 * 1024 * 1024))
        assert (await sockets[0].receive(timeout=10)).data == 1009
        await sockets[1].send_bytes(bytes(300 * 1024))
        assert (await sockets[1].receive(timeout=10)).data == 1008
        for socket in sockets[2:12]:
            for text in ("not JSON", "[]", '{"type": 7}'):
                await socket.send_str(text)
                assert (await socket.receive_json(timeout=10))["variant"] == "SchemaError"
        await asyncio.gather(*(socket.close() for socket in sockets))
        await until(lambda: not desk.registry.connections and not left_tasks())
        assert not desk.subscribers.statistics().watchers


async def test_a_door_can_be_turned_off(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, doors={"deepgram": {"enabled": False}})) as desk:
        assert (await desk.get("/v1/listen"))[0] == 404
