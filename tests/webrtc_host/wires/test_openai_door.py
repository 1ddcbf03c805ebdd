"""OpenAI's Realtime transcription over a WebSocket, with their Python client, unchanged."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI

from tests.support.desk import Desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.wires import SHORT, frames, hearing_desk, left_tasks, pcm16

TOKEN = "a-token-for-openai"
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"
SPEECH = padded(say(SHORT), 0.4, 0.4)
ENOUGH_SILENCE = padded(say(SHORT), 0.2, 1.0)
HEARD = "one two three"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path, token=TOKEN) as made:
        yield made


def client_of(desk: Desk, key: str = TOKEN) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=key, base_url=f"{desk.url}/v1", max_retries=0)


async def append(connection: Any, samples: np.ndarray[Any, Any]) -> None:
    for frame in frames(pcm16(samples, 24_000), 4800):
        await connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())


async def until_completed(connection: Any) -> list[Any]:
    said: list[Any] = []
    async with asyncio.timeout(20):
        while not said or said[-1].type != COMPLETED:
            said.append(await connection.recv())
            assert said[-1].type != "error", said[-1]
    return said


async def test_their_client_commits_and_gets_deltas_that_are_the_transcript(desk: Desk) -> None:
    async with client_of(desk).realtime.connect(extra_query={"intent": "transcription"}) as connection:
        assert (await connection.recv()).type == "session.created"
        transcription = {"model": "gpt-live-transcribe", "keywords": ["Alpha"], "delay": "minimal"}
        session: Any = {"type": "transcription", "audio": {"input": {"transcription": transcription}}}
        await connection.session.update(session=session)
        assert (await connection.recv()).type == "session.updated"
        for _ in range(2):
            await append(connection, SPEECH)
            await connection.input_audio_buffer.commit()
            said = await until_completed(connection)
            item = said[-1].item_id
            assert said[-1].transcript == HEARD
            assert "".join(one.delta for one in said if one.type == DELTA and one.item_id == item) == HEARD
        assert desk.session.channels["C01"].terms == ("Alpha",)
        (holder,) = desk.registry.connections.values()
        assert holder.by == "auth.token"
    await until(lambda: not desk.registry.connections and not left_tasks())


async def test_turn_detection_gives_each_utterance_its_item(desk: Desk) -> None:
    async with client_of(desk).realtime.connect(
        model="whisper-1", extra_query={"intent": "transcription", "channel": "C05"}
    ) as connection:
        await append(connection, ENOUGH_SILENCE)
        said = await until_completed(connection)
        kinds = [one.type for one in said if one.type != DELTA]
        assert kinds == [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            COMPLETED,
        ]
        assert said[-1].transcript == HEARD and said[-1].channel == "C05"


async def test_their_client_connects_again_when_the_server_restarts(tmp_path: Path) -> None:
    reconnects: list[int] = []
    async with (
        hearing_desk(tmp_path / "a", token=TOKEN) as first,
        hearing_desk(tmp_path / "b", token=TOKEN) as second,
    ):
        client = client_of(first)

        def reconnecting(event: Any) -> None:
            reconnects.append(event.close_code)
            client.base_url = f"{second.url}/v1"

        async with client.realtime.connect(
            extra_query={"intent": "transcription"}, on_reconnecting=reconnecting
        ) as connection:
            await append(connection, SPEECH)
            channels = first.session.channels
            await until(lambda: "C01" in channels and channels["C01"].end_sample > 0.8 * len(SPEECH))
            first.stop.set()
            kinds: list[str] = []
            async with asyncio.timeout(20):
                async for event in connection:
                    kinds.append(event.type)
                    if kinds.count("session.created") == 2:
                        break
            assert reconnects == [1012]
            assert kinds.count(COMPLETED) == 1  # the words so far came before the close


async def test_refusals_come_before_the_upgrade(desk: Desk) -> None:
    async def status(query: str, **headers: str) -> tuple[int, str]:
        try:
            socket = await desk.client.ws_connect(f"{desk.url}/v1/realtime?{query}", headers=headers)
        except aiohttp.WSServerHandshakeError as error:
            return error.status, ""
        return 101, (await socket.receive_json())["type"]

    key = {"Authorization": f"Bearer {TOKEN}"}
    assert await status("intent=transcription") == (401, "")
    assert await status("", Authorization="Bearer wrong") == (401, "")
    assert (await status("session=s_none", **key))[0] == 404
    assert (await status("channel=C99", **key))[0] == 422
    protocol = {"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{TOKEN}"}
    assert await status("", **protocol) == (101, "session.created")


async def test_a_client_secret_opens_sessions_with_its_settings_and_nothing_else(desk: Desk) -> None:
    transcription: Any = {"model": "gpt-live-transcribe", "language": "ko"}
    async with client_of(desk) as client:
        made = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "transcription", "audio": {"input": {"transcription": transcription}}},
        )
    assert made.value.startswith("ek_") and made.session.type == "transcription"
    async with client_of(desk, made.value) as client:
        async with client.realtime.connect() as connection:
            created: Any = await connection.recv()
        assert created.session.audio.input.transcription.language == "ko"
        assert created.session.audio.input.turn_detection is None
        with pytest.raises(openai.AuthenticationError):
            await client.realtime.client_secrets.create()
    headers = {"Authorization": f"Bearer {made.value}"}
    async with desk.client.get(f"{desk.url}/api/sessions", headers=headers) as response:
        assert response.status == 401


async def test_bad_messages_are_errors_and_the_session_goes_on(desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    socket = await desk.client.ws_connect(f"{desk.url}/v1/realtime", headers=headers)
    for text in ("{", "[]", '{"type":"response.create"}', '{"type":"input_audio_buffer.append","audio":"?"}'):
        await socket.send_str(text)
    await socket.send_bytes(b"\x00\x01")
    await socket.send_str('{"type":"session.update","session":{}}')
    kinds = [(await socket.receive_json())["type"] for _ in range(7)]
    assert kinds == ["session.created", *["error"] * 5, "session.updated"]
    for _ in range(25):
        await socket.send_str("{")
    while (message := await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
        pass
    assert message.data == 1008
    await until(lambda: not left_tasks())
