"""What a channel hears of a recording: the recording between two stretches of a quiet line.

The recording itself, or its audio after Opus, encoded as `live` encodes it and decoded as the server decodes
it. So a run without WebRTC can have the audio of a run over WebRTC.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np

from bench.speech.clips import Recording
from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_cli.loadtest.sounds import FRAME, NOISE_DBFS, RATE, Sound, decoded, noise, opus_packets
from webrtc_host.media.opus import OpusDecoder

LEAD_S, TAIL_S = 1.0, 1.5
"""Of a quiet line before and after a recording: the hangover ends inside the tail."""
PACKETS_PER_S = RATE // FRAME


@dataclass(frozen=True, slots=True)
class Heard:
    samples: Float32Array  # (n,) at 16 kHz, with the quiet line
    lead_samples: int  # before the recording begins


def heard(recording: Recording, opus_kbps: int = 0) -> Heard:
    """opus_kbps: kbit/s of the codec; 0: no codec."""
    if opus_kbps:
        return _after_opus(recording, opus_kbps)
    lead, tail = _quiet(LEAD_S, seed=1), _quiet(TAIL_S, seed=2)
    return Heard(np.concatenate([lead, recording.samples, tail]), len(lead))


def at_48k(recording: Recording) -> Sound:
    """(n,) int16: what is encoded. Generated audio has no file."""
    if recording.audio is None:
        with io.BytesIO(recording.path.read_bytes()) as file:
            return decoded(file, recording.name)
    frame = av.AudioFrame.from_ndarray(recording.audio[np.newaxis, :], format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def _after_opus(recording: Recording, kbps: int) -> Heard:
    samples = at_48k(recording)
    framed = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    quiet = opus_packets(noise(), kbps)
    lead, tail = round(LEAD_S * PACKETS_PER_S), round(TAIL_S * PACKETS_PER_S)
    # The quiet line and the recording have an encoder each, as in a load test.
    around = [quiet[n % len(quiet)] for n in range(lead + len(framed) + tail)]
    packets = [*around[:lead], *opus_packets(framed, kbps), *around[-tail:]]
    decoder = OpusDecoder()
    return Heard(np.concatenate([decoder.decode(packet) for packet in packets]), lead * FRAME // 3)


def _quiet(seconds: float, seed: int) -> Float32Array:
    level = 10 ** (NOISE_DBFS / 20)
    values = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)) * level
    return values.astype(np.float32)
