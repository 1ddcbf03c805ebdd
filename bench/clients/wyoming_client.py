"""wyoming, unmodified: one command as Home Assistant sends it, in real time."""

from __future__ import annotations

import asyncio

from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info

from bench.clients.place import Outcome, Place, in_real_time, named, words_outcome
from host_stt.contract import SAMPLE_RATE

WITHIN_S = 60.0


async def check(place: Place) -> list[Outcome]:
    host, _, port = place.wyoming.rpartition(":")
    if not port:
        return [Outcome(named("wyoming"), "all", False, "no port: start the server here, or give --wyoming")]
    async with AsyncTcpClient(host, int(port)) as client:
        await client.write_event(Describe().event())
        event = await asyncio.wait_for(client.read_event(), WITHIN_S)
        if event is None or not Info.is_type(event.type):
            return [Outcome(named("wyoming"), "describe", False, f"answered with {event}")]
        program = Info.from_event(event).asr[0]
        chunks, text = await _transcript(client, place)
    what = f"program {program.name}, {chunks} chunks"
    return [words_outcome(named("wyoming"), what, place, text)]


async def _transcript(client: AsyncTcpClient, place: Place) -> tuple[int, str]:
    """How many parts of the text came, and the whole text."""
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(SAMPLE_RATE, 2, 1).event())
    reading = asyncio.create_task(_read(client))
    async for frame in in_real_time(place.talk.samples, 0.1):
        await client.write_event(AudioChunk(SAMPLE_RATE, 2, 1, frame).event())
    await client.write_event(AudioStop().event())
    return await asyncio.wait_for(reading, WITHIN_S)


async def _read(client: AsyncTcpClient) -> tuple[int, str]:
    chunks = 0
    while (event := await client.read_event()) is not None:
        if TranscriptChunk.is_type(event.type):
            chunks += 1
        elif Transcript.is_type(event.type):
            return chunks, Transcript.from_event(event).text
        elif Error.is_type(event.type):
            raise RuntimeError(Error.from_event(event).text)
    raise RuntimeError("the connection was closed before the transcript")
