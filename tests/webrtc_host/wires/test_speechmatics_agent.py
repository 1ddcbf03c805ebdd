"""The codec of Speechmatics' Agent STT, and a client of it over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk, close_code_and_reason
from tests.support.speech import padded, say
from tests.support.streams import final
from tests.support.wires import frames, hearing_desk, pcm16
from webrtc_host.wires.messages import Failed, Interim, Result, SpeechBegan, SpeechStopped, UtteranceDone
from webrtc_host.wires.speechmatics_agent import SpeechmaticsAgent

SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"
START = {
    "message": "StartRecognition",
    "audio_format": {"type": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000},
    "transcription_config": {"language": "en", "model": "linden-1", "enable_partials": True},
    "turn_config": {"turn_detection_mode": "vad"},
}
EXTERNAL = {**START, "turn_config": {"turn_detection_mode": "external"}}
UTTERANCE = (
    SpeechBegan("", "u_1", 300),
    Interim("", "u_1", "alpha", 0, 300, 700, "en"),
    SpeechStopped("", "u_1", 300, 900, "hangover"),
    final("alpha one", 300, 900),
    UtteranceDone("", "u_1", 300, 900),
)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


def said(start: dict[str, Any], *results: Result) -> list[dict[str, Any]]:
    """What the codec tells a client that began with `start`."""
    codec = SpeechmaticsAgent("id-1", "", None, (), "base")
    codec.on_text(json.dumps(start), 0)
    return [json.loads(frame) for result in results for frame in codec.on_result(result)]


def test_an_utterance_is_a_turn_and_its_finals_are_segments() -> None:
    messages = said(START, *UTTERANCE)
    assert [(one["message"], one["metadata"]) for one in messages] == [
        ("SpeechStarted", {"start_time": 0.3}),
        ("StartOfTurn", {"start_time": 0.3}),
        ("AddPartialSegment", {"start_time": 0.3, "end_time": 0.7}),
        ("SpeechEnded", {"end_time": 0.9}),
        ("AddSegment", {"start_time": 0.3, "end_time": 0.9}),
        ("EndOfTurn", {"end_time": 0.9}),
    ]
    assert messages[4]["segment"] == {"transcript": "alpha one", "speaker": None}


def test_a_client_that_ends_the_turns_itself_gets_segments_only() -> None:
    without = {**EXTERNAL, "transcription_config": {"language": "en"}}
    assert [one["message"] for one in said(without, *UTTERANCE)] == ["AddSegment"]
    assert said(EXTERNAL, Failed("", "u_1", 0, 900, "engine_timeout")) == []


async def test_a_forced_end_and_the_end_of_a_session_of_agent_stt(desk: Desk) -> None:
    socket = await desk.client.ws_connect(f"{desk.url}/v2/agent?channel=C03")
    await socket.send_json(EXTERNAL)
    begun = await socket.receive_json(timeout=20)
    assert begun["message"] == "RecognitionStarted" and begun["channels"] == {"": "C03"}
    for frame in frames(pcm16(SPEECH)):
        await socket.send_bytes(frame)
    await socket.send_json({"message": "ForceEndOfUtterance", "timestamp": 1.5})
    texts = []
    while (message := await socket.receive_json(timeout=20))["message"] != "EndOfTranscript":
        if message["message"] == "AddSegment":
            texts.append(message["segment"]["transcript"])
            await socket.send_json({"message": "EndOfStream", "last_seq_no": 1})
    assert texts == [HEARD]
    assert (await close_code_and_reason(socket))[0] == 1000
