"""What every check of a client needs: the server, the speech to send, and the form of the outcome.

The speech is that of `demo/clips/radio`: phrases with known texts, and silence between them.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array

CLIPS = Path(__file__).resolve().parent.parent.parent / "demo" / "clips" / "radio"
LOUD = 0.01
FRAME_S = 0.02
MARGIN_S = 1.0
"""Text that ends this long after a phrase still belongs to it."""


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    start_s: float
    end_s: float  # of the last loud sample


@dataclass(frozen=True, slots=True)
class Talk:
    """Audio to send, and what is said in it. samples: (n,) float32 at 16 kHz."""

    samples: Float32Array
    phrases: tuple[Phrase, ...]

    @property
    def text(self) -> str:
        return " ".join(phrase.text for phrase in self.phrases)

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Place:
    """A running server. url: of 8082, such as http://127.0.0.1:8082. token: empty where it asks for none.

    plugins: the Python of an environment with bench/plugins/requirements.txt; empty: there is none.
    wyoming: host:port of its Wyoming door; empty: it is off.
    """

    url: str
    token: str
    talk: Talk
    plugins: str = ""
    wyoming: str = ""

    @property
    def key(self) -> str:
        """For clients that refuse to start without a key."""
        return self.token or "no-key-needed"

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the table."""

    client: str
    what: str
    is_good: bool
    figure: str


Check = Callable[[Place], Awaitable[list[Outcome]]]
"""The check of one client. It raises for a fault; the table then has the error."""


@dataclass
class Heard:
    """Finals as they arrive: (end on the clock of the audio in seconds, text, moment of arrival)."""

    finals: list[tuple[float, str, float]] = field(default_factory=list)

    def add(self, end_s: float, text: str) -> None:
        if text:
            self.finals.append((end_s, text, time.monotonic()))

    @property
    def text(self) -> str:
        return " ".join(text for _, text, _ in self.finals)

    def delays(self, talk: Talk, began_s: float) -> tuple[list[float], int]:
        """Seconds from the end of each phrase to its last final, and the number of phrases without text.

        began_s: the moment at which the first sample was sent, in real time.
        """
        delays, missing = [], 0
        for phrase in talk.phrases:
            mine = [
                came_s
                for end_s, _, came_s in self.finals
                if phrase.start_s < end_s <= phrase.end_s + MARGIN_S
            ]
            if mine:
                delays.append(max(mine) - began_s - phrase.end_s)
            else:
                missing += 1
        return delays, missing


def named(package: str) -> str:
    """`package version`, for the table."""
    return f"{package} {version(package)}"


def talk_of(numbers: Sequence[int], pause_s: Sequence[float]) -> Talk:
    """The clips with these numbers (from 0, again from the first after the last), each after a pause."""
    known = json.loads((CLIPS / "clips.json").read_text(encoding="utf-8"))
    parts, phrases, at = [], [], 0
    for number, quiet_s in zip(numbers, cycle(pause_s), strict=False):
        clip = known[number % len(known)]
        samples = _decoded(CLIPS / clip["file"])
        loud = np.flatnonzero(np.abs(samples) > LOUD)
        samples = samples[loud[0] : loud[-1] + 1]
        quiet = np.zeros(int(quiet_s * SAMPLE_RATE), np.float32)
        start = at + len(quiet)
        at = start + len(samples)
        parts += [quiet, samples]
        phrases.append(Phrase(clip["text"], start / SAMPLE_RATE, at / SAMPLE_RATE))
    parts.append(np.zeros(2 * SAMPLE_RATE, np.float32))
    return Talk(np.concatenate(parts), tuple(phrases))


def different_talks(count: int, seconds: float, talk_share: float, seed: int = 1) -> list[Talk]:
    """One talk for each of `count` clients, with this share of speech, at different times."""
    rng = np.random.default_rng(seed)
    talks = []
    for number in range(count):
        numbers = islice(range(number * 5, 10_000), int(seconds / 3) + 1)
        length_s = 3.0  # of a clip, about
        mean_s = length_s * (1 - talk_share) / talk_share
        pauses = [float(rng.uniform(0, mean_s)) + 0.5, *rng.uniform(0.7 * mean_s, 1.3 * mean_s, 1000)]
        chosen, at = [], 0.0
        for clip, pause_s in zip(numbers, pauses, strict=False):
            at += pause_s + length_s
            if at > seconds:
                break
            chosen.append(clip)
        talks.append(talk_of(chosen, pauses))
    return talks


async def in_real_time(samples: Float32Array, frame_s: float = FRAME_S) -> AsyncIterator[bytes]:
    """16-bit frames at the pace of a microphone."""
    data = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    size = int(frame_s * SAMPLE_RATE) * 2
    began_s = time.monotonic()
    for number, at in enumerate(range(0, len(data), size)):
        await asyncio.sleep(max(0.0, began_s + number * frame_s - time.monotonic()))
        yield data[at : at + size]


def right_words(said: str, heard: str) -> tuple[int, int]:
    """How many of the said words were heard in this order, and how many were said."""
    a, b = (re.findall(r"[a-z0-9]+", text.lower()) for text in (said, heard))
    best = [0] * (len(b) + 1)
    for word in a:
        before = best[:]
        for column, other in enumerate(b, 1):
            best[column] = before[column - 1] + 1 if word == other else max(best[column - 1], before[column])
    return best[-1], len(a)


def words_outcome(client: str, what: str, place: Place, heard: str) -> Outcome:
    """Good when half of the words are right: the others depend on the model, not on the door."""
    right, said = right_words(place.talk.text, heard)
    return Outcome(client, what, right >= 0.5 * said, f"{right} of {said} words")


def _decoded(path: Path) -> Float32Array:
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    samples: Float32Array = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return samples
