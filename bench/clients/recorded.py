"""The doors that take a whole recording, and WebRTC: each sends the same audio, and gives what came of it."""

from __future__ import annotations

import asyncio
import io
import time
import wave
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np

from bench.clients.doors import Caller, Line
from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.support.peers import Client, SampleTrack

RADIO_SETTING = (
    "radio.talkgroups=[{talkgroup: 41, channel: C41}, {talkgroup: 42, channel: C42, systems: [doors]}]"
)
"""For the server: the channels of the calls that are sent here."""
RTP_RATE = 48_000
CONNECT_S = 20.0
Sent = Callable[[Caller, str, Float32Array], Awaitable[list[Line] | None]]
"""(caller, channel, samples) -> the lines of the response; None: the text comes later, into the record."""


@dataclass(frozen=True, slots=True)
class RecordingDoor:
    name: str
    channel: str
    send: Sent


def wav_of(samples: Float32Array) -> bytes:
    """16-bit WAV at 16 kHz."""
    data = io.BytesIO()
    with wave.open(data, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return data.getvalue()


async def _post(caller: Caller, path: str, data: Any, **headers: str) -> Any:
    """The JSON or the text of the response. Raises RuntimeError for an error."""
    if caller.token:
        headers.setdefault("Authorization", f"Bearer {caller.token}")
    async with caller.client.post(caller.url + path, data=data, headers=headers) as response:
        body = await (response.json() if response.content_type == "application/json" else response.text())
        if response.status >= 400:
            raise RuntimeError(f"{response.status} {body}")
        return body


def _form(
    samples: Float32Array, part: str, fields: dict[str, Any], name: str = "call.wav"
) -> aiohttp.FormData:
    form = aiohttp.FormData(default_to_multipart=True)
    for key, value in fields.items():
        form.add_field(key, str(value))
    form.add_field(part, wav_of(samples), filename=name, content_type="audio/wav")
    return form


async def _push(caller: Caller, channel: str, samples: Float32Array) -> list[Line]:
    made = await _post(
        caller, "/sessions/create", b'{"name": "doors"}', **{"Content-Type": "application/json"}
    )
    fields: dict[str, Any] = {
        "session_id": made["session_id"],
        "channel_id": channel,
        "start_ts": 0,
        "lang": "en",
    }
    body = await _post(caller, "/push", _form(samples, "audio", fields))
    return [Line(one["text"], one["start"] * 1000, one["end"] * 1000) for one in body["segments"]]


async def _deepgram(caller: Caller, channel: str, samples: Float32Array) -> list[Line]:
    path = "/v1/listen?model=nova-3&language=en&utterances=true"
    body = await _post(caller, path, wav_of(samples), **{"Content-Type": "audio/wav"})
    return [
        Line(one["transcript"], one["start"] * 1000, one["end"] * 1000)
        for one in body["results"]["utterances"]
    ]


async def _openai(caller: Caller, channel: str, samples: Float32Array) -> list[Line]:
    fields = {"model": "whisper-1", "language": "en", "response_format": "verbose_json"}
    form = _form(samples, "file", fields)
    body = await _post(caller, "/v1/audio/transcriptions", form)
    return [Line(one["text"].strip(), one["start"] * 1000, one["end"] * 1000) for one in body["segments"]]


async def _rdio(caller: Caller, channel: str, samples: Float32Array) -> None:
    at_s = time.time() - len(samples) / SAMPLE_RATE - 1
    fields = {"key": caller.token or "any", "dateTime": f"{at_s:.3f}", "system": 1, "talkgroup": 41}
    said = await _post(caller, "/api/call-upload", _form(samples, "audio", fields))
    if "imported successfully" not in said:
        raise RuntimeError(said)


async def _openmhz(caller: Caller, channel: str, samples: Float32Array) -> None:
    at_s = int(time.time() - len(samples) / SAMPLE_RATE - 1)
    fields: dict[str, Any] = {
        "api_key": caller.token or "any",
        "talkgroup_num": 42,
        "start_time": at_s,
        "freq": 851012500,
    }
    fields |= {"call_length": int(len(samples) / SAMPLE_RATE), "source_list": "[]"}
    await _post(caller, "/doors/upload", _form(samples, "call", fields, "42-1.m4a"))


async def _webrtc(caller: Caller, channel: str, samples: Float32Array) -> None:
    at = np.arange(len(samples) * RTP_RATE // SAMPLE_RATE) * SAMPLE_RATE / RTP_RATE
    sound = np.round(np.interp(at, np.arange(len(samples)), samples) * 32767).astype(np.int16)
    peer = Client([SampleTrack(sound)])
    headers = {"Authorization": f"Bearer {caller.token}"} if caller.token else {}
    try:
        async with aiohttp.ClientSession(caller.url, headers=headers) as http, asyncio.timeout(CONNECT_S):
            await peer.connect(http, channels=[{"channel": channel, "language": "en"}])
        await asyncio.sleep(len(samples) / SAMPLE_RATE + 2.0)
    finally:
        await peer.close()


DOORS = (
    RecordingDoor("POST /push", "C31", _push),
    RecordingDoor("deepgram, file", "C32", _deepgram),
    RecordingDoor("openai, file", "C33", _openai),
    RecordingDoor("rdio-scanner", "C41", _rdio),
    RecordingDoor("OpenMHz", "C42", _openmhz),
    RecordingDoor("WebRTC", "C43", _webrtc),
)
