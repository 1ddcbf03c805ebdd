"""An hour of silence for the codecs of all protocols: what the client is told, and what the codec keeps."""

from __future__ import annotations

import tracemalloc

import pytest

from bench.clients.doors import Message
from tests.support.codecs import BY_NAME, CODECS
from tests.support.streams import Utterance, opened, results_of, tick
from webrtc_host.wires.deepgram_live import SILENT_RANGE_MS
from webrtc_host.wires.messages import STOPPED, Codec, Concluded, End, Result, Settled
from webrtc_host.wires.pipecat import PING
from webrtc_host.wires.wyoming_events import Event

HOUR_MS = 3_600_000
KEPT_BYTES_MAX = 20_000
"""One small object for each second of the hour would be more than 100,000 bytes."""
SECOND = bytes(320)
"""The audio in a message; its length does not matter to the codecs."""


def silent_message(name: str, number: int) -> Message:
    """The message of a client in the second with this number."""
    match name:
        case "wyoming":
            sound = {"rate": 16_000, "width": 2, "channels": 1, "timestamp": number * 1000}
            return Event("audio-chunk", sound, SECOND).frame()
        case "pipecat":
            return f"{PING}: {number * 1000}"  # its audio comes by RTP
        case "stream":
            return SECOND
        case _:
            # Their messages count in steps of 100 ms.
            return BY_NAME[name].frame(number * 10, SECOND)


def silence(codec: Codec, name: str, stream: str, from_ms: int, to_ms: int) -> int:
    """Let silence arrive, a message each second. Returns how many frames the client was told."""
    told = 0
    for ms in range(from_ms, to_ms, 1000):
        message = silent_message(name, ms // 1000)
        if isinstance(message, str):
            codec.on_text(message, ms / 1000)
        else:
            codec.on_bytes(message)
        told += sum(len(codec.on_result(result)) for result in quiet(stream, ms, ms + 1000))
    return told


def quiet(stream: str, from_ms: int, to_ms: int) -> list[Result]:
    """The results of every second."""
    return [
        result
        for ms in range(from_ms, to_ms, 1000)
        for result in (tick(ms, pause_ms=ms, stream=stream), Settled(stream, ms))
    ]


def test_every_door_has_its_silent_hour() -> None:
    assert BY_NAME.keys() <= CODECS.keys()


@pytest.mark.parametrize("name", CODECS)
def test_an_hour_of_silence_leaves_nothing_behind(name: str) -> None:
    stream, make = CODECS[name]
    codec = make()
    codec.on_result(opened(stream))
    silence(codec, name, stream, 1000, 60_000)
    told = silence(codec, name, stream, 60_000, HOUR_MS // 2)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        told += silence(codec, name, stream, HOUR_MS // 2, HOUR_MS)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < KEPT_BYTES_MAX
    # AssemblyAI's clients may ask for a message for each second of silence; Deepgram's get one every 3 s.
    assert told <= HOUR_MS / (1000 if name == "assemblyai" else SILENT_RANGE_MS)
    codec.on_result(Concluded({}))
    assert codec.on_end(End(STOPPED, None, 1)).code == 1000


@pytest.mark.parametrize("name", ["deepgram v1", "deepgram v2", "assemblyai", "openai"])
def test_speech_after_an_hour_of_silence_is_told(name: str) -> None:
    stream, make = CODECS[name]
    codec = make()
    for result in (opened(stream), *quiet(stream, 1000, HOUR_MS)):
        codec.on_result(result)
    speech = results_of([Utterance(HOUR_MS + 500, 900, ("alpha",), ("alpha one",), 500, 1000, False)])
    frames = [frame for result in speech for frame in codec.on_result(result)]
    frames += codec.on_end(End(STOPPED, None, 1)).frames
    assert any("alpha one" in str(frame) for frame in frames)
