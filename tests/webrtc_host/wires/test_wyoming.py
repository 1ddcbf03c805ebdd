"""The Wyoming protocol: its events, its codec alone, and the unmodified client of the package `wyoming`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event as TheirEvent
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping, Pong

from host_stt.contract import RequestError
from tests.support.desk import Desk
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.streams import Utterance, final, opened, results_of, utterances
from tests.support.wires import frames, hearing_desk, left_tasks, pcm16
from webrtc_host.keys import WYOMING
from webrtc_host.media.encodings import AudioFormat, Encoding
from webrtc_host.wires.messages import STOPPED, Action, Audio, End, Finish, Frame, Open, Say
from webrtc_host.wires.wyoming import Program, WyomingCodec
from webrtc_host.wires.wyoming_events import (
    DATA_BYTES_MAX,
    LINE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    Event,
    lengths_of,
    read_event,
)

PROGRAM = Program("1.0", "starter", ("en", "ko"))
SAMPLES: dict[str, Any] = {"rate": 16_000, "width": 2, "channels": 1}
SPEECH = padded(say("proceed to gate seven"), 0.3, 0.8)
HEARD = "one two three four five six"
END = "the connection was closed"


def given_to(codec: WyomingCodec, kind: str, payload: bytes = b"", **data: Any) -> list[Action]:
    return codec.on_bytes(Event(kind, data, payload).frame())


def said(actions: Iterable[Action]) -> list[Event]:
    return [event for one in actions if isinstance(one, Say) for event in events(one.frames)]


def events(sent: Iterable[Frame]) -> list[Event]:
    return [read_event(frame) for frame in sent if isinstance(frame, bytes)]


# --- the codec alone ---


def test_what_is_asked_before_the_audio_is_used_for_it() -> None:
    codec = WyomingCodec(PROGRAM, "C03")
    names: dict[str, Any] = {
        "transcript_names": ["Kitchen Lamp"],
        "transcript_terms": ["thermostat", "Kitchen Lamp"],
    }
    assert (
        given_to(codec, "transcribe", name="other", language="ko-KR", vad_sensitivity="relaxed", **names)
        == []
    )
    (action,) = given_to(codec, "audio-start", rate=48_000, width=2, channels=2)
    assert isinstance(action, Open)
    assert action.format == AudioFormat(Encoding.S16, 48_000, 2)
    (stream,) = action.streams
    assert (stream.channel, stream.language, stream.terms) == ("C03", "ko", ("Kitchen Lamp", "thermostat"))
    assert given_to(codec, "audio-chunk", bytes(4), rate=48_000, width=2, channels=2) == [Audio(bytes(4))]
    assert given_to(codec, "audio-stop") == [Finish()]


def test_a_chunk_without_audio_start_opens_the_stream_and_long_samples_are_shortened() -> None:
    codec = WyomingCodec(PROGRAM, None)
    wide = np.array([1 << 16, -(1 << 16)], "<i4").tobytes()
    open_, audio = given_to(codec, "audio-chunk", wide, rate=16_000, width=4, channels=1, timestamp=0)
    assert isinstance(open_, Open) and audio == Audio(np.array([1, -1], "<i2").tobytes())


def test_the_text_comes_in_pieces_and_whole_at_the_end() -> None:
    codec = WyomingCodec(PROGRAM, None)
    given_to(codec, "audio-start", **SAMPLES)
    sent = events(codec.on_result(opened("")))
    for text, start_ms in (("turn on", 0), ("the lamp.", 900)):
        sent += events(codec.on_result(final(text, start_ms, start_ms + 800)))
    sent += events(codec.on_end(End(STOPPED)).frames)
    assert [(event.type, dict(event.data)) for event in sent] == [
        ("transcript-start", {"language": "en"}),
        ("transcript-chunk", {"text": "turn on"}),
        ("transcript-chunk", {"text": " the lamp."}),
        ("transcript", {"text": "turn on the lamp.", "language": "en"}),
        ("transcript-stop", {}),
    ]


def test_silence_has_an_empty_transcript() -> None:
    codec = WyomingCodec(PROGRAM, None)
    assert given_to(codec, "audio-stop") == [Finish()]
    sent = events(codec.on_end(End(STOPPED)).frames)
    assert [event.type for event in sent] == ["transcript-start", "transcript", "transcript-stop"]
    assert sent[1].data["text"] == ""


def test_a_command_that_the_server_cuts_off_is_an_error_and_no_half_transcript() -> None:
    codec = WyomingCodec(PROGRAM, None)
    given_to(codec, "audio-start", **SAMPLES)
    codec.on_result(final("turn on the lamp", 0, 800))
    goodbye = codec.on_end(End("server_stopping"))
    (event,) = events(goodbye.frames)
    assert (event.type, event.data["code"], goodbye.code) == ("error", "server_stopping", 1001)


def test_other_events_are_ignored_or_answered() -> None:
    codec = WyomingCodec(PROGRAM, None)
    assert given_to(codec, "select-program", name="host-stt") == given_to(codec, "voice-started") == []
    (pong,) = said(given_to(codec, "ping", text="x" * 5000))
    assert pong.type == "pong" and len(pong.data["text"]) == 1000
    (info,) = said(given_to(codec, "describe"))
    assert info.data["asr"][0]["models"][0]["languages"] == ["en", "ko"]


@pytest.mark.parametrize(
    ("kind", "data", "payload"),
    [
        ("audio-start", {}, b""),
        ("audio-start", SAMPLES | {"rate": 1}, b""),
        ("audio-start", SAMPLES | {"rate": True}, b""),
        ("audio-start", SAMPLES | {"width": 1}, b""),
        ("audio-start", SAMPLES | {"channels": 99}, b""),
        ("audio-chunk", SAMPLES, bytes(3)),
        ("transcribe", {"language": "klingon"}, b""),
        ("transcribe", {"language": 7}, b""),
        ("transcribe", {"transcript_names": "lamp"}, b""),
        ("transcribe", {"transcript_terms": ["x" * 400]}, b""),
    ],
)
def test_what_cannot_be_used_is_an_error(kind: str, data: dict[str, Any], payload: bytes) -> None:
    codec = WyomingCodec(PROGRAM, None)
    with pytest.raises(RequestError) as error:
        given_to(codec, kind, payload, **data)
    (event,) = events(codec.on_end(End("failed", error.value)).frames)
    assert event.type == "error" and event.data["text"]


@pytest.mark.parametrize(
    ("kind", "data"), [("audio-start", {}), ("transcribe", {}), ("audio-chunk", {"rate": 8000})]
)
def test_events_in_the_wrong_order_are_errors(kind: str, data: dict[str, Any]) -> None:
    codec = WyomingCodec(PROGRAM, None)
    given_to(codec, "audio-start", **SAMPLES)
    with pytest.raises(RequestError):
        given_to(codec, kind, **(SAMPLES | data))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b"[1]", 400),
        (b"[" * 100_000, 400),
        (b'{"data_length": -1}', 400),
        (b'{"data_length": "7"}', 400),
        (b'{"payload_length": true}', 400),
        (b'{"data_length": %d}' % (DATA_BYTES_MAX + 1), 413),
        (b'{"payload_length": %d}' % (PAYLOAD_BYTES_MAX + 1), 413),
    ],
)
def test_a_malformed_line_is_refused_before_more_is_read(line: bytes, status: int) -> None:
    with pytest.raises(RequestError) as error:
        lengths_of(line)
    assert error.value.status == status


names = st.text(max_size=20)
json_objects = st.dictionaries(
    names, st.none() | st.integers() | names | st.lists(names, max_size=3), max_size=4
)


@settings(max_examples=40)
@given(st.text(min_size=1, max_size=20), json_objects, st.binary(max_size=50))
def test_an_event_is_read_as_it_was_written(kind: str, data: dict[str, Any], payload: bytes) -> None:
    frame = Event(kind, data, payload).frame()
    line, _, rest = frame.partition(b"\n")
    assert sum(lengths_of(line)) == len(rest)
    assert read_event(frame) == Event(kind, data, payload)


KINDS = "transcribe audio-start audio-chunk audio-stop describe ping other".split()
fields = st.sampled_from([8000, 16_000, 2, 1, 0, "en", None, True])


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.dictionaries(st.sampled_from(["rate", "width", "channels", "language", "text"]), fields),
            st.binary(max_size=8),
        ),
        max_size=6,
    ),
    st.binary(max_size=40),
)
def test_any_events_are_read_or_refused(given_: list[tuple[str, dict[str, Any], bytes]], junk: bytes) -> None:
    codec = WyomingCodec(PROGRAM, None)
    for kind, data, payload in given_:
        try:
            given_to(codec, kind, payload, **data)
        except RequestError as error:
            assert error.status == 400
    with pytest.raises(RequestError):
        codec.on_bytes(junk)


@settings(max_examples=30)
@given(utterances)
def test_the_pieces_joined_are_the_transcript(said_: list[Utterance]) -> None:
    codec = WyomingCodec(PROGRAM, None)
    sent = [event for result in results_of(said_) for event in events(codec.on_result(result))]
    sent += events(codec.on_end(End(STOPPED)).frames)
    pieces = "".join(event.data["text"] for event in sent if event.type == "transcript-chunk")
    (whole,) = [event.data["text"] for event in sent if event.type == "transcript"]
    assert pieces == whole == " ".join(text for one in said_ for text in one.finals if text)


# --- the unmodified client ---


def events_of(desk: Desk, channel: str, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(one.data) for one in desk.session.log.since(0)]
    return [one for one in found if one["type"] == kind and one["channel"] == channel]


def texts_of(desk: Desk, channel: str) -> list[str]:
    """The final lines of a channel."""
    return [one["text"] for one in events_of(desk, channel, "segment.final")]


def terms_of(desk: Desk) -> list[str]:
    return list(desk.session.channels["C01"].terms or ())


@asynccontextmanager
async def wyoming_desk(folder: Path, **wyoming: Any) -> AsyncIterator[tuple[Desk, int]]:
    settings_ = {"enabled": True, "port": 0, **wyoming}
    async with hearing_desk(folder, doors={"wyoming": settings_}) as desk:
        port = desk.app[WYOMING].port
        assert port is not None
        yield desk, port


async def read(client: AsyncTcpClient) -> TheirEvent:
    event = await asyncio.wait_for(client.read_event(), 20)
    assert event is not None, END
    return event


async def speak(client: AsyncTcpClient, samples: Any, rate: int, *, stop: bool = True) -> None:
    await client.write_event(AudioStart(rate, 2, 1).event())
    for frame in frames(pcm16(samples, rate)):
        await client.write_event(AudioChunk(rate, 2, 1, frame).event())
    if stop:
        await client.write_event(AudioStop().event())


async def transcript_of(client: AsyncTcpClient) -> str:
    """The text, read as a client that knows the streaming events does."""
    assert TranscriptStart.is_type((await read(client)).type)
    pieces = ""
    while TranscriptChunk.is_type((event := await read(client)).type):
        pieces += TranscriptChunk.from_event(event).text
    transcript = Transcript.from_event(event)
    assert TranscriptStop.is_type((await read(client)).type)
    assert (transcript.text, transcript.language) == (pieces, "en")
    return transcript.text


async def test_the_client_gets_its_transcripts_one_after_another_on_one_connection(tmp_path: Path) -> None:
    async with wyoming_desk(tmp_path) as (desk, port):
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            (program,) = Info.from_event(await read(client)).asr
            assert program.supports_transcript_streaming and program.requires_external_vad
            assert program.installed and "ko" in program.models[0].languages
            await client.write_event(SelectProgram(program.name).event())
            await client.write_event(Ping("here").event())
            assert Pong.from_event(await read(client)).text == "here"
            asked = Transcribe(language="en", transcript_names=["Gate Seven"], transcript_terms=["proceed"])
            await client.write_event(asked.event())
            await speak(client, SPEECH, 22_050)
            assert await transcript_of(client) == HEARD
            assert terms_of(desk) == ["Gate Seven", "proceed"]
            await speak(client, SPEECH, 8000)
            assert await transcript_of(client) == HEARD
            assert terms_of(desk) == [], "settings are those of one round"
            await client.write_event(AudioStop().event())
            assert Transcript.from_event([await read(client) for _ in range(3)][1]).text == ""
        await until(lambda: not left_tasks() and not desk.registry.connections)


async def test_a_client_that_disappears_loses_no_word_and_a_full_port_says_so(tmp_path: Path) -> None:
    async with wyoming_desk(tmp_path, channel="C07", connections=1) as (desk, port):
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await speak(client, SPEECH, 16_000, stop=False)
            async with AsyncTcpClient("127.0.0.1", port) as second:
                assert Error.from_event(await read(second)).code == "too_many"
        await until(lambda: not left_tasks() and not desk.registry.connections)
        assert " ".join(texts_of(desk, "C07")) == HEARD


async def test_what_cannot_be_read_closes_this_connection_with_an_error(tmp_path: Path) -> None:
    wrong = (
        (b"no json\n", "bad_message"),
        (b'{"type": "x", "payload_length": 99999999}\n', "too_large"),
        (b"x" * (LINE_BYTES_MAX * 3), "too_large"),
        (b'{"type": "audio-chunk"}\n', "bad_message"),
        (b'{"type": 7}\n', "bad_message"),
    )
    async with wyoming_desk(tmp_path) as (desk, port):
        async with AsyncTcpClient("127.0.0.1", port) as good:
            await good.write_event(Ping("a").event())
            await read(good)
            for sent, code in wrong:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                line = await asyncio.wait_for(reader.readline(), 20)
                rest = await asyncio.wait_for(reader.readexactly(json.loads(line)["data_length"]), 20)
                assert (json.loads(line)["type"], json.loads(rest)["code"]) == ("error", code), sent[:40]
                assert await asyncio.wait_for(reader.read(), 20) == b""
                writer.close()
            await good.write_event(Ping("b").event())
            assert Pong.from_event(await read(good)).text == "b", "the others are unharmed"
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b'{"type": "audio-chunk", "payload_length": 99}\nhalf')
            writer.close()
        await until(lambda: not left_tasks() and not desk.registry.connections)


async def test_a_stop_of_the_server_keeps_the_words_and_tells_the_client(tmp_path: Path) -> None:
    async with wyoming_desk(tmp_path) as (desk, port):
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await speak(client, SPEECH, 16_000, stop=False)
            await until(lambda: bool(events_of(desk, "C01", "speech.started")), within_s=20)
            await desk.app[WYOMING].close()
            while not Error.is_type((event := await read(client)).type):
                pass
            assert Error.from_event(event).code == "server_stopping"
            assert await asyncio.wait_for(client.read_event(), 20) is None
        assert texts_of(desk, "C01") != []


async def test_an_address_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    async with wyoming_desk(tmp_path, allow=["192.0.2.0/24"]) as (desk, port):
        async with AsyncTcpClient("127.0.0.1", port) as client:
            assert Error.from_event(await read(client)).code == "not_allowed"
            assert await asyncio.wait_for(client.read_event(), 20) is None
        assert desk.app[WYOMING].statistics()["refused"] == 1
