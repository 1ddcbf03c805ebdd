"""Speechmatics' real-time API over real sockets, and the unmodified SDK against the running server."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from speechmatics.rt import (
    AsyncClient,
    AsyncMultiChannelClient,
    AudioEncoding,
    AudioFormat,
    ConversationConfig,
    ServerMessageType,
    TranscriptionConfig,
)

from tests.support.desk import Desk, a_config, abort_connection, running_desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16

TOKEN = "correct-horse-battery"
TOKENS = (
    {"name": "radio", "token": TOKEN, "role": "operator"},
    {"name": "wall", "token": "only-to-look", "role": "viewer"},
)
SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"
FORMAT = AudioFormat(encoding=AudioEncoding.PCM_S16LE, sample_rate=16_000, chunk_size=6400)
START = {
    "message": "StartRecognition",
    "audio_format": {"type": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
    "transcription_config": {"language": "en"},
}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


def address(desk: Desk) -> str:
    return f"{desk.url.replace('http', 'ws')}/v2"


def heard_by(client: Any) -> list[dict[str, Any]]:
    """The messages that the SDK passes on."""
    messages: list[dict[str, Any]] = []
    for kind in ServerMessageType:
        client.on(kind, messages.append)
    return messages


def is_free(desk: Desk, channel: str) -> bool:
    """Whether the channel exists and no connection feeds it."""
    made = desk.session.channels.get(channel)
    return made is not None and desk.registry.holder_of(made) is None


def text_of(messages: list[dict[str, Any]], channel: str | None = None) -> str:
    finals = [one for one in messages if one["message"] == "AddTranscript" and one.get("channel") == channel]
    return "".join(one["metadata"]["transcript"] for one in finals).strip()


async def test_the_unmodified_sdk(desk: Desk) -> None:
    async with AsyncClient(api_key="any key", url=address(desk)) as client:
        messages = heard_by(client)
        await client.transcribe(
            io.BytesIO(pcm16(SPEECH)),
            transcription_config=TranscriptionConfig(
                language="en",
                enable_partials=True,
                additional_vocab=[{"content": "Gate Seven", "sounds_like": ["five six"]}],
                conversation_config=ConversationConfig(end_of_utterance_silence_trigger=0.5),
            ),
            audio_format=FORMAT,
            timeout=20,
        )
    kinds = [one["message"] for one in messages]
    assert (kinds[0], kinds[-1]) == ("RecognitionStarted", "EndOfTranscript")
    assert "AddPartialTranscript" in kinds
    added = [one["seq_no"] for one in messages if one["message"] == "AudioAdded"]
    assert added == list(range(1, len(frames(pcm16(SPEECH), 6400)) + 1))
    assert text_of(messages) == HEARD.replace("five six", "Gate Seven")
    (transcript,) = [one for one in messages if one["message"] == "AddTranscript"]
    words = [one["alternatives"][0]["content"] for one in transcript["results"]]
    assert words == [*HEARD.split()[:4], "Gate Seven"]
    starts = [one["start_time"] for one in transcript["results"]]
    assert starts == sorted(starts)
    assert 0.2 < starts[0] < 0.6
    assert desk.session.channels["C01"].terms == ("Gate Seven",)
    await until(lambda: not desk.registry.connections and not left_tasks())


async def test_the_unmodified_sdk_with_channels(desk: Desk) -> None:
    """Two channels in one socket; one of them is silent. Their SDK stops at the end of the shorter one."""
    async with AsyncMultiChannelClient(api_key="any key", url=address(desk)) as client:
        messages, ended = heard_by(client), asyncio.Event()
        client.on(ServerMessageType.END_OF_TRANSCRIPT, lambda message: ended.set())
        await client.transcribe(
            {
                "left": io.BytesIO(pcm16(SPEECH)),
                "right": io.BytesIO(pcm16(np.zeros_like(SPEECH))),
            },
            transcription_config=TranscriptionConfig(language="en"),
            audio_format=FORMAT,
            timeout=20,
        )
        await asyncio.wait_for(ended.wait(), 20)
    assert text_of(messages, "left") == HEARD
    assert text_of(messages, "right") == ""
    for channel in ("left", "right"):
        added = [one["seq_no"] for one in messages if one.get("channel") == channel and "seq_no" in one]
        assert added == list(range(1, len(frames(pcm16(SPEECH), 6400)) + 1))
    assert messages[0]["channels"] == {"left": "C01", "right": "C02"}
    await until(lambda: not desk.registry.connections and not left_tasks())
    opened = [json.loads(one.data) for one in desk.session.log.since(0) if b'"channel.opened"' in one.data]
    assert [(one["channel"], one["door"]) for one in opened] == [
        ("C01", "speechmatics"),
        ("C02", "speechmatics"),
    ]
    assert [desk.session.channels[one].label for one in ("C01", "C02")] == ["left", "right"]


async def test_a_channel_that_ends_earlier_leaves_the_others_alone(desk: Desk) -> None:
    async with desk.client.ws_connect(f"{desk.url}/v2?channel=C03") as socket:
        await socket.send_json({**START, "transcription_config": {"diarization": "channel"}})
        data = [base64.b64encode(frame).decode() for frame in frames(pcm16(SPEECH), 6400)]
        for number, part in enumerate(data):
            audio = {"message": "AddChannelAudio", "data": part}
            await socket.send_json({**audio, "channel": "north"})
            if number < 2:
                await socket.send_json({**audio, "channel": "south"})
            if number == 2:
                await socket.send_json({"message": "EndOfChannel", "channel": "south", "last_seq_no": 2})
                await until(lambda: is_free(desk, "C01"))  # while the other channel goes on
        await socket.send_json({"message": "EndOfChannel", "channel": "north", "last_seq_no": len(data)})
        messages = []
        while (message := await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
            messages.append(json.loads(message.data))
    assert messages[-1]["message"] == "EndOfTranscript"
    assert text_of(messages, "north") == HEARD
    assert desk.session.channels["C03"].label == "north"
    await until(lambda: not desk.registry.connections and not left_tasks())


async def test_a_refusal_comes_before_the_upgrade(tmp_path: Path) -> None:
    limits = {"channels_per_process": 1, "channels_per_session": 1}
    async with running_desk(a_config(tmp_path, tokens=TOKENS, limits=limits)) as desk:
        for query, status in (("", 401), ("?jwt=wrong", 401), ("?jwt=only-to-look", 403)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await desk.client.ws_connect(f"{desk.url}/v2{query}")
            assert refused.value.status == status
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(f"{desk.url}/v2/nowhere", headers=headers)
        assert refused.value.status == 400
        async with desk.client.ws_connect(f"{desk.url}/v2/en", headers=headers) as socket:
            await socket.send_json(START)
            assert (await socket.receive_json(timeout=10))["message"] == "RecognitionStarted"
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await desk.client.ws_connect(f"{desk.url}/v2?jwt={TOKEN}")
            assert refused.value.status == 429
        await until(lambda: not desk.registry.connections and not left_tasks())
        config = {"diarization": "channel", "channel_diarization_labels": ["left", "right"]}
        async with desk.client.ws_connect(f"{desk.url}/v2", headers=headers) as socket:
            await socket.send_json({**START, "transcription_config": config})
            assert (await socket.receive_json(timeout=10))["type"] == "quota_exceeded"
            assert (await socket.receive(timeout=10)).data == 4005
        await until(lambda: not desk.registry.connections and not left_tasks())


async def test_nonsense_harms_only_its_sender(desk: Desk) -> None:
    async with desk.client.ws_connect(f"{desk.url}/v2") as good:
        await good.send_json(START)
        assert (await good.receive_json(timeout=10))["message"] == "RecognitionStarted"
        for bad, kind in (("not JSON", "invalid_message"), (b"1234", "protocol_error")):
            async with desk.client.ws_connect(f"{desk.url}/v2") as socket:
                await (socket.send_str(bad) if isinstance(bad, str) else socket.send_bytes(bad))
                assert (await socket.receive_json(timeout=10))["type"] == kind
                assert (await socket.receive(timeout=10)).data == 1003
        await good.send_json({"message": "EndOfStream", "last_seq_no": 0})
        assert (await good.receive_json(timeout=10))["message"] == "EndOfTranscript"
        assert (await good.receive(timeout=10)).data == 1000
    await until(lambda: not desk.registry.connections and not left_tasks())


async def test_a_client_that_disappears_loses_no_word(desk: Desk) -> None:
    socket = await desk.client.ws_connect(f"{desk.url}/v2")
    await socket.send_json(START)
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    await until(lambda: "C01" in desk.session.channels and desk.session.channels["C01"].end_sample > 0)
    abort_connection(socket)
    await until(lambda: not desk.registry.connections and not left_tasks())
    assert any(b'"segment.final"' in one.data for one in desk.session.log.since(0))


async def test_the_door_can_be_turned_off(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, doors={"speechmatics": {"enabled": False}})) as desk:
        assert (await desk.get("/v2"))[0] == 404
        assert (await desk.get("/v2/en"))[0] == 404
