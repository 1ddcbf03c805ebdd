"""The unmodified deepgram-sdk against the running server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Configure

from tests.support.desk import Desk
from tests.support.polling import until
from tests.support.recordings import wav
from tests.support.speech import padded, say
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""The SDK imports names that its WebSocket library calls deprecated."""

SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


def client_of(desk: Desk, http: httpx.AsyncClient | None = None) -> Any:
    socket = desk.url.replace("http", "ws")
    here = DeepgramClientEnvironment(base=desk.url, production=socket, agent=socket, agent_rest=desk.url)
    return AsyncDeepgramClient(api_key="any key", environment=here, httpx_client=http)


async def received(connection: Any) -> list[Any]:
    return [message async for message in connection]


async def test_v1_live(desk: Desk) -> None:
    options = {"encoding": "linear16", "sample_rate": 16_000, "interim_results": True, "vad_events": True}
    async with client_of(desk).listen.v1.connect(
        model="nova-3", keyterm=["gate seven", "alpha"], punctuate=True, utterance_end_ms=1000, **options
    ) as connection:
        messages = asyncio.create_task(received(connection))
        await connection.send_keep_alive()
        await connection.send_configure(ListenV1Configure(type="Configure", keyterms=["gate"]))
        for frame in frames(pcm16(SPEECH)):
            await connection.send_media(frame)
        await connection.send_finalize()
        await connection.send_close_stream()
        said = await asyncio.wait_for(messages, 20)
    kinds = [type(one).__name__ for one in said]
    assert kinds[0] == "ListenV1ConfigureSuccess"
    assert kinds[-1] == "ListenV1Metadata"
    assert set(kinds) >= {"ListenV1SpeechStarted", "ListenV1Results"}
    finals = [one for one in said if one.type == "Results" and one.is_final]
    text = [one.channel.alternatives[0].transcript for one in finals]
    assert [one for one in text if one] == [HEARD]
    assert any(one.from_finalize for one in finals)
    await until(lambda: not desk.registry.connections and not left_tasks())


async def test_v1_file(desk: Desk) -> None:
    async with httpx.AsyncClient() as http:
        media = client_of(desk, http).listen.v1.media
        answer = await media.transcribe_file(
            request=wav(SPEECH), model="nova-3", smart_format=True, utterances=True
        )
        assert answer.results.channels[0].alternatives[0].transcript == HEARD
        assert answer.metadata.channels == 1
        with pytest.raises(ApiError) as refused:
            await media.transcribe_url(url="http://127.0.0.1/a.wav")
    assert refused.value.status_code == 400


async def test_v2(desk: Desk) -> None:
    async with client_of(desk).listen.v2.connect(
        model="flux-general-en", encoding="linear16", sample_rate=16_000, eager_eot_threshold=0.4
    ) as connection:
        messages = asyncio.create_task(received(connection))
        for frame in frames(pcm16(SPEECH), 2560):
            await connection.send_media(frame)
        await connection.send_close_stream()
        said = await asyncio.wait_for(messages, 20)
    assert said[0].type == "Connected"
    assert {type(one).__name__ for one in said[1:]} == {"ListenV2TurnInfo"}
    assert said[-1].event == "EndOfTurn"
    assert said[-1].transcript == HEARD
    await until(lambda: not desk.registry.connections and not left_tasks())
