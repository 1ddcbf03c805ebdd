"""The stream of the conversation API: its codec alone, and the parameters of its addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import RequestError
from tests.support.streams import Utterance, final, opened, results_of, utterances
from webrtc_host.media.encodings import AudioFormat, Container, Encoding
from webrtc_host.wires.messages import (
    PEER_CLOSED,
    SERVER_STOPPING,
    STOPPED,
    Audio,
    Concluded,
    End,
    Finish,
    Open,
)
from webrtc_host.wires.stream_live import StreamCodec

EBML, OGG = b"\x1aE\xdf\xa3" + bytes(20), b"OggS" + bytes(20)
RIFF = b"RIFF\0\0\0\0WAVEfmt "
OPUS = b"\x78\x01\x02"


def codec(**address: str) -> StreamCodec:
    return StreamCodec("v_1", address, "auto")


def opening(actions: list[Any]) -> AudioFormat:
    first = actions[0]
    assert isinstance(first, Open)
    return first.format


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ({"format": "pcm"}, AudioFormat(Encoding.S16, 16_000)),
        ({"format": "pcm", "sample_rate": "48000", "channels": "2"}, AudioFormat(Encoding.S16, 48_000, 2)),
        ({"encoding": "linear16", "sampleRate": "8000"}, AudioFormat(Encoding.S16, 8_000)),
        ({"codec": "FLOAT32"}, AudioFormat(Encoding.F32, 16_000)),
        ({"mimeType": "audio/webm;codecs=opus"}, AudioFormat(Container.WEBM, 16_000)),
        ({"format": "ogg"}, AudioFormat(Container.OGG, 16_000)),
    ],
)
def test_the_address_can_name_the_format_in_many_ways(address: dict[str, str], expected: AudioFormat) -> None:
    assert opening(codec(**address).begin()) == expected


@pytest.mark.parametrize(
    ("address", "audio", "encoding"),
    [
        ({}, EBML, Container.WEBM),
        ({}, OGG, Container.OGG),
        ({}, RIFF, Container.WAV),
        ({"format": "opus"}, OPUS, Encoding.OPUS),
        ({"format": "opus"}, OGG, Container.OGG),
        ({"format": "opus"}, EBML, Container.WEBM),
    ],
)
def test_without_a_clear_name_the_first_audio_decides(
    address: dict[str, str], audio: bytes, encoding: Encoding | Container
) -> None:
    made = codec(**address)
    assert made.begin() == [] and made.on_text('{"type": "start"}', 0.0) == []
    cut = 0 if address else 2  # a file may be cut anywhere; an Opus packet is one message
    actions = (made.on_bytes(audio[:cut]) if cut else []) + made.on_bytes(audio[cut:])
    assert opening(actions).encoding is encoding
    assert b"".join(one.data for one in actions if isinstance(one, Audio)) == audio


def test_the_first_message_completes_the_address() -> None:
    made = codec(channel="C03")
    start = {"type": "start", "format": "pcm", "sample_rate": 24_000, "language": "Korean", "channel": None}
    (action,) = made.on_text(json.dumps(start), 0.0)
    assert isinstance(action, Open) and action.format == AudioFormat(Encoding.S16, 24_000)
    assert (action.streams[0].channel, action.streams[0].language) == ("C03", "ko")
    assert made.on_text('{"type": "keepalive"}', 0.0) == []


@pytest.mark.parametrize(
    "text", ["end", '"stop"', '{"type": "end"}', '{"event": "EOS"}', '{"action":"done"}']
)
def test_the_end_is_understood_in_many_words(text: str) -> None:
    made = codec(format="pcm")
    made.begin()
    assert made.on_text(text, 0.0) == [Finish()]
    short = codec(format="opus")
    assert short.on_bytes(b"") == []
    assert codec().on_text(text, 0.0) == [Finish()]


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ({"format": "vorbis9"}, "bad_field"),
        ({"format": "pcm", "sample_rate": "1"}, "bad_field"),
        ({"format": "pcm", "channels": "x"}, "bad_field"),
        ({"language": "klingon"}, "unknown_language"),
        ({"channel": "C" * 100}, "bad_field"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_refused(address: dict[str, str], code: str) -> None:
    with pytest.raises(RequestError) as error:
        codec(**address)
    assert (error.value.code, error.value.status) == (code, 422)


def test_audio_of_an_unknown_format_is_refused_with_the_way_out() -> None:
    with pytest.raises(RequestError, match="format=pcm") as error:
        codec().on_bytes(bytes(100))
    goodbye = codec().on_end(End("refused", error.value))
    (frame,) = goodbye.frames
    last = json.loads(frame)
    assert (goodbye.code, last["type"], last["status"]) == (4415, "final_summary", "FAILED")
    assert last["error"]["code"] == "unknown_format"


@given(utterances)
def test_each_final_is_one_segment_in_its_order(said: list[Utterance]) -> None:
    made, texts = codec(format="pcm"), list[str]()
    for result in results_of(said):
        for frame in made.on_result(result):
            message = json.loads(frame)
            assert message["type"] == "transcript_segment"
            texts.append(message["text"])
    assert texts == [text for one in said for text in one.finals if text]


def test_the_summary_is_the_last_message() -> None:
    made = codec(format="pcm")
    made.on_result(opened(""))
    (frame,) = made.on_result(final("alpha one", 0, 500, stream=""))
    segment = json.loads(frame)
    assert (segment["session"], segment["channel"], segment["start_s"]) == ("s_1", "C01", 0.0)
    assert made.on_result(Concluded({"status": "COMPLETED", "summary": "alpha"})) == []
    goodbye = made.on_end(End(STOPPED, None, 7))
    assert [json.loads(one) for one in goodbye.frames] == [
        {"type": "final_summary", "stream_id": "v_1", "status": "COMPLETED", "summary": "alpha"}
    ]
    assert goodbye.code == 1000


@pytest.mark.parametrize(
    ("reason", "is_open", "code", "said"),
    [
        (STOPPED, False, 1000, "no_audio"),
        (STOPPED, True, 1001, SERVER_STOPPING),
        (SERVER_STOPPING, True, 1001, SERVER_STOPPING),
        (PEER_CLOSED, True, 1000, PEER_CLOSED),
    ],
)
def test_an_end_without_a_summary_says_why(reason: str, is_open: bool, code: int, said: str) -> None:
    made = codec(format="pcm")
    if is_open:
        made.on_result(opened(""))
    goodbye = made.on_end(End(reason))
    last = json.loads(goodbye.frames[-1])
    assert (goodbye.code, last["status"], last["error"]["code"]) == (code, "FAILED", said)


@given(
    st.lists(st.one_of(st.text(max_size=30), st.binary(max_size=30), st.just('{"type": "end"}')), max_size=6),
    st.sampled_from(("", "opus", "pcm", "webm")),
)
def test_any_messages_are_read_or_refused(messages: list[str | bytes], name: str) -> None:
    made, sent = codec(format=name), b""
    actions = made.begin()
    try:
        for one in messages:
            if isinstance(one, str):
                actions += made.on_text(one, 0.0)
            else:
                sent += one
                actions += made.on_bytes(one)
    except RequestError as error:
        assert 400 <= error.status < 500
        return
    opens = [one for one in actions if isinstance(one, Open)]
    assert len(opens) <= 1
    passed = b"".join(one.data for one in actions if isinstance(one, Audio))
    assert sent.startswith(passed)
