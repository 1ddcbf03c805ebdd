"""WhisperLive's protocol: the codec alone, and the messages of its client, whisper-live 0.10.0.

Its package needs PyAudio and so a sound card, also without a microphone; so the tests send what its client
sends, and read the replies as `Client.on_message` and `Client.process_segments` do.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.streams import Utterance, final, opened, results_of, utterances
from tests.support.wires import frames, hearing_desk, left_tasks
from webrtc_host.errors import Overloaded
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.wires.messages import (
    PEER_CLOSED,
    SERVER_STOPPING,
    STOPPED,
    Audio,
    End,
    Finish,
    Frame,
    Interim,
    Open,
    Say,
    UtteranceDone,
)
from webrtc_host.wires.whisperlive import SEGMENTS_MAX, WhisperLiveCodec

SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"
FIRST: dict[str, Any] = {
    "uid": "b7c9",
    "language": None,
    "task": "transcribe",
    "model": "small",
    "use_vad": True,
    "send_last_n_segments": 10,
    "no_speech_thresh": 0.45,
    "clip_audio": False,
    "same_output_threshold": 10,
    "enable_translation": False,
    "target_language": "fr",
    "hotwords": None,
    "enable_diarization": False,
    "max_speakers": 10,
    "known_speakers": [],
    "word_timestamps": False,
    "initial_prompt": None,
    "vad_parameters": None,
}
"""The first message of the client, with its defaults."""


class Client:
    """What the client keeps of the server's messages, by its own rules."""

    def __init__(self, uid: str = "b7c9") -> None:
        self.uid = uid
        self.is_ready = False
        self.statuses: list[tuple[str, Any]] = []
        self.language: str | None = None
        self.is_disconnected = False
        self.transcript: list[dict[str, Any]] = []
        self.provisional = ""

    def take(self, given: Iterable[Frame]) -> None:
        for frame in given:
            message = json.loads(frame)
            if message.get("uid") != self.uid:
                continue
            if "status" in message:
                self.statuses.append((message["status"], message["message"]))
            elif "message" in message:
                self.is_ready |= (
                    message["message"] == "SERVER_READY" and message["backend"] == "faster_whisper"
                )
                self.is_disconnected |= message["message"] == "DISCONNECT"
            elif "language" in message:
                self.language = message["language"]
            elif "segments" in message:
                self._take_segments(message["segments"])

    def _take_segments(self, segments: Sequence[dict[str, Any]]) -> None:
        texts: list[str] = []
        for number, one in enumerate(segments):
            if texts and texts[-1] == one["text"]:
                continue
            texts.append(one["text"].strip())
            if number == len(segments) - 1 and not one["completed"]:
                self.provisional = one["text"].strip()
            elif one["completed"] and (
                not self.transcript or float(one["start"]) >= float(self.transcript[-1]["end"])
            ):
                self.transcript.append(one)

    @property
    def text(self) -> str:
        return " ".join(one["text"].strip() for one in self.transcript)


def started(**options: Any) -> WhisperLiveCodec:
    codec = WhisperLiveCodec("C03", "s_1")
    codec.on_text(json.dumps({**FIRST, **options}), 0.0)
    return codec


def test_the_first_message_opens_the_stream_with_its_settings() -> None:
    codec = WhisperLiveCodec("C03", "s_1")
    options = {"language": "ko", "hotwords": "Alpha One, 게이트", "audio_format": "int16"}
    (action,) = codec.on_text(json.dumps({**FIRST, **options}), 0.0)
    assert isinstance(action, Open) and action.session == "s_1"
    assert action.format == AudioFormat(Encoding.S16, 16_000)
    (stream,) = action.streams
    assert (stream.channel, stream.language, stream.terms) == ("C03", "ko", ("Alpha One", "게이트"))
    assert codec.on_bytes(b"\0\0") == [Audio(b"\0\0")]
    assert codec.on_bytes(b"END_OF_AUDIO") == [Finish()]


def test_the_client_is_told_when_the_server_is_ready_and_which_language_it_heard() -> None:
    client, codec = Client(), started()
    client.take(codec.on_result(opened("0")))
    assert client.is_ready
    client.take(codec.on_result(final("alpha one", 0, 500)))
    assert client.language == "en"
    assert len(codec.on_result(final("alpha one", 500, 900))) == 1, "the language is told once"


def test_provisional_text_replaces_itself_and_lines_that_say_the_same_are_kept() -> None:
    client, codec = Client(), started(language="en")
    client.take(codec.on_result(Interim("0", "u_1", "alpha on", 0, 0, 400, "en")))
    assert (client.provisional, client.text) == ("alpha on", "")
    client.take(codec.on_result(final("alpha one", 0, 500)))
    client.take(codec.on_result(final("alpha one", 490, 900)))
    assert client.text == "alpha one alpha one"
    client.take(codec.on_result(Interim("0", "u_2", "pro", 0, 1000, 1200, "en")))
    assert client.provisional == "pro"
    (frame,) = codec.on_result(UtteranceDone("0", "u_2", 1000, 1200))
    assert [one["completed"] for one in json.loads(frame)["segments"]] == [True, True]


def test_words_and_the_number_of_segments_are_as_the_client_asks() -> None:
    codec = started(send_last_n_segments=2, word_timestamps=True, language="en")
    for number in range(4):
        (frame,) = codec.on_result(final(f"line {number}", number * 1000, number * 1000 + 500))
    segments = json.loads(frame)["segments"]
    assert [one["text"] for one in segments] == [" line 2", " line 3"]
    assert segments[1]["words"] == [{"word": "line", "start": "3.000", "end": "3.500", "probability": 0.9}]
    assert started(send_last_n_segments=10**9)._finals.maxlen == SEGMENTS_MAX


def test_a_client_that_wants_a_translation_is_warned_and_gets_the_transcript() -> None:
    client = Client()
    said, action = WhisperLiveCodec(None, None).on_text(
        json.dumps({**FIRST, "enable_translation": True}), 0.0
    )
    assert isinstance(said, Say) and isinstance(action, Open)
    client.take(said.frames)
    assert client.statuses[0][0] == "WARNING"


def test_each_end_is_told_as_the_client_understands_it() -> None:
    assert started().on_end(End(STOPPED)).code == 1000
    client = Client()
    busy = Overloaded("no_free_channel", "all channels are in use", retry_after_s=30, status=429)
    goodbye = started().on_end(End("refused", busy))
    client.take(goodbye.frames)
    assert client.statuses == [("WAIT", 0.5)] and goodbye.code == 1000
    goodbye = started().on_end(End("taken_over"))
    client.take(goodbye.frames)
    assert client.is_disconnected and goodbye.code == 1000, "with this, the client does not connect again"
    goodbye = started().on_end(End(SERVER_STOPPING))
    assert (goodbye.code, goodbye.frames) == (1012, ()), "after this, the client connects again"
    assert started().on_end(End(PEER_CLOSED)).code == 1000


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[1]",
        "{}",
        '{"uid": 7}',
        json.dumps({**FIRST, "uid": "u" * 300}),
        json.dumps({**FIRST, "task": "translate"}),
        json.dumps({**FIRST, "language": "klingon"}),
        json.dumps({**FIRST, "audio_format": "uint8"}),
        json.dumps({**FIRST, "send_last_n_segments": 0}),
        json.dumps({**FIRST, "hotwords": ["a"]}),
        json.dumps({**FIRST, "hotwords": "x" * 400}),
    ],
)
def test_a_first_message_that_cannot_be_used_ends_with_an_error(text: str) -> None:
    codec = WhisperLiveCodec(None, None)
    with pytest.raises(RequestError) as error:
        codec.on_text(text, 0.0)
    goodbye = codec.on_end(End("refused", error.value))
    client = Client()
    client.take(goodbye.frames)
    assert goodbye.code == 1003 and [kind for kind, _ in client.statuses] in (["ERROR"], [])


def test_messages_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(RequestError, match="first message"):
        WhisperLiveCodec(None, None).on_bytes(bytes(4))
    with pytest.raises(RequestError, match="only the first"):
        started().on_text(json.dumps(FIRST), 0.0)


@settings(max_examples=30)
@given(utterances)
def test_the_client_keeps_every_final_word_once(said: list[Utterance]) -> None:
    client, codec = Client(), started()
    for result in results_of(said):
        client.take(codec.on_result(result))
    assert client.text == " ".join(text for one in said for text in one.finals if text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
)


@settings(max_examples=50)
@given(st.one_of(st.text(), st.fixed_dictionaries({}, optional={name: json_values for name in FIRST})))
def test_any_first_message_is_read_or_refused(message: str | dict[str, Any]) -> None:
    codec = WhisperLiveCodec(None, None)
    text = message if isinstance(message, str) else json.dumps({"uid": "u", **message})
    try:
        codec.on_text(text, 0.0)
        codec.on_bytes(b"\0")
    except RequestError as error:
        assert error.status == 400
        codec.on_end(End("refused", error))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path, limits={"channels_per_session": 1}) as made:
        yield made


async def test_the_messages_of_the_client_get_the_whole_text(desk: Desk) -> None:
    """The order of `TranscriptionClient`: options, audio once the server is ready, END_OF_AUDIO, close."""
    client = Client()
    async with desk.client.ws_connect(f"{desk.url}/whisperlive") as socket:
        await socket.send_str(json.dumps(FIRST))
        client.take([await socket.receive_str(timeout=20)])
        assert client.is_ready
        async with desk.client.ws_connect(f"{desk.url}/whisperlive") as second:
            await second.send_str(json.dumps({**FIRST, "uid": "other"}))
            waiting = Client("other")
            waiting.take([await second.receive_str(timeout=20)])
            assert waiting.statuses[0][0] == "WAIT", "there is one channel"
        for frame in frames(np.float32(SPEECH).tobytes(), 4096 * 4):
            await socket.send_bytes(frame)
        await socket.send_bytes(b"END_OF_AUDIO")
        async for message in socket:
            client.take([message.data])
        assert socket.close_code == 1000
    assert client.text == HEARD
    await until(lambda: not left_tasks() and not desk.registry.connections)


async def test_a_wrong_key_is_refused_before_the_upgrade(tmp_path: Path) -> None:
    tokens = ({"name": "radio", "token": "correct-horse", "role": "operator"},)
    async with running_desk(a_config(tmp_path, tokens=tokens)) as desk:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(f"{desk.url}/whisperlive?token=wrong-horse")
        assert refused.value.status == 401
        for address, protocols in (("?token=correct-horse", ()), ("/C01", ("bearer", "correct-horse"))):
            async with desk.client.ws_connect(
                f"{desk.url}/whisperlive{address}", protocols=protocols
            ) as socket:
                await socket.send_bytes(b"audio before the options")
                assert (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
                assert socket.close_code == 1003
