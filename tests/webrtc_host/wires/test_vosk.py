"""Vosk's protocol: the codec alone, and a client that sends and waits as Vosk's own test client does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.desk import Desk, a_config, running_desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.streams import Utterance, final, opened, results_of, utterances
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.wires.messages import (
    STOPPED,
    Audio,
    End,
    Forced,
    ForceEnd,
    Interim,
    Open,
    Say,
    UtteranceDone,
)
from webrtc_host.wires.vosk import VoskCodec

SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"


def replies(actions: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(frame) for action in actions if isinstance(action, Say) for frame in action.frames]


def test_the_first_audio_opens_the_stream_with_the_settings_before_it() -> None:
    codec = VoskCodec("C03", "s_1")
    config = {"sample_rate": 16000, "phrase_list": ["alpha one", "[unk]"]}
    assert codec.on_text(json.dumps({"config": config}), 0.0) == []
    first, audio, reply = codec.on_bytes(b"\0\0")
    assert isinstance(first, Open)
    assert first.format == AudioFormat(Encoding.S16, 16_000) and first.session == "s_1"
    assert (first.streams[0].channel, first.streams[0].terms) == ("C03", ("alpha one",))
    assert audio == Audio(b"\0\0") and replies([reply]) == [{"partial": ""}]
    assert len(codec.on_bytes(b"\0\0")) == 2


def test_each_message_gets_the_newest_text_and_each_utterance_is_a_result_once() -> None:
    codec = VoskCodec(None, None)
    codec.on_bytes(b"")
    codec.on_result(opened("0"))
    codec.on_result(Interim("0", "u_1", "alpha on", 0, 0, 500, "en"))
    assert replies(codec.on_bytes(b"")) == [{"partial": "alpha on"}]
    codec.on_result(final("alpha one", 0, 500))
    codec.on_result(Interim("0", "u_1", "proceed", 0, 500, 900, "en"))
    assert replies(codec.on_bytes(b"")) == [{"partial": "alpha one proceed"}]
    codec.on_result(final("proceed", 500, 900))
    codec.on_result(UtteranceDone("0", "u_1", 0, 900))
    (reply,) = replies(codec.on_bytes(b""))
    assert reply["text"] == "alpha one proceed"
    assert reply["result"][0] == {"conf": 0.9, "start": 0.0, "end": 0.5, "word": "alpha"}
    assert replies(codec.on_bytes(b"")) == [{"partial": ""}]


def test_alternatives_and_words_are_as_the_client_asks() -> None:
    codec = VoskCodec(None, None)
    codec.on_text('{"config": {"words": false, "max_alternatives": 3}}', 0.0)
    codec.on_bytes(b"")
    codec.on_result(final("alpha one", 0, 500))
    codec.on_result(UtteranceDone("0", "u_1", 0, 500))
    assert replies(codec.on_bytes(b"")) == [{"alternatives": [{"confidence": 0.9, "text": "alpha one"}]}]


def test_a_reset_gets_the_result_and_the_stream_goes_on() -> None:
    codec = VoskCodec(None, None)
    assert replies(codec.on_text('{"reset" : 1}', 0.0)) == [{"text": ""}], "before any audio"
    codec.on_bytes(b"")
    assert codec.on_text('{"reset" : 1}', 0.0) == [ForceEnd()]
    codec.on_result(final("alpha one", 0, 500))
    codec.on_result(UtteranceDone("0", "u_1", 0, 500))
    (frame,) = codec.on_result(Forced("0"))
    assert json.loads(frame)["text"] == "alpha one"


@given(utterances)
def test_the_replies_hold_every_final_word_once(said: list[Utterance]) -> None:
    codec = VoskCodec(None, None)
    codec.on_bytes(b"")
    heard: list[str] = []
    for result in results_of(said):
        codec.on_result(result)
        heard += [one["text"] for one in replies(codec.on_bytes(b"")) if "text" in one]
    goodbye = codec.on_end(End(STOPPED))
    heard += [json.loads(frame)["text"] for frame in goodbye.frames]
    finals = [text for one in said for text in one.finals if text]
    assert " ".join(" ".join(heard).split()) == " ".join(finals)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[1]",
        "{}",
        '{"config": 1}',
        '{"config": {"sample_rate": "x"}}',
        '{"config": {"sample_rate": 1}}',
        '{"config": {"phrase_list": ["' + "x" * 300 + '"]}}',
    ],
)
def test_what_cannot_be_read_ends_the_connection_with_1003(text: str) -> None:
    codec = VoskCodec(None, None)
    with pytest.raises(RequestError) as error:
        codec.on_text(text, 0.0)
    assert codec.on_end(End("failed", error.value)).code == 1003


@given(st.one_of(st.text(), st.from_type(dict[str, int]).map(json.dumps)), st.binary(max_size=64))
def test_any_message_is_read_or_refused(text: str, data: bytes) -> None:
    codec = VoskCodec(None, None)
    try:
        codec.on_text(text, 0.0)
        codec.on_bytes(data)
    except RequestError as error:
        assert error.status == 400


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with hearing_desk(tmp_path) as made:
        yield made


async def test_a_client_that_waits_for_each_reply_gets_the_whole_text(desk: Desk) -> None:
    """As `test.py` of the Vosk server: config, then a message and a reply at a time, then eof."""
    texts: list[str] = []
    async with desk.client.ws_connect(f"{desk.url}/vosk/C05") as socket:
        await socket.send_str(json.dumps({"config": {"sample_rate": 8000}}))
        for frame in frames(pcm16(SPEECH, 8000), 8000):
            await socket.send_bytes(frame)
            texts.append(json.loads(await socket.receive_str(timeout=20)).get("text", ""))
        await socket.send_str('{"eof" : 1}')
        last = json.loads(await socket.receive_str(timeout=20))
        assert (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1000
    assert " ".join([*texts, last["text"]]).split() == HEARD.split()
    assert desk.session.channels["C05"].id == "C05"
    await until(lambda: not left_tasks() and not desk.registry.connections)


async def test_a_key_in_the_address_is_enough_and_without_it_the_client_is_refused(tmp_path: Path) -> None:
    tokens = ({"name": "radio", "token": "correct-horse", "role": "operator"},)
    async with running_desk(a_config(tmp_path, tokens=tokens)) as desk:
        async with desk.client.ws_connect(f"{desk.url}/vosk?token=correct-horse") as socket:
            await socket.send_str("no json")
            message = await asyncio.wait_for(socket.receive(), 20)
            assert message.type is aiohttp.WSMsgType.CLOSE and socket.close_code == 1003
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(f"{desk.url}/vosk")
        assert refused.value.status == 401
