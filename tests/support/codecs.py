"""A codec of each protocol, as it is after the first messages of a client."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from bench.clients.doors import DOORS, RECOGNITION, WHISPERLIVE
from webrtc_host.wires.assemblyai_live import AssemblyAiLive
from webrtc_host.wires.assemblyai_options import options_of
from webrtc_host.wires.deepgram_live import DeepgramLive
from webrtc_host.wires.deepgram_query import live_options, turn_options
from webrtc_host.wires.deepgram_turns import DeepgramTurns
from webrtc_host.wires.messages import MAIN, Codec
from webrtc_host.wires.openai_live import OpenAiLive, Place
from webrtc_host.wires.openai_options import Settings
from webrtc_host.wires.pcm import PcmCodec
from webrtc_host.wires.pipecat import PipecatCodec
from webrtc_host.wires.query import Query
from webrtc_host.wires.speechmatics_agent import SpeechmaticsAgent
from webrtc_host.wires.speechmatics_live import SpeechmaticsLive
from webrtc_host.wires.stream_live import StreamCodec
from webrtc_host.wires.telephone import CallOptions, TelephoneCodec
from webrtc_host.wires.vosk import VoskCodec
from webrtc_host.wires.whisperlive import WhisperLiveCodec
from webrtc_host.wires.wyoming import Program, WyomingCodec

RAW = Query([("encoding", "linear16"), ("sample_rate", "16000"), ("interim_results", "true")])


def deepgram() -> Codec:
    return DeepgramLive(live_options(RAW), "id-1", "2026-11-30T00:00:00.000Z", lambda: "base")


def assemblyai() -> Codec:
    query = Query([("sample_rate", "16000"), ("acknowledge_silence", "true")])
    return AssemblyAiLive(options_of(query), "id-1", 10_800.0, lambda: 0.0, "base")


def openai() -> Codec:
    return OpenAiLive(Settings(), Place(None, None, "OpenAI", 500, lambda: "base"), "p", 0)


def vosk() -> Codec:
    made = VoskCodec(None, None)
    made.on_bytes(bytes(2))
    return made


def began(made: Codec, message: object) -> Codec:
    made.on_text(json.dumps(message), 0.0)
    return made


def begun(name: str, made: Codec) -> Codec:
    """A codec that has had the first messages of a client."""
    for message in BY_NAME[name].begin:
        made.on_text(message.replace("{channel}", "C01"), 0.0)
    return made


def pcm() -> Codec:
    made = PcmCodec("C01", {"encoding": "pcm_s16le", "sample_rate": 16_000}, 64 * 1024)
    made.begin()
    return made


def telephone(name: str) -> Codec:
    return begun(name, TelephoneCodec(CallOptions("C01", None), lambda key: None))


BY_NAME = {door.name: door for door in DOORS}
CODECS: dict[str, tuple[str, Callable[[], Codec]]] = {
    "deepgram v1": ("0", deepgram),
    "deepgram v2": ("0", lambda: DeepgramTurns(turn_options(RAW), "id-1")),
    "assemblyai": ("0", assemblyai),
    "openai": ("0", openai),
    "speechmatics": (MAIN, lambda: began(SpeechmaticsLive("id-1", "", None, (), "base"), RECOGNITION)),
    "agent stt": (MAIN, lambda: began(SpeechmaticsAgent("id-1", "", None, (), "base"), RECOGNITION)),
    "vosk": (MAIN, vosk),
    "whisperlive": (MAIN, lambda: began(WhisperLiveCodec(None, None), WHISPERLIVE)),
    "pcm": (MAIN, pcm),
    "twilio": (MAIN, lambda: telephone("twilio")),
    "telnyx": (MAIN, lambda: telephone("telnyx")),
    "wyoming": (MAIN, lambda: WyomingCodec(Program("1.0", "base", ("en",)), "C01")),
    "pipecat": ("0", lambda: PipecatCodec("1.0", datetime(2026, 11, 30, tzinfo=UTC))),
    "stream": (MAIN, lambda: StreamCodec("v_1", {"format": "pcm"}, "auto")),
}
