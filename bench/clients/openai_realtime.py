"""openai (Python), Realtime transcription, unmodified: turns of the server, and commits of the client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from statistics import median
from typing import Any

import numpy as np
from openai import AsyncOpenAI

from bench.clients.place import Outcome, Place, named, words_outcome
from host_stt.contract import SAMPLE_RATE, Float32Array

RATE = 24_000
FRAME_S = 0.05
WITHIN_S = 30.0
DELAYS = ("minimal", "medium", "xhigh")
KIND = "conversation.item.input_audio_transcription"


class Items:
    """The text of each item, as deltas and as transcript, and the moments of the first deltas."""

    def __init__(self) -> None:
        self.deltas: dict[str, str] = defaultdict(str)
        self.transcripts: dict[str, str] = {}
        self.started_ms: dict[str, int] = {}
        self.first_s: dict[str, float] = {}

    def note(self, event: Any) -> None:
        if event.type == "input_audio_buffer.speech_started":
            self.started_ms[event.item_id] = event.audio_start_ms
        elif event.type == f"{KIND}.delta":
            self.first_s.setdefault(event.item_id, time.monotonic())
            self.deltas[event.item_id] += event.delta
        elif event.type == f"{KIND}.completed":
            self.transcripts[event.item_id] = event.transcript
        elif event.type == "error":
            raise RuntimeError(event.error.message)

    @property
    def text(self) -> str:
        return " ".join(self.transcripts.values())

    @property
    def are_complete(self) -> bool:
        known = self.started_ms.keys() | self.deltas.keys()
        return bool(known) and known <= self.transcripts.keys()

    @property
    def are_whole(self) -> bool:
        """Whether the deltas of each item are its transcript."""
        return all(self.deltas[item] == text for item, text in self.transcripts.items())


async def check(place: Place) -> list[Outcome]:
    outcomes = [await _turns(place, delay) for delay in DELAYS]
    return [*outcomes, await _commits(place)]


async def _turns(place: Place, delay: str) -> Outcome:
    """The server ends the turns."""
    items, began_s = await _heard(place, {"model": "whisper-1", "delay": delay}, commits=False)
    outcome = words_outcome(named("openai"), f"Realtime, delay {delay}", place, items.text)
    waits = [items.first_s[one] - began_s - ms / 1000 for one, ms in items.started_ms.items()]
    figure = f"{outcome.figure}, first delta {median(waits):.1f} s after the turn's start (median)"
    return Outcome(outcome.client, outcome.what, outcome.is_good and items.are_whole, figure)


async def _commits(place: Place) -> Outcome:
    items, _ = await _heard(place, {"model": "gpt-live-transcribe"}, commits=True)
    outcome = words_outcome(named("openai"), "Realtime, client commits", place, items.text)
    return Outcome(outcome.client, outcome.what, outcome.is_good and items.are_whole, outcome.figure)


async def _heard(place: Place, transcription: Any, *, commits: bool) -> tuple[Items, float]:
    """Everything about the talk, and the moment at which its first sample was sent."""
    items = Items()
    turns: Any = None if commits else {"type": "server_vad", "prefix_padding_ms": 0}
    audio: Any = {"input": {"transcription": transcription, "turn_detection": turns}}
    session: Any = {"type": "transcription", "audio": audio}
    client = AsyncOpenAI(api_key=place.key, base_url=f"{place.url}/v1")
    async with client, client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        await connection.session.update(session=session)
        began_s = time.monotonic()

        async def send() -> None:
            async for frame in _frames(place.talk.samples):
                await connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
            if commits:
                await connection.input_audio_buffer.commit()

        sending = asyncio.create_task(send())
        async with asyncio.timeout(place.talk.seconds + WITHIN_S):
            while not sending.done() or not items.are_complete:
                with contextlib.suppress(TimeoutError):
                    items.note(await asyncio.wait_for(connection.recv(), 0.5))
        await sending
    return items, began_s


async def _frames(samples: Float32Array) -> AsyncIterator[bytes]:
    """16-bit frames at 24 kHz, at the pace of a microphone."""
    at = np.arange(int(len(samples) * RATE / SAMPLE_RATE)) * SAMPLE_RATE / RATE
    data = np.round(np.clip(np.interp(at, np.arange(len(samples)), samples), -1, 1) * 32767).astype("<i2")
    size, began_s = int(FRAME_S * RATE), time.monotonic()
    for number, start in enumerate(range(0, len(data), size)):
        await asyncio.sleep(max(0.0, began_s + number * FRAME_S - time.monotonic()))
        yield data[start : start + size].tobytes()
