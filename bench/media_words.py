"""Count wrong words of the starter model after a lossy network, through our media path and through aiortc's.

Same phrases, same losses; the model decodes each phrase as one window. For aiortc, frames are placed by their
`pts` and gaps are filled with silence, which is the best that its users can do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aiortc.codecs.opus import OpusDecoder as StockDecoder
from faster_whisper import WhisperModel

from bench.network import PACKET, Network, carry, send
from bench.replay import Heard, stock_frames, through_ours
from host_stt.contract import Float32Array
from tests.support.speech import say
from training.grammar import draw_phrase
from training.scoring import Tally
from webrtc_host.media.libopus import OpusEncoder
from webrtc_host.seams import Block

LOSSES = (0.0, 0.01, 0.02, 0.05, 0.10)
BURST = 4.0
LEAD = 25  # packets of silence around a phrase, because a stream does not begin with a word
SEED = 2026
VOICES = ("en-gb", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan")


@dataclass(frozen=True, slots=True)
class Coding:
    """How the sender encodes: Chromium's defaults, or its settings for a request of 16 kHz."""

    name: str
    bitrate: int
    is_wideband: bool
    with_repair: bool = True


DEFAULT = Coding("32 kb/s", 32_000, False)
WIDEBAND = Coding("20 kb/s wideband (maxplaybackrate=16000)", 20_000, True)
NO_REPAIR = Coding("32 kb/s without FEC", 32_000, False, with_repair=False)


@dataclass(slots=True)
class Point:
    loss: float
    burst: float
    ours: Tally = field(default_factory=Tally)
    stock: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    samples: Float32Array


class Reader:
    """The model; decodes one phrase at a time as English."""

    def __init__(self, model: Path) -> None:
        self._model = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=1)

    def read(self, samples: Float32Array) -> str:
        segments, _ = self._model.transcribe(
            samples,
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
        )
        return " ".join(segment.text.strip() for segment in segments)


def phrases(count: int) -> list[Phrase]:
    """Phrases outside the model's training data, with espeak-ng's voices at different speeds."""
    rng = random.Random(SEED)
    drawn = [draw_phrase(rng, "en", held_out=True).text for _ in range(count)]
    return [Phrase(text, say(text, voice=rng.choice(VOICES), wpm=rng.randint(130, 165))) for text in drawn]


def measure(
    reader: Reader, spoken: Sequence[Phrase], coding: Coding, networks: Sequence[Network], *, with_stock: bool
) -> Iterator[Point]:
    """One point for each network, over all phrases."""
    coded = [encode(phrase.samples, coding) for phrase in spoken]
    for network in networks:
        point = Point(network.loss, network.burst)
        for number, (phrase, payloads) in enumerate(zip(spoken, coded, strict=True)):
            arrivals, _ = carry(send(payloads, network), network, SEED + number)
            if not arrivals:
                continue
            _, blocks, _ = through_ours(arrivals)
            _read(reader, point.ours, phrase, sound_of(blocks))
            if with_stock:
                heard = stock_frames(arrivals, StockDecoder())
                _read(reader, point.stock, phrase, placed(heard, len(payloads)))
        yield point


def networks(burst: float) -> list[Network]:
    """One network for each loss; without loss there are no bursts."""
    return [Network(f"{100 * loss:g} %/{burst:g}", loss=loss, burst=burst) for loss in LOSSES]


def encode(samples: Float32Array, coding: Coding) -> list[bytes]:
    """20 ms packets at 48 kHz, as a browser sends them, with silence around the phrase."""
    quiet = np.zeros(LEAD * PACKET, np.float32)
    sound = at_48k(np.concatenate([quiet, samples, quiet]))
    encoder = OpusEncoder(
        48_000,
        bitrate=coding.bitrate,
        is_wideband=coding.is_wideband,
        with_repair=coding.with_repair,
        expected_loss_percent=10,
    )
    size = 3 * PACKET
    return [encoder.encode(piece) for piece in sound[: len(sound) // size * size].reshape(-1, size)]


def at_48k(samples: Float32Array) -> Float32Array:
    """Resample to 48 kHz by adding zeros to one long Fourier transform."""
    spectrum, n = np.fft.rfft(samples), 3 * len(samples)
    padded = np.pad(spectrum, (0, n // 2 + 1 - len(spectrum)))
    return (np.fft.irfft(padded, n) * 3).astype(np.float32)


def sound_of(blocks: Sequence[Block]) -> Float32Array:
    return np.concatenate([block.samples for block in blocks]).astype(np.float32)


def placed(heard: Iterator[tuple[Heard, Float32Array]], packets: int) -> Float32Array:
    """aiortc's frames placed by their `pts`, 48 to 16 kHz, with silence in the gaps."""
    whole = np.zeros(3 * PACKET * (packets + 50), np.float32)
    for one, samples in heard:
        start = one.place * 3
        if 0 <= start < len(whole) - len(samples):
            whole[start : start + len(samples)] = samples
    spectrum = np.fft.rfft(whole)
    n = len(whole) // 3
    return (np.fft.irfft(spectrum[: n // 2 + 1], n) / 3).astype(np.float32)


def _read(reader: Reader, tally: Tally, phrase: Phrase, samples: Float32Array) -> None:
    tally.add((phrase.text,), reader.read(samples), "en")
