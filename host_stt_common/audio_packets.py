"""Packets and frames of a recording: is the last packet complete, and conversion of frames to 16 kHz mono.

`mixdown` mixes several channels, because FFmpeg's own matrix leaves out the bass channel and lets channels of
opposite phase cancel each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from host_stt_common.container_facts import mp3_frame_bytes
from host_stt_common.frames import planes_of
from host_stt_common.mixdown import MixDown

Float32Array = NDArray[np.float32]
SAMPLE_RATE = 16_000
"""Sample rate of the output, Hz."""
_CONSTANT = frozenset({"mp2", "mp2float", "ac3", "eac3"})
"""Codecs whose frames all have the same size."""


class LastPacket:
    """Finds out whether the last packet of a stream is complete."""

    def __init__(self) -> None:
        self._is_damaged = self._is_corrupt = False
        self._head, self._size, self._size_before, self._codec = b"", 0, 0, ""

    def note(self, packet: Any, *, is_damaged: bool) -> None:
        if not packet.size:  # the flush at the end: frames that the decoder still had
            self._is_damaged = self._is_damaged or is_damaged
            return
        self._is_damaged, self._is_corrupt = is_damaged, packet.is_corrupt
        self._head, self._codec = bytes(memoryview(packet)[:4]), packet.stream.codec_context.name
        self._size_before, self._size = self._size, packet.size

    def is_incomplete(self, container: str) -> bool:
        if self._is_damaged:
            return True
        if self._codec.startswith("mp3"):
            return self._size < mp3_frame_bytes(self._head)
        if self._codec in _CONSTANT:
            return 0 < self._size < self._size_before - 2  # at 44.1 kHz some frames have a padding word more
        # A WAV of unknown size ends with a packet that is marked corrupt; `container_facts` decides that
        # case.
        return self._is_corrupt and container != "wav"


class ToMono:
    """Converts frames of one format, layout and rate to 16 kHz mono float32."""

    def __init__(self, rate: int, side: int | None = None) -> None:
        """side: the channel of the frames to take, from 0; None: all, mixed down."""
        self._rate = rate
        self._side = side
        self._mixdown = MixDown(rate)
        self._resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)

    def feed(self, frame: av.AudioFrame) -> Iterator[Float32Array]:
        """Raises FrameError for more channels than can be mixed."""
        if frame.layout.nb_channels > 1:
            frame = self._mixed(frame)
        frame.pts = None  # AudioFile tracks the times; the resampler must not
        return self._resampled(frame)

    def flush(self) -> Iterator[Float32Array]:
        return self._resampled(None)

    def _mixed(self, frame: av.AudioFrame) -> av.AudioFrame:
        planes = planes_of(frame)
        # A frame with fewer channels than the first one: its last channel.
        samples = (
            self._mixdown.feed(planes) if self._side is None else planes[min(self._side, len(planes) - 1)]
        )
        samples = np.ascontiguousarray(samples)
        mixed = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="fltp", layout="mono")
        mixed.sample_rate = self._rate
        return mixed

    def _resampled(self, frame: av.AudioFrame | None) -> Iterator[Float32Array]:
        for made in self._resampler.resample(frame):
            samples = np.nan_to_num(made.to_ndarray()[0], nan=0.0, posinf=1.0, neginf=-1.0)
            if len(samples):
                yield np.clip(samples, -1.0, 1.0).astype(np.float32, copy=False)
