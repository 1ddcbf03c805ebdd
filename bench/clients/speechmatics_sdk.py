"""speechmatics-rt, unmodified: one stream in real time, and two channels in one socket."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import numpy as np
from speechmatics.rt import (
    AsyncClient,
    AsyncMultiChannelClient,
    AudioEncoding,
    AudioFormat,
    ServerMessageType,
    TranscriptionConfig,
)

from bench.clients.place import Outcome, Place, in_real_time, named, words_outcome
from host_stt.contract import SAMPLE_RATE

FORMAT = AudioFormat(encoding=AudioEncoding.PCM_S16LE, sample_rate=SAMPLE_RATE, chunk_size=6400)
END_S = 60.0
"""Audio that is sent at once is transcribed in real time, and then the transcript ends."""


async def check(place: Place) -> list[Outcome]:
    return [await _live(place), await _channels(place)]


async def _live(place: Place) -> Outcome:
    texts: list[str] = []
    async with AsyncClient(api_key=place.key, url=f"{place.socket_url}/v2") as client:
        client.on(ServerMessageType.ADD_TRANSCRIPT, lambda message: texts.append(_text(message)))
        await client.start_session(
            transcription_config=TranscriptionConfig(language="en"), audio_format=FORMAT
        )
        async for frame in in_real_time(place.talk.samples):
            await client.send_audio(frame)
        await asyncio.wait_for(client.stop_session(), END_S)
    return words_outcome(named("speechmatics-rt"), "v2 live", place, "".join(texts))


async def _channels(place: Place) -> Outcome:
    """The same talk on one channel, and silence on the other."""
    texts: dict[str, list[str]] = {"talk": [], "quiet": []}
    data = np.round(place.talk.samples * 32767).astype("<i2").tobytes()
    async with AsyncMultiChannelClient(api_key=place.key, url=f"{place.socket_url}/v2") as client:
        ended = asyncio.Event()
        client.on(
            ServerMessageType.ADD_TRANSCRIPT,
            lambda message: texts[message["channel"]].append(_text(message)),
        )
        client.on(ServerMessageType.END_OF_TRANSCRIPT, lambda message: ended.set())
        await client.transcribe(
            # In the order of the alphabet: the SDK gives the audio to the names in that order.
            {"quiet": io.BytesIO(bytes(len(data))), "talk": io.BytesIO(data)},
            transcription_config=TranscriptionConfig(language="en"),
            audio_format=FORMAT,
        )
        await asyncio.wait_for(ended.wait(), END_S)
    what = "v2, two channels in one socket"
    if "".join(texts["quiet"]).strip():
        return Outcome(named("speechmatics-rt"), what, False, "the silent channel has text")
    return words_outcome(named("speechmatics-rt"), what, place, "".join(texts["talk"]))


def _text(message: dict[str, Any]) -> str:
    text: str = message["metadata"]["transcript"]
    return text
