"""A recording of any kind that FFmpeg reads becomes blocks of 16 kHz mono, a little at a time.

Blocking: runs in a thread. Owns containers and codecs, gaps in timestamps (silence, so that times stay
true) and what is refused. Several channels are mixed by `host_stt_common.mixdown`: FFmpeg's own matrix leaves
the bass channel out and lets opposite phases cancel. Play lists are refused by name: they make FFmpeg open
other files and addresses.
Invariant: never more than `seconds_max` comes out, and never more than a few seconds are held.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array, RequestError
from host_stt_common.frames import FrameError, planes_of
from host_stt_common.mixdown import MixDown

logger = logging.getLogger(__name__)

DEMUXERS = (
    "aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,flac,flv,gsm,matroska,webm,mov,mp4,m4a,3gp,3g2,"
    "mp3,mpeg,mpegts,ogg,opus,rm,sbc,spdif,tak,tta,voc,w64,wav,wv"
)
"""Containers of sound and film. Not among them: hls, dash, concat, image2 and the like, which name others."""
_OPTIONS = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
_GAP_SAMPLES = SAMPLE_RATE // 5
"""Timestamps jitter by a frame; 200 ms without any is a hole in the recording."""
_BLOCK_SAMPLES = SAMPLE_RATE
_MICROSECONDS = 1_000_000


class SoundFile:
    """One recording, opened; iterate for its blocks: (n,) float32 in [-1, 1], about a second each.

    Raises RequestError: 413 longer than seconds_max, 415 nothing that FFmpeg reads, 422 without sound.
    """

    def __init__(self, path: Path, seconds_max: int) -> None:
        self._samples_max = seconds_max * SAMPLE_RATE
        self._seconds_max = seconds_max
        if not path.stat().st_size:
            raise RequestError("empty_audio", "the file is empty", 422)
        self._file = path.open("rb")
        try:
            # An open file, not its name: FFmpeg then has no folder to look for others in.
            self._container: Any = av.open(self._file, "r", options=dict(_OPTIONS), metadata_errors="ignore")
        except (av.FFmpegError, ValueError) as error:
            self._file.close()
            raise RequestError(
                "wrong_type", f"the file is no recording that can be read: {_short(error)}", 415
            ) from error
        try:
            self._stream = self._sound_of(self._container)
        except RequestError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()
        self._file.close()

    @property
    def announced_s(self) -> float | None:
        """How long the file says it is; some do not say, and some are wrong."""
        duration = self._container.duration
        return duration / _MICROSECONDS if duration and duration > 0 else None

    def __iter__(self) -> Iterator[Float32Array]:
        length = 0
        held: list[Float32Array] = []
        held_samples = 0
        for samples in self._pieces():
            length += len(samples)
            if length > self._samples_max:
                raise RequestError(
                    "too_long", f"the recording is longer than {self._seconds_max} s; send it in parts", 413
                )
            held.append(samples)
            held_samples += len(samples)
            if held_samples >= _BLOCK_SAMPLES:
                yield np.concatenate(held)
                held, held_samples = [], 0
        if not length:
            raise RequestError("empty_audio", "the file holds no sound", 422)
        if held:
            yield np.concatenate(held)

    def _sound_of(self, container: Any) -> Any:
        if not container.streams.audio:
            raise RequestError("empty_audio", "the file holds no sound", 422)
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise RequestError("wrong_type", "the file's sound is of a kind that cannot be read", 415)
        return stream

    def _pieces(self) -> Iterator[Float32Array]:
        """As decoded, with silence where timestamps leap."""
        converter, form, at = None, None, 0
        for frame in self._frames():
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != shape or converter is None:
                if converter is not None:
                    for samples in converter.flush():
                        at += len(samples)
                        yield samples
                converter, form = _ToMono(frame.sample_rate), shape
            for silence in self._hole_before(frame, at):
                at += len(silence)
                yield silence
            for samples in converter.feed(frame):
                at += len(samples)
                yield samples
        if converter is not None:
            yield from converter.flush()

    def _hole_before(self, frame: Any, at: int) -> Iterator[Float32Array]:
        """Zeros up to where the frame belongs. A leap past the limit is a broken clock: left out."""
        if frame.pts is None or frame.time_base is None:
            return
        begin_s = (self._container.start_time or 0) / _MICROSECONDS
        missing = round((float(frame.pts * frame.time_base) - begin_s) * SAMPLE_RATE) - at
        if not _GAP_SAMPLES < missing <= self._samples_max - at:
            return
        for first in range(0, missing, _BLOCK_SAMPLES):
            yield np.zeros(min(_BLOCK_SAMPLES, missing - first), np.float32)

    def _frames(self) -> Iterator[Any]:
        """Damaged packets are left out, as players do; a file of nothing else has no sound."""
        damaged = 0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except (av.FFmpegError, ValueError):
                    damaged += 1
                    continue
                yield from frames
        except (av.FFmpegError, ValueError) as error:
            logger.warning("a recording breaks off: %s", type(error).__name__)
        if damaged:
            logger.warning("%d damaged packets of a recording were left out", damaged)


class _ToMono:
    """Frames of one shape become 16 kHz mono float32."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._mixdown = MixDown(rate)
        self._resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)

    def feed(self, frame: av.AudioFrame) -> Iterator[Float32Array]:
        """Raises RequestError 422 for more channels than can be mixed."""
        if frame.layout.nb_channels > 1:
            frame = self._mixed(frame)
        frame.pts = None  # times are kept by the file, not by the resampler
        return self._resampled(frame)

    def flush(self) -> Iterator[Float32Array]:
        return self._resampled(None)

    def _mixed(self, frame: av.AudioFrame) -> av.AudioFrame:
        try:
            samples = self._mixdown.feed(planes_of(frame))
        except FrameError as error:
            raise RequestError("bad_audio", f"the recording cannot be used: {error}", 422) from error
        mixed = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="fltp", layout="mono")
        mixed.sample_rate = self._rate
        return mixed

    def _resampled(self, frame: av.AudioFrame | None) -> Iterator[Float32Array]:
        for made in self._resampler.resample(frame):
            samples = np.nan_to_num(made.to_ndarray()[0], nan=0.0, posinf=1.0, neginf=-1.0)
            if len(samples):
                yield np.clip(samples, -1.0, 1.0).astype(np.float32, copy=False)


def _short(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error))[:120]
