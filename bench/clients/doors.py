"""Every WebSocket door in its own protocol, with the least that a client of it sends.

For `scripts.check_doors` and the tests: the same audio goes to each door, and its finals are compared. The
unmodified clients of the services are in the other modules of this package.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.support.socket_audio import g711_of
from webrtc_host.media.encodings import Encoding
from webrtc_host.media.opus import Codec

Message = str | bytes
FRAME_S = 0.1
REPLY_S = 60.0
"""For each message that is awaited: audio that came faster than real time is transcribed in real time."""


@dataclass(frozen=True, slots=True)
class Line:
    """A final as a client gets it; times in ms since its first sample. None: the protocol has no times."""

    text: str
    start_ms: float | None = None
    end_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """One protocol. {channel} in `address` and in `begin` becomes the id of the channel."""

    name: str
    address: str
    begin: tuple[str, ...]
    """Messages before the audio."""
    end: tuple[Message, ...]
    """Messages after it."""
    lines: Callable[[dict[str, Any]], list[Line]]
    """The finals in a message of the server."""
    rate: int = SAMPLE_RATE
    encoding: Encoding = Encoding.S16
    frame: Callable[[int, bytes], Message] = lambda number, data: data
    """The message that holds the frame with this number."""
    greets_at: int = 0
    """How many messages of `begin` come before the server's first message. -1: it sends none by itself."""
    is_last: Callable[[dict[str, Any]], bool] = lambda message: False
    """Whether the client closes after this message, because the server does not."""
    replies: bool = False
    """The client waits for one reply to each message of audio."""
    has_results: bool = True
    repeats: bool = False
    """Each message with finals has the earlier ones too."""

    def encoded(self, samples: Float32Array) -> list[bytes]:
        """The audio as frames of 100 ms. samples: (n,) float32 at 16 kHz."""
        at = np.arange(int(len(samples) * self.rate / SAMPLE_RATE)) * SAMPLE_RATE / self.rate
        sound = np.interp(at, np.arange(len(samples)), samples)
        whole = np.round(np.clip(sound, -1, 1) * 32767)
        if self.encoding is Encoding.ULAW:
            data, width = g711_of(sound, Codec.PCMU), 1
        elif self.encoding is Encoding.F32:
            data, width = (whole / 32768).astype("<f4").tobytes(), 4
        else:
            data, width = whole.astype("<i2").tobytes(), 2
        size = int(self.rate * FRAME_S) * width
        return [data[at : at + size] for at in range(0, len(data), size)]


@dataclass
class Told:
    """What one client was told, and how its connection went."""

    lines: list[Line] = field(default_factory=list)
    close_code: int | None = None
    upgrade_s: float = 0.0
    greeting_s: float | None = None
    """From the request to the server's first message. None: it sent none before the audio."""
    late: list[str] = field(default_factory=list)
    """Messages after the one that was the last."""

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines if line.text)

    def note(self, door: Door, message: dict[str, Any]) -> None:
        lines = door.lines(message)
        self.lines = lines if door.repeats and lines else self.lines + lines

    @property
    def are_times_monotone(self) -> bool:
        at = 0.0
        for line in self.lines:
            if line.start_ms is None or line.end_ms is None:
                continue
            if not at <= line.start_ms <= line.end_ms:
                return False
            at = line.start_ms
        return True


# --- the protocols ----------------------------------------------------------------------------------------


def _nothing(message: dict[str, Any]) -> list[Line]:
    return []


def _deepgram(message: dict[str, Any]) -> list[Line]:
    if message["type"] != "Results" or not message["is_final"]:
        return []
    start_ms = message["start"] * 1000
    text = message["channel"]["alternatives"][0]["transcript"]
    return [Line(text, start_ms, start_ms + message["duration"] * 1000)]


def _deepgram_turn(message: dict[str, Any]) -> list[Line]:
    if message.get("event") != "EndOfTurn":
        return []
    times = message["audio_window_start"] * 1000, message["audio_window_end"] * 1000
    return [Line(message["transcript"], *times)]


def _assemblyai(message: dict[str, Any]) -> list[Line]:
    if message["type"] != "Turn" or not message["end_of_turn"]:
        return []
    words = message["words"]
    return [Line(message["transcript"], *((words[0]["start"], words[-1]["end"]) if words else ()))]


def _speechmatics(message: dict[str, Any]) -> list[Line]:
    if message["message"] != "AddTranscript":
        return []
    facts = message["metadata"]
    return [Line(facts["transcript"].strip(), facts["start_time"] * 1000, facts["end_time"] * 1000)]


def _agent(message: dict[str, Any]) -> list[Line]:
    if message["message"] != "AddSegment":
        return []
    facts = message["metadata"]
    return [Line(message["segment"]["transcript"], facts["start_time"] * 1000, facts["end_time"] * 1000)]


def _whisperlive(message: dict[str, Any]) -> list[Line]:
    return [
        Line(one["text"].strip(), float(one["start"]) * 1000, float(one["end"]) * 1000)
        for one in message.get("segments", [])
        if one["completed"]
    ]


def _openai(message: dict[str, Any]) -> list[Line]:
    is_final = message["type"] == "conversation.item.input_audio_transcription.completed"
    return [Line(message["transcript"])] if is_final else []


def _vosk(message: dict[str, Any]) -> list[Line]:
    words = message.get("result", [])
    times = (words[0]["start"] * 1000, words[-1]["end"] * 1000) if words else ()
    return [Line(message["text"], *times)] if message.get("text") else []


def _append(number: int, data: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()})


def _media(number: int, data: bytes) -> str:
    media = {
        "track": "inbound",
        "chunk": str(number + 1),
        "timestamp": str(round(number * FRAME_S * 1000)),
        "payload": base64.b64encode(data).decode(),
    }
    return json.dumps({"event": "media", "streamSid": "MZ1", "media": media})


def _call(form: str, encoding: str, rate: str) -> str:
    """`start` of a telephone call."""
    media = {"encoding": encoding, rate: 8000, "channels": 1}
    return json.dumps({"event": "start", "start": {"tracks": ["inbound"], form: media}})


COMMITS = {
    "type": "session.update",
    "session": {
        "type": "transcription",
        "audio": {
            "input": {
                "transcription": {"model": "gpt-live-transcribe", "language": "en"},
                "turn_detection": None,
            }
        },
    },
}
RAW = "encoding=linear16&sample_rate=16000"
RECOGNITION = {
    "message": "StartRecognition",
    "audio_format": {"type": "raw", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE},
    "transcription_config": {"language": "en"},
}
WHISPERLIVE = {"uid": "u-1", "language": "en", "task": "transcribe", "model": "small", "use_vad": True}
DOORS = (
    Door(
        "pcm",
        "/ws/pcm/{channel}?encoding=pcm_s16le&sample_rate=16000&channels=1&language=en",
        (),
        ('{"type": "stop"}',),
        _nothing,
        has_results=False,
    ),
    Door(
        "deepgram v1",
        f"/v1/listen?{RAW}&language=en&channel={{channel}}",
        (),
        ('{"type": "CloseStream"}',),
        _deepgram,
        greets_at=-1,
    ),
    Door(
        "deepgram v2",
        f"/v2/listen?model=flux-general-en&{RAW}&language=en&channel={{channel}}",
        (),
        ('{"type": "CloseStream"}',),
        _deepgram_turn,
    ),
    Door(
        "assemblyai",
        "/v3/ws?sample_rate=16000&language_code=en&channel={channel}",
        (),
        ('{"type": "Terminate"}',),
        _assemblyai,
    ),
    Door(
        "speechmatics",
        "/v2?channel={channel}",
        (json.dumps(RECOGNITION),),
        ('{"message": "EndOfStream", "last_seq_no": 0}',),
        _speechmatics,
        greets_at=1,
        is_last=lambda message: message["message"] == "EndOfTranscript",
    ),
    Door(
        "agent stt",
        "/v2/agent?channel={channel}",
        (json.dumps(RECOGNITION),),
        ('{"message": "EndOfStream", "last_seq_no": 0}',),
        _agent,
        greets_at=1,
        is_last=lambda message: message["message"] == "EndOfTranscript",
    ),
    Door(
        "whisperlive",
        "/whisperlive/{channel}",
        (json.dumps(WHISPERLIVE),),
        (b"END_OF_AUDIO",),
        _whisperlive,
        encoding=Encoding.F32,
        greets_at=1,
        repeats=True,
    ),
    Door(
        "openai",
        "/v1/realtime?intent=transcription&channel={channel}",
        (json.dumps(COMMITS),),
        ('{"type": "input_audio_buffer.commit"}',),
        _openai,
        rate=24_000,
        frame=_append,
        is_last=lambda message: bool(_openai(message)),
    ),
    Door(
        "vosk",
        "/vosk/{channel}",
        ('{"config": {"sample_rate": 16000}}',),
        ('{"eof": 1}',),
        _vosk,
        greets_at=-1,
        replies=True,
    ),
    Door(
        "twilio",
        "/twilio/{channel}",
        ('{"event": "connected"}', _call("mediaFormat", "audio/x-mulaw", "sampleRate")),
        ('{"event": "stop"}',),
        _nothing,
        rate=8000,
        encoding=Encoding.ULAW,
        frame=_media,
        greets_at=-1,
        has_results=False,
    ),
    Door(
        "telnyx",
        "/telnyx/{channel}",
        ('{"event": "connected"}', _call("media_format", "PCMU", "sample_rate")),
        ('{"event": "stop"}',),
        _nothing,
        rate=8000,
        encoding=Encoding.ULAW,
        frame=_media,
        greets_at=-1,
        has_results=False,
    ),
)
SAME_SAMPLES = tuple(door.name for door in DOORS if door.rate == SAMPLE_RATE)
"""Doors that get the same 16-bit samples; the others are resampled or coarser."""


# --- a client of any of them ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """url: of the server, such as http://127.0.0.1:8082. token: empty where it asks for none."""

    client: aiohttp.ClientSession
    url: str
    token: str = ""

    def connect(self, door: Door, channel: str) -> Any:
        """A context manager of the WebSocket."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        address = self.url + door.address.replace("{channel}", channel)
        return self.client.ws_connect(address, headers=headers, max_msg_size=0, timeout=_long())


async def transcribed(
    caller: Caller,
    door: Door,
    channel: str,
    samples: Float32Array,
    *,
    is_real_time: bool = False,
) -> Told:
    """Send the audio, and read until the connection ends. is_real_time: at the pace of a microphone."""
    return await converse(caller, door, channel, _audio(door, samples, is_real_time=is_real_time))


async def converse(
    caller: Caller, door: Door, channel: str, audio: AsyncIterator[Message], *, reply_s: float = REPLY_S
) -> Told:
    """Send messages with audio, and read until the connection ends.

    reply_s: the server may send nothing for so long.
    """
    told = Told()
    asked_s = time.monotonic()
    async with caller.connect(door, channel) as socket:
        told.upgrade_s = time.monotonic() - asked_s
        for text in door.begin[: max(0, door.greets_at)]:
            await socket.send_str(text)
        if door.greets_at >= 0:
            await socket.receive_json(timeout=REPLY_S)
            told.greeting_s = time.monotonic() - asked_s
        for text in door.begin[max(0, door.greets_at) :]:
            await socket.send_str(text)
        reading = None if door.replies else asyncio.create_task(_read(socket, door, told, reply_s))
        async for message in audio:
            await _send(socket, message)
            if door.replies:
                told.note(door, await socket.receive_json(timeout=REPLY_S))
        for message in door.end:
            await _send(socket, message)
        await (_read(socket, door, told, reply_s) if reading is None else reading)
    return told


async def _audio(door: Door, samples: Float32Array, *, is_real_time: bool) -> AsyncIterator[Message]:
    began_s = time.monotonic()
    for number, frame in enumerate(door.encoded(samples)):
        if is_real_time:
            await asyncio.sleep(max(0.0, began_s + number * FRAME_S - time.monotonic()))
        yield door.frame(number, frame)


async def _read(socket: aiohttp.ClientWebSocketResponse, door: Door, told: Told, reply_s: float) -> None:
    """Read until the server closes, or until the client does after the last message."""
    is_over = False
    while True:
        message = await socket.receive(timeout=reply_s)
        if message.type is not aiohttp.WSMsgType.TEXT:
            told.close_code = socket.close_code
            return
        if is_over:
            told.late.append(message.data)
            continue
        fields = json.loads(message.data)
        told.note(door, fields)
        if is_over := door.is_last(fields):
            await socket.close()
            told.close_code = socket.close_code
            return


async def _send(socket: aiohttp.ClientWebSocketResponse, message: Message) -> None:
    await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))


def _long() -> aiohttp.ClientWSTimeout:
    return aiohttp.ClientWSTimeout(ws_close=REPLY_S)
