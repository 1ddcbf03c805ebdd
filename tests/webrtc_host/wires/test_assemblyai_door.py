"""AssemblyAI's streaming v3 over real sockets, and the unmodified SDK against the running server."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from assemblyai.streaming.v3 import (
    Encoding,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
    StreamingSessionParameters,
)
from assemblyai.streaming.v3.async_client import AsyncRealTimeTranscriber

from tests.support.desk import Desk, a_config, abort_connection, running_desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from webrtc_host.wires import assemblyai

TOKEN = "correct-horse-battery"
TOKENS = (
    {"name": "radio", "token": TOKEN, "role": "operator"},
    {"name": "wall", "token": "only-to-look", "role": "viewer"},
)
RAW = "sample_rate=16000"
SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


class Client:
    """The SDK's client, and what it got."""

    def __init__(self, desk: Desk, key: str = "any key") -> None:
        options = StreamingClientOptions(api_key=key, api_host=desk.url.replace("http", "ws"))
        self.transcriber = AsyncRealTimeTranscriber(options)
        self.messages: list[Any] = []
        self.errors: list[Any] = []
        for event in StreamingEvents:
            self.transcriber.on(event, self._keep)

    def _keep(self, _client: Any, message: Any) -> None:
        (self.errors if isinstance(message, Exception) else self.messages).append(message)

    def kinds(self) -> list[str]:
        return [one.type for one in self.messages]


async def test_the_unmodified_sdk(desk: Desk) -> None:
    client = Client(desk)
    await client.transcriber.connect(
        StreamingParameters(
            sample_rate=16_000,
            encoding=Encoding.pcm_s16le,
            format_turns=True,
            keyterms_prompt=["gate seven", "alpha"],
            language_codes=["en"],
            acknowledge_silence=True,
        )
    )
    await client.transcriber.keep_alive()
    await client.transcriber.set_params(StreamingSessionParameters(keyterms_prompt=["gate"]))
    await client.transcriber.stream(frames(pcm16(SPEECH)))
    await client.transcriber.force_endpoint()
    await client.transcriber.disconnect(terminate=True)
    assert client.errors == []
    kinds = client.kinds()
    assert (kinds[0], kinds[-1]) == ("Begin", "Termination")
    assert kinds.index("SpeechStarted") < kinds.index("Turn")
    ends = [one for one in client.messages if one.type == "Turn" and one.end_of_turn]
    assert [(one.turn_is_formatted, one.transcript) for one in ends] == [(False, HEARD), (True, HEARD)]
    assert [word.text for word in ends[0].words] == HEARD.split()
    starts = [word.start for word in ends[0].words]
    assert starts == sorted(starts)
    assert 200 < starts[0] < 600
    assert client.messages[-1].audio_duration_seconds == round(len(SPEECH) / 16_000)
    assert desk.session.channels["C01"].terms == ("gate",)
    await until(lambda: not desk.registry.connections and not left_tasks())
    opened_by = [json.loads(one.data) for one in desk.session.log.since(0) if b'"channel.opened"' in one.data]
    assert [one["door"] for one in opened_by] == ["assemblyai"]


async def test_the_sdk_is_told_why_it_is_refused(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, tokens=TOKENS)) as desk:
        for key, status in (("wrong", 401), ("only-to-look", 403)):
            client = Client(desk, key)
            await client.transcriber.connect(StreamingParameters(sample_rate=16_000))
            assert [error.code for error in client.errors] == [status]
        client = Client(desk, TOKEN)
        await client.transcriber.connect(StreamingParameters(sample_rate=16_000))
        await client.transcriber.stream(bytes(300 * 1024))
        await until(lambda: bool(client.errors))
        assert [error.code for error in client.errors] == [3007]
        await client.transcriber.disconnect()
        await until(lambda: not desk.registry.connections and not left_tasks())


async def test_temporary_tokens(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, tokens=TOKENS)) as desk:

        async def asked(query: str, key: str) -> tuple[int, dict[str, Any]]:
            headers = {"Authorization": key}
            async with desk.client.get(f"{desk.url}/v3/token?{query}", headers=headers) as response:
                return response.status, await response.json()

        status, made = await asked("expires_in_seconds=60&max_session_duration_seconds=120", TOKEN)
        assert (status, made["expires_in_seconds"]) == (200, 60)
        address = f"{desk.url}/v3/ws?{RAW}&token={made['token']}"
        before_s = int(time.time())
        async with desk.client.ws_connect(address) as socket:
            begin = await socket.receive_json(timeout=10)
            assert begin["channel"] == "C01"
            assert begin["expires_at"] - before_s in (120, 121)
        assert (await asked("expires_in_seconds=60", made["token"]))[0] == 401
        assert (await asked("expires_in_seconds=60", "only-to-look"))[0] == 403
        for wrong in ("", "expires_in_seconds=0", "expires_in_seconds=60&max_session_duration_seconds=1"):
            assert (await asked(wrong, TOKEN))[0] == 400
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(f"{address}x")
        assert refused.value.status == 401
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(f"{desk.url}/v3/ws?encoding=g729&token={TOKEN}")
        assert refused.value.status == 400


async def test_a_silent_client_is_told_and_closed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemblyai, "inactivity_of", lambda query: 0.3)
    async with desk.client.ws_connect(f"{desk.url}/v3/ws?{RAW}") as socket:
        assert (await socket.receive_json(timeout=10))["type"] == "Begin"
        assert (await socket.receive_json(timeout=10))["error_code"] == 3008
        assert (await socket.receive(timeout=10)).data == 3008


async def test_a_client_that_disappears_loses_no_word(desk: Desk) -> None:
    socket = await desk.client.ws_connect(f"{desk.url}/v3/ws?{RAW}")
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    await until(lambda: desk.session.channels["C01"].end_sample > 0)
    abort_connection(socket)
    await until(lambda: not desk.registry.connections and not left_tasks())
    assert any(b'"segment.final"' in one.data for one in desk.session.log.since(0))


async def test_nonsense_harms_only_its_sender(desk: Desk) -> None:
    address = f"{desk.url}/v3/ws?{RAW}"
    async with desk.client.ws_connect(address) as good, desk.client.ws_connect(address) as bad:
        for socket in (good, bad):
            assert (await socket.receive_json(timeout=10))["type"] == "Begin"
        for text in ("not JSON", "[]", '{"type": 7}'):
            await bad.send_str(text)
            assert (await bad.receive_json(timeout=10))["type"] == "Warning"
        await bad.send_bytes(bytes(2 * 1024 * 1024))
        assert (await bad.receive(timeout=10)).data == 1009
        await good.send_json({"type": "Terminate"})
        assert (await good.receive_json(timeout=10))["type"] == "Termination"
        assert (await good.receive(timeout=10)).data == 1000
    await until(lambda: not desk.registry.connections and not left_tasks())


async def test_the_door_can_be_turned_off(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, doors={"assemblyai": {"enabled": False}})) as desk:
        assert (await desk.get("/v3/ws"))[0] == 404
        assert (await desk.get("/v3/token"))[0] == 404
