"""Plan who speaks when: the load of a run, and the script for each channel.

Pure. Contains the options of the load and the times of every utterance. The measures compare with these
times. Invariant: the same options and clips give the same script.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

FRAME_MS = 20
GAP_MS = 240
"""Between the phrases of one utterance: shorter than any hangover, so they stay one utterance."""
PAUSE_MS = 900
"""Between utterances: longer than the default hangover of 500 ms, so they are two."""
LEAD_MS = 1000  # of silence before the first utterance
BUSY = 0.7  # from this share of talk on, an utterance has three phrases, because pauses would take too much


class Door(StrEnum):
    WEBRTC = "webrtc"
    WHIP = "whip"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class Load:
    """The load of one run."""

    channels: int = 16
    seconds: float = 60.0
    talk: float = 0.5  # share of time with speech on a channel; 1: with the shortest pauses
    overlap: float = 0.0  # 0: each channel at its own times; 1: all at the same times
    loss: float = 0.0  # share of packets that are not sent
    jitter_ms: int = 0  # each packet is delayed by up to this
    reconnects: int = 0  # per channel, spread over the run
    door: Door = Door.WEBRTC
    tracks: int = 1  # per peer connection
    seed: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (
            ("channels", 1, 64),
            ("seconds", 1, 7 * 24 * 3600),
            ("overlap", 0, 1),
            ("loss", 0, 0.5),
            ("jitter_ms", 0, 1000),
            ("reconnects", 0, 1000),
            ("tracks", 1, 64),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; it must be between {low} and {high}")
        if not 0 < self.talk <= 1:
            raise ValueError(f"talk is {self.talk}; it must be more than 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Saying:
    """A clip and its place on a channel, in frames of 20 ms from the channel's first frame."""

    clip: int
    frame: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """One stretch of speech; its phrases have pauses shorter than any hangover."""

    sayings: tuple[Saying, ...]
    start_ms: int
    end_ms: int  # the end of its audio, exact to the sample


@dataclass(frozen=True, slots=True)
class Part:
    """The utterances and reconnects of one channel."""

    utterances: tuple[Utterance, ...]
    reconnect_ms: tuple[int, ...]


def script(load: Load, clip_ms: Sequence[int]) -> list[Part]:
    """The part of each channel. clip_ms: length of each clip, which has speech from its start to its end."""
    return [_part(load, clip_ms, channel) for channel in range(load.channels)]


def _part(load: Load, clip_ms: Sequence[int], channel: int) -> Part:
    rng = random.Random(load.seed if load.overlap >= 1 else load.seed * 1009 + channel)
    phrases = 3 if load.talk > BUSY else 1
    mean_ms = sum(clip_ms) / len(clip_ms) * phrases
    at_ms = LEAD_MS + (1 - load.overlap) * rng.uniform(0, min(mean_ms / load.talk, load.seconds * 250))
    utterances: list[Utterance] = []
    while True:
        utterance = _utterance(rng, clip_ms, phrases, round(at_ms / FRAME_MS))
        if utterance.end_ms > load.seconds * 1000:
            break
        utterances.append(utterance)
        said_ms = utterance.end_ms - utterance.start_ms
        at_ms = utterance.end_ms + max(PAUSE_MS, said_ms * (1 / load.talk - 1) * rng.uniform(0.8, 1.2))
    return Part(tuple(utterances), _reconnects(load, rng))


def _utterance(rng: random.Random, clip_ms: Sequence[int], phrases: int, frame: int) -> Utterance:
    sayings, start_ms, end_ms = [], frame * FRAME_MS, 0
    for _ in range(phrases):
        clip = rng.randrange(len(clip_ms))
        sayings.append(Saying(clip, frame))
        end_ms = frame * FRAME_MS + clip_ms[clip]
        frame = -(-(end_ms + GAP_MS) // FRAME_MS)
    return Utterance(tuple(sayings), start_ms, end_ms)


def _reconnects(load: Load, rng: random.Random) -> tuple[int, ...]:
    share = load.seconds * 1000 / (load.reconnects + 1)
    return tuple(round((n + 1) * share + rng.uniform(-0.3, 0.3) * share) for n in range(load.reconnects))
