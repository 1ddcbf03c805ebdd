"""deepgram-sdk, unmodified: v1 live, v1 files, v2, and sixteen live connections at once."""

from __future__ import annotations

import asyncio
import io
import time
import wave
from typing import Any

import httpx
import numpy as np
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment

from bench.clients.place import (
    Heard,
    Outcome,
    Place,
    Talk,
    different_talks,
    in_real_time,
    named,
    words_outcome,
)
from host_stt.contract import SAMPLE_RATE

CONNECTIONS = 16
SECONDS = 60.0
TALK_SHARE = 0.5
FINAL_P95_S = 1.0
UPGRADE_S = 1.0
RAW = {"encoding": "linear16", "sample_rate": SAMPLE_RATE}


def client_of(place: Place, http: httpx.AsyncClient | None = None) -> Any:
    here = DeepgramClientEnvironment(
        base=place.url, production=place.socket_url, agent=place.socket_url, agent_rest=place.url
    )
    return AsyncDeepgramClient(api_key=place.key, environment=here, httpx_client=http)


async def check(place: Place) -> list[Outcome]:
    return [await _live(place), await _file(place), await _turns(place), *await _load(place)]


async def _live(place: Place) -> Outcome:
    heard = Heard()
    await _listened(place, place.talk, heard)
    return words_outcome(named("deepgram-sdk"), "v1 live", place, heard.text)


async def _file(place: Place) -> Outcome:
    data = io.BytesIO()
    with wave.open(data, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(np.round(place.talk.samples * 32767).astype("<i2").tobytes())
    async with httpx.AsyncClient(timeout=120) as http:
        answer = await client_of(place, http).listen.v1.media.transcribe_file(
            request=data.getvalue(), model="nova-3", smart_format=True
        )
    text = answer.results.channels[0].alternatives[0].transcript
    return words_outcome(named("deepgram-sdk"), "v1 file", place, text)


async def _turns(place: Place) -> Outcome:
    texts: list[str] = []
    async with client_of(place).listen.v2.connect(
        model="flux-general-en", eager_eot_threshold=0.4, **RAW
    ) as connection:

        async def read() -> None:
            async for message in connection:
                if getattr(message, "event", "") == "EndOfTurn":
                    texts.append(message.transcript)

        reading = asyncio.create_task(read())
        async for frame in in_real_time(place.talk.samples, 0.08):
            await connection.send_media(frame)
        await connection.send_close_stream()
        await asyncio.wait_for(reading, 30)
    return words_outcome(named("deepgram-sdk"), f"v2, {len(texts)} turns", place, " ".join(texts))


async def _load(place: Place) -> list[Outcome]:
    """Sixteen connections at once; each speaks half of the time, at its own times."""
    talks = different_talks(CONNECTIONS, SECONDS, TALK_SHARE)
    heard = [Heard() for _ in talks]
    began = await asyncio.gather(
        *(_listened(place, talk, one) for talk, one in zip(talks, heard, strict=True))
    )
    delays, missing = [], 0
    for talk, one, (began_s, _) in zip(talks, heard, began, strict=True):
        of_talk, lacking = one.delays(talk, began_s)
        delays += of_talk
        missing += lacking
    upgrades = [upgrade_s for _, upgrade_s in began]
    p50, p95 = (float(value) for value in np.percentile(delays, [50, 95]))
    figure = f"p50 {p50:.2f} s, p95 {p95:.2f} s, {len(delays)} phrases, {missing} without text"
    what = f"{CONNECTIONS} v1 connections: end of speech to final"
    client = named("deepgram-sdk")
    return [
        Outcome(client, what, p95 <= FINAL_P95_S and not missing, figure),
        Outcome(client, "their upgrades", max(upgrades) < UPGRADE_S, f"at most {max(upgrades):.2f} s"),
    ]


async def _listened(place: Place, talk: Talk, heard: Heard) -> tuple[float, float]:
    """Send a talk in real time. Returns the moment of its first sample, and the seconds of the upgrade."""
    asked_s = time.monotonic()
    async with client_of(place).listen.v1.connect(
        model="nova-3", interim_results=True, language="en", **RAW
    ) as connection:
        upgrade_s = time.monotonic() - asked_s

        async def read() -> None:
            async for message in connection:
                if message.type == "Results" and message.is_final:
                    alternative = message.channel.alternatives[0]
                    heard.add(message.start + message.duration, alternative.transcript)

        reading = asyncio.create_task(read())
        began_s = time.monotonic()
        async for frame in in_real_time(talk.samples):
            await connection.send_media(frame)
        await connection.send_close_stream()
        await asyncio.wait_for(reading, 30)
    return began_s, upgrade_s
