"""Synthetic load for 8081: N channels speak and request interims and finals in real time; results are
counted.

Contains the schedule of a channel and the figures; uses only the engine's WebSocket. A channel speaks
utterances from a set of clips. It requests an interim every `interval_s` during speech and a final
`HANGOVER_S` after the end, as 8082 does. Latency is from the sending of a window to its result.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np

from host_stt.contract import (
    FRAME_BYTES_MAX,
    SAMPLE_RATE,
    Answer,
    Float32Array,
    Priority,
    Transcript,
    Window,
    decode_answer,
    encode_window,
)

FIRST_INTERIM_S = 0.7
HANGOVER_S = 0.5
TRAILING_S = 0.3


@dataclass(frozen=True, slots=True)
class Load:
    channels: int
    talk: float  # share of time that a channel speaks, in (0, 1]
    interval_s: float  # between interims during speech
    seconds: float
    seed: int = 0


@dataclass(slots=True)
class Tally:
    """latencies_s: of windows that got a transcript, by priority."""

    latencies_s: dict[Priority, list[float]] = field(default_factory=lambda: {p: [] for p in Priority})
    asked: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    errors: dict[str, int] = field(default_factory=dict)
    unanswered_finals: int = 0

    def answered(self, priority: Priority, answer: Answer, latency_s: float) -> None:
        if isinstance(answer, Transcript):
            self.latencies_s[priority].append(latency_s)
        else:
            key = f"{priority.value} {answer.code}"
            self.errors[key] = self.errors.get(key, 0) + 1


async def run_load(url: str, load: Load, clips: Sequence[Float32Array]) -> Tally:
    """Run the load on the engine at `url` (http://host:port) and count. clips: speech, 16 kHz float32."""
    tally = Tally()
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{url}/v1/windows", max_msg_size=FRAME_BYTES_MAX) as ws:
            sender = _WindowSender(ws, tally)
            reader = asyncio.create_task(sender.read())
            talkers = [_Talker(n, load, clips, sender).talk() for n in range(load.channels)]
            await asyncio.gather(*talkers)
            await sender.drain(15.0)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
    return tally


async def send_all(url: str, windows: Sequence[Float32Array]) -> float:
    """Send all windows at once, as finals of sixteen channels; returns the seconds until the last result."""
    tally = Tally()
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{url}/v1/windows", max_msg_size=FRAME_BYTES_MAX) as ws:
            sender = _WindowSender(ws, tally)
            reader = asyncio.create_task(sender.read())
            began_s = asyncio.get_running_loop().time()
            for n, samples in enumerate(windows):
                await sender.send(f"C{n % 16 + 1:02}", samples, 0, Priority.FINAL)
            await sender.all_answered.wait()
            took_s = asyncio.get_running_loop().time() - began_s
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
    if tally.errors:
        raise RuntimeError(f"the engine refused windows: {tally.errors}")
    return took_s


class _WindowSender:
    def __init__(self, ws: aiohttp.ClientWebSocketResponse, tally: Tally) -> None:
        self._ws = ws
        self._tally = tally
        self._sent: dict[str, tuple[Priority, float]] = {}
        self.all_answered = asyncio.Event()
        self.all_answered.set()
        self._number = 0

    async def send(self, channel: str, samples: Float32Array, start_sample: int, priority: Priority) -> None:
        self._number += 1
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        window = Window(f"w{self._number}", channel, pcm, start_sample, priority, language="en")
        frame = encode_window(window)
        self._tally.asked[priority] += 1
        self._sent[window.id] = (priority, asyncio.get_running_loop().time())
        self.all_answered.clear()
        await self._ws.send_bytes(frame)

    async def read(self) -> None:
        async for message in self._ws:
            answer = decode_answer(message.data)
            priority, sent_s = self._sent.pop(answer.id)
            self._tally.answered(priority, answer, asyncio.get_running_loop().time() - sent_s)
            if not self._sent:
                self.all_answered.set()

    async def drain(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.all_answered.wait()
        self._tally.unanswered_finals = sum(p is Priority.FINAL for p, _ in self._sent.values())


class _Talker:
    def __init__(self, number: int, load: Load, clips: Sequence[Float32Array], sender: _WindowSender) -> None:
        self._channel = f"C{number + 1:02}"
        self._load = load
        self._clips = clips
        self._sender = sender
        self._random = random.Random(load.seed * 1000 + number)

    async def talk(self) -> None:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        end_s = begin_s + self._load.seconds
        at_s = begin_s + self._random.uniform(0, min(5.0, 3.0 / self._load.talk))
        while at_s < end_s:
            clip = self._random.choice(self._clips)
            await self._utterance(clip, at_s, begin_s)
            speech_s = len(clip) / SAMPLE_RATE
            pause_s = max(HANGOVER_S + TRAILING_S, speech_s * (1 / self._load.talk - 1))
            at_s += speech_s + pause_s * self._random.uniform(0.8, 1.2)

    async def _utterance(self, clip: Float32Array, at_s: float, begin_s: float) -> None:
        start = max(0, round((at_s - begin_s) * SAMPLE_RATE))
        speech_s = len(clip) / SAMPLE_RATE
        due_s = FIRST_INTERIM_S
        while due_s < speech_s:
            await _until(at_s + due_s)
            heard = clip[: round(due_s * SAMPLE_RATE)]
            await self._sender.send(self._channel, heard, start, Priority.INTERIM)
            due_s += self._load.interval_s
        await _until(at_s + speech_s + HANGOVER_S)
        tail = np.zeros(round(TRAILING_S * SAMPLE_RATE), np.float32)
        await self._sender.send(self._channel, np.concatenate([clip, tail]), start, Priority.FINAL)


async def _until(moment_s: float) -> None:
    await asyncio.sleep(max(0.0, moment_s - asyncio.get_running_loop().time()))
