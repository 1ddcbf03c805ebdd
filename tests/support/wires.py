"""The whole 8082 application with a stand-in for the engine, for the doors of other services' protocols.

The stand-in writes one word for each 250 ms of sound in a window, so every door hears the same text in the
same audio. Voice detection, windows, glossary and record are the real ones.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array, Priority, Segment, Transcript, Window, Word
from tests.support.desk import Desk, a_config, running_desk
from tests.support.speech import padded, say
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.speech.settings import SpeechConfig

NUMBERS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
WORD_SAMPLES = SAMPLE_RATE // 4
LOUD = 0.02
SHORT, LONG = "alpha one", "bravo two proceed to gate seven"


def heard(window: Window) -> Transcript:
    """The stand-in's answer: words from NUMBERS, spread over the sound of the window."""
    samples = np.asarray(window.samples, np.float32)
    if window.samples.dtype == np.int16:
        samples /= 32768
    loud = np.flatnonzero(np.abs(samples) > LOUD)
    segments: tuple[Segment, ...] = ()
    if len(loud):
        first, last = int(loud[0]), int(loud[-1]) + 1
        count = min(len(NUMBERS), max(1, round((last - first) / WORD_SAMPLES)))
        edges = np.linspace(first, last, count + 1).astype(int) + window.start_sample
        words = tuple(
            Word(NUMBERS[number], int(edges[number]), int(edges[number + 1]), 0.9) for number in range(count)
        )
        text = " ".join(word.text for word in words)
        is_final = window.priority is Priority.FINAL
        segments = (Segment(text, int(edges[0]), int(edges[-1]), -0.1, 0.01, 1.0, words if is_final else ()),)
    return Transcript(window.id, segments, "en", 0.99, -0.1, 0.01, 1.0)


def two_utterances() -> Float32Array:
    """4 to 5 s at 16 kHz: a short utterance, 1 s of silence, a longer one, 1 s of silence."""
    return np.concatenate([padded(say(SHORT), 0.3, 1.0), padded(say(LONG), 0.0, 1.0)])


def pcm16(samples: Float32Array, rate: int = SAMPLE_RATE) -> bytes:
    """16-bit samples at another rate, by linear interpolation."""
    at = np.arange(int(len(samples) * rate / SAMPLE_RATE)) * SAMPLE_RATE / rate
    return np.round(np.interp(at, np.arange(len(samples)), samples) * 32767).astype("<i2").tobytes()


def frames(data: bytes, bytes_each: int = 3200) -> list[bytes]:
    return [data[at : at + bytes_each] for at in range(0, len(data), bytes_each)]


def left_tasks() -> list[str]:
    """Names of the tasks that belong to a connection. Empty when none is left."""
    names = (task.get_name() for task in asyncio.all_tasks())
    of_socket = re.compile(r"read socket|tick socket|end socket \(.*\)|.* of socket")
    return [name for name in names if of_socket.fullmatch(name)]


@asynccontextmanager
async def hearing_desk(
    folder: Path, answer: Callable[[Window], Transcript] = heard, **parts: Any
) -> AsyncIterator[Desk]:
    """answer: the stand-in for the engine. parts: as of `tests.support.desk.a_config`."""
    speech = SpeechConfig(windowing={"context_ms": 0})
    async with engine_server(answer) as engine:
        config = a_config(folder, engine_url=engine.url, speech=speech, **parts)
        async with running_desk(config, make_pipeline=None) as desk:
            yield desk
