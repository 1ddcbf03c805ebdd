"""Audio files made by a test: any container, rate and layout, from samples or only from a header."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from host_stt_common.audio_file import AudioFile


def decoded(data: bytes, seconds_max: int = 600) -> NDArray[np.float32]:
    """A recording as 16 kHz mono, as both servers read it."""
    with AudioFile(data, seconds_max) as file:
        return np.concatenate(list(file))


def encoded(
    planes: NDArray[np.float32], rate: int = 48_000, container: str = "wav", codec: str = "pcm_s16le"
) -> bytes:
    """planes: (channels, n) in [-1, 1]."""
    out = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[len(planes)]
    with av.open(out, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate)
        stream.layout = layout
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        size = stream.codec_context.frame_size
        fitted = av.AudioResampler(stream.format, layout, rate, frame_size=size or None)
        for piece in [*fitted.resample(frame), *fitted.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out.getvalue()


def wav_header(data_bytes: int, rate: int = 16_000, channels: int = 1) -> bytes:
    """The header of a 16-bit WAV file that announces `data_bytes` bytes of audio."""
    frame = 2 * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * frame, frame, 16)
    riff = min(36 + data_bytes, 0xFFFFFFFF)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVE" + form + b"data" + struct.pack("<I", data_bytes)
