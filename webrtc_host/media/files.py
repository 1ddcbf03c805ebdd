"""Recorded sound: a WAV, FLAC, Ogg or MP3 file in memory becomes 16 kHz mono float32, within a bound.

Blocking: runs in a thread. The kind is read from the first bytes and named to FFmpeg, which otherwise would
also open play lists and the addresses in them. Invariant: never more than `seconds_max` is decoded.
"""

from __future__ import annotations

import io

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.frames import FrameError
from webrtc_host.errors import RequestError
from webrtc_host.media.resample import MEDIA_RATE, STEP_TICKS, Piece, Resampler

MICROSECONDS = 1_000_000


def kind_of(data: bytes) -> str:
    """FFmpeg's name of the container. Raises RequestError 415 when it is none that is taken."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"fLaC":
        return "flac"
    if data[:4] == b"OggS":
        return "ogg"
    is_layer_3 = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2
    if data[:3] == b"ID3" or is_layer_3:
        return "mp3"
    raise RequestError("wrong_type", "`audio` is no WAV, FLAC, Ogg or MP3 file", 415)


def decode_file(data: bytes, seconds_max: int) -> Float32Array:
    """The whole file, (n,) float32 at 16 kHz, n >= 1; gaps in its timestamps are silence.

    Raises RequestError: 413 longer than seconds_max, 415 not one of ours, 422 without sound or damaged.
    """
    if not data:
        raise RequestError("empty_audio", "`audio` is an empty file", 422)
    kind = kind_of(data)
    try:
        with av.open(io.BytesIO(data), "r", format=kind) as container:
            return _decode(container, len(data), seconds_max)
    except FrameError as error:
        raise RequestError("bad_audio", f"`audio` cannot be used: {error}", 422) from error
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise RequestError("bad_audio", f"`audio` is damaged: {str(error)[:200]}", 422) from error


def _decode(container: av.container.InputContainer, size_bytes: int, seconds_max: int) -> Float32Array:
    if not container.streams.audio:
        raise RequestError("empty_audio", "`audio` holds no sound", 422)
    stream = container.streams.audio[0]
    if _announced_s(container, size_bytes) > seconds_max:
        raise _too_long(seconds_max)
    resampler, row = Resampler(), _Row(seconds_max * SAMPLE_RATE)
    for frame in container.decode(stream):
        row.add(resampler.feed(frame))
    row.add(resampler.flush())
    if not row.length:
        raise RequestError("empty_audio", "`audio` holds no sound", 422)
    return np.concatenate(row.parts)


def _announced_s(container: av.container.InputContainer, size_bytes: int) -> float:
    """How long the file says it is; 0 when it does not say or only guesses."""
    if container.duration is None or container.format.name == "mp3":
        return 0.0
    announced_s: float = container.duration / MICROSECONDS
    if container.format.name == "wav" and container.bit_rate:
        # A WAV written as a stream announces the largest size there is.
        announced_s = min(announced_s, size_bytes * 8 / container.bit_rate)
    return announced_s


class _Row:
    """Pieces in their places, one after the other."""

    def __init__(self, samples_max: int) -> None:
        self.parts: list[Float32Array] = []
        self.length = 0
        self._samples_max = samples_max
        self._end_ticks: int | None = None

    def add(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            gap_ticks = 0 if self._end_ticks is None else piece.timestamp - self._end_ticks
            if gap_ticks > STEP_TICKS:
                self._append(gap_ticks * SAMPLE_RATE // MEDIA_RATE, None)
            self._append(len(piece.samples), piece.samples)
            self._end_ticks = piece.timestamp + len(piece.samples) * MEDIA_RATE // SAMPLE_RATE

    def _append(self, n: int, samples: Float32Array | None) -> None:
        self.length += n
        if self.length > self._samples_max:
            raise _too_long(self._samples_max // SAMPLE_RATE)
        self.parts.append(np.zeros(n, np.float32) if samples is None else samples)


def _too_long(seconds_max: int) -> RequestError:
    return RequestError("too_long", f"`audio` is longer than {seconds_max} s; send it in parts", 413)
