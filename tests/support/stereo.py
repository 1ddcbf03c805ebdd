"""Speech on the two sides of a stereo stream, as faulty cables, call recorders and mains hum cause it.

The speech is the project's own clip: "alpha one proceed to gate seven over".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from host_stt.contract import Float32Array

CLIP = Path(__file__).parent.parent.parent / "demo" / "clips" / "en.mp3"
CLIP_TEXT = "alpha one proceed to gate seven over"
GAP_S = 0.5
PHASES = ("same", "opposite", "left", "right", "turns")
LEVELS_DB = (0, -10, -20)
"""Of the right side, relative to the left."""


@dataclass(frozen=True, slots=True)
class SpokenPart:
    """One spoken part of a stream: its first sample, and its mono audio, (n,) at the stream's rate."""

    start: int
    samples: Float32Array


@cache
def speech(rate: int) -> Float32Array:
    """(n,) float32 at `rate` Hz: the clip, 3.3 s."""
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(str(CLIP)) as container:
        parts = [
            out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)
        ]
    parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    samples: Float32Array = np.concatenate(parts)
    samples.setflags(write=False)
    return samples


def phases_and_levels(decoder: int) -> list[tuple[str, int, tuple[pytest.MarkDecorator, ...]]]:
    """(phase, level in dB, marks) of every case of the decoder with this number.

    Each pair of decoder, phase and level is in a case that is not long, if there are three decoders or more.
    """
    return [
        (phase, level_db, () if (decoder + column) % len(LEVELS_DB) == row else (pytest.mark.long,))
        for row, level_db in enumerate(LEVELS_DB)
        for column, phase in enumerate(PHASES)
    ]


def gain(level_db: float) -> np.float32:
    return np.float32(10 ** (level_db / 20))


def sides(phase: str, rate: int, level_db: float = 0.0) -> tuple[Float32Array, list[SpokenPart]]:
    """(2, n) float32 in [-1, 1], and its spoken parts. level_db: the right side relative to the left.

    phase: one of PHASES; `turns`: speech on the left, then on the right, then on the left again.
    """
    left = speech(rate)
    right, silence = left * gain(level_db), np.zeros_like(left)
    gap = np.zeros(round(GAP_S * rate), np.float32)
    if phase == "turns":
        ends = len(left) + len(gap)
        planes = (
            np.concatenate([left, gap, silence, gap, left]),
            np.concatenate([silence, gap, right, gap, silence]),
        )
        return np.stack(planes), [SpokenPart(0, left), SpokenPart(ends, right), SpokenPart(2 * ends, left)]
    pairs = {
        "same": (left, right),
        "opposite": (left, -right),
        "left": (right, silence),
        "right": (silence, right),
    }
    loudest = right if phase in ("left", "right") else left
    return np.stack(pairs[phase]), [SpokenPart(0, loudest)]


def hum(samples: int, rate: int, size: float = 0.5) -> Float32Array:
    """(n,) mains hum at 50 Hz."""
    made: Float32Array = (size * np.sin(2 * np.pi * 50 / rate * np.arange(samples))).astype(np.float32)
    return made


def noise(samples: int, size: float, seed: int = 1) -> Float32Array:
    """(n,) white noise. size: its root mean square."""
    made: Float32Array = np.random.default_rng(seed).normal(0, size, samples).astype(np.float32)
    return made


def stereo_packets(planes: Float32Array) -> list[bytes]:
    """(2, n) at 48 kHz as Opus, 20 ms in each packet, as a stereo sender encodes it."""
    context = av.CodecContext.create("libopus", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout, context.format, context.bit_rate = 48_000, "stereo", "flt", 64_000
    packets = []
    for at in range(0, planes.shape[1] - 959, 960):
        packed = np.ascontiguousarray(planes[:, at : at + 960].T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="stereo")
        frame.sample_rate = 48_000
        packets += [bytes(packet) for packet in context.encode(frame)]
    return packets
