"""Audio as senders of `/ws/pcm` cut it into frames, in every encoding that the input accepts."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from host_stt.contract import Float32Array
from webrtc_host.media.libopus import OpusEncoder
from webrtc_host.media.opus import Codec, g711_table


def frames_of(encoding: str, sound: NDArray[np.int16], rate: int = 48_000, frame_ms: int = 20) -> list[bytes]:
    """sound: 48 kHz mono. Containers are cut at arbitrary places."""
    if encoding in ("webm", "ogg"):
        return list(_cut(container_of(encoding, sound), 700))
    if encoding == "opus":
        encoder = OpusEncoder(48_000)
        floats = (sound / 32768).astype(np.float32)
        return [encoder.encode(piece) for piece in floats[: len(floats) // 960 * 960].reshape(-1, 960)]
    at = np.arange(len(sound) * rate // 48_000) * 48_000 / rate
    samples = np.interp(at, np.arange(len(sound)), sound)
    if encoding in ("mulaw", "alaw"):
        data, width = g711_of(samples / 32768, Codec.PCMU if encoding == "mulaw" else Codec.PCMA), 1
    elif encoding == "pcm_f32le":
        data, width = (samples / 32768).astype("<f4").tobytes(), 4
    else:
        data, width = samples.astype("<i2").tobytes(), 2
    return list(_cut(data, rate * frame_ms // 1000 * width))


def g711_of(samples: NDArray[np.float64], codec: Codec) -> bytes:
    """The nearest of the 256 code values for each sample."""
    table = g711_table(codec)
    order = np.argsort(table)
    middles = (table[order][1:] + table[order][:-1]) / 2
    return order[np.searchsorted(middles, samples)].astype(np.uint8).tobytes()


def container_of(encoding: str, sound: NDArray[np.int16]) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=encoding) as container:
        stream = container.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(sound[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def interleaved(planes: Float32Array, encoding: str) -> bytes:
    """planes: (channels, n). As a sender of raw samples puts them on the socket."""
    samples = planes.T.reshape(-1).astype(np.float64)
    if encoding == "pcm_s16le":
        return np.round(samples * 32767).astype("<i2").tobytes()
    if encoding == "pcm_f32le":
        return samples.astype("<f4").tobytes()
    return g711_of(samples, Codec.PCMU if encoding == "mulaw" else Codec.PCMA)
