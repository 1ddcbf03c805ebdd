"""assemblyai, unmodified: one live session in real time."""

from __future__ import annotations

import time
from typing import Any

from assemblyai.streaming.v3 import StreamingClientOptions, StreamingEvents, StreamingParameters
from assemblyai.streaming.v3.async_client import AsyncRealTimeTranscriber

from bench.clients.place import Outcome, Place, in_real_time, named, words_outcome
from host_stt.contract import SAMPLE_RATE

FRAME_S = 0.05
"""The shortest message of AssemblyAI's service."""


async def check(place: Place) -> list[Outcome]:
    client = AsyncRealTimeTranscriber(StreamingClientOptions(api_key=place.key, api_host=place.socket_url))
    texts: list[str] = []
    ends: list[float] = []
    errors: list[Any] = []

    def on_turn(_client: Any, turn: Any) -> None:
        if turn.end_of_turn:
            texts.append(turn.transcript)

    client.on(StreamingEvents.Turn, on_turn)
    client.on(StreamingEvents.Error, lambda _client, error: errors.append(error))
    client.on(StreamingEvents.Termination, lambda _client, _message: ends.append(time.monotonic()))
    await client.connect(StreamingParameters(sample_rate=SAMPLE_RATE, language_codes=["en"]))
    async for frame in in_real_time(place.talk.samples, FRAME_S):
        await client.stream(frame)
    asked_s = time.monotonic()
    await client.disconnect(terminate=True)
    what = named("assemblyai")
    if errors or not ends:
        return [Outcome(what, "v3 live", False, f"errors: {errors}, Termination: {bool(ends)}")]
    return [
        words_outcome(what, f"v3, {len(texts)} turns", place, " ".join(texts)),
        Outcome(what, "Terminate to Termination", True, f"{ends[0] - asked_s:.2f} s"),
    ]
