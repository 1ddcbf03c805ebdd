"""Readers of the binary frames of an audio socket: turn each encoding into 16 kHz mono with media time.

This module checks what a frame contains, and has the error texts. Raw samples (cut anywhere, even inside a
sample) and Opus packets are decoded in the event loop (a packet takes 0.05 ms), containers in a thread. Media
time counts the samples of the source.
Invariant: `write` returns when the sink has taken the audio, or, for containers, when there is space for
more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.mixdown import MixDown
from webrtc_host.doors.socket_feed import TICKS_PER_SAMPLE
from webrtc_host.doors.socket_start import AudioStart, Encoding
from webrtc_host.errors import RequestError
from webrtc_host.media.container import StreamDecoder, StreamError
from webrtc_host.media.opus import NOTHING, Codec, DecodeError, g711_table, make_decoder
from webrtc_host.media.opus_toc import ticks_of
from webrtc_host.media.resample import Piece

BAD_PACKETS_MAX = 25  # in a row; a single one is skipped
FULL_SCALE = np.float32(1 / 32768)
_BYTES = {Encoding.S16: 2, Encoding.F32: 4, Encoding.ULAW: 1, Encoding.ALAW: 1}
_G711 = {Encoding.ULAW: Codec.PCMU, Encoding.ALAW: Codec.PCMA}


class PieceSink(Protocol):
    """Takes the decoded audio: a `SocketFeed`, or a buffer (backfill)."""

    async def put(self, piece: Piece, collected_samples: int = 0) -> None:
        """Take a piece; returns when the next one may come.

        collected_samples: the audio behind the piece that came in the same message.
        """
        ...

    def archive_packet(self, timestamp: int, samples: int, payload: bytes) -> None:
        """An Opus packet as it came; called before `put` with the piece that was decoded from it."""
        ...


class AudioReader(Protocol):
    async def write(self, data: bytes) -> None:
        """Take one binary frame. Raises RequestError when it does not fit the parameters."""
        ...

    async def finish(self) -> None:
        """End of the frames: pass on what is still buffered. Raises like `write`."""
        ...

    async def close(self) -> None:
        """Drop what is buffered; afterwards no task or thread of the reader runs."""
        ...


def make_reader(start: AudioStart, feed: PieceSink) -> AudioReader:
    if start.encoding is Encoding.OPUS:
        return OpusReader(feed)
    if start.encoding.is_container:
        return ContainerReader(start.encoding.value, feed)
    return RawReader(start.encoding, start.sample_rate, start.channels, feed)


def sample_bytes(encoding: Encoding) -> int:
    """The length of one raw sample."""
    return _BYTES[encoding]


class RawReader:
    """Raw samples, of several channels interleaved.

    A frame may end anywhere, because pipes and proxies cut anywhere. The rest after the last whole sample of
    all channels waits for the next frame.
    """

    def __init__(self, encoding: Encoding, sample_rate: int, channels: int, feed: PieceSink) -> None:
        self._encoding = encoding
        self._channels = channels
        self._width = sample_bytes(encoding) * channels
        self._rest = b""
        self._mixdown = MixDown(sample_rate)
        self._feed = feed
        self._resampler = None if sample_rate == SAMPLE_RATE else ToSixteen(sample_rate)
        self._count = 0  # samples so far, at 16 kHz

    async def write(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        if not whole:
            return
        interleaved = decode_raw(self._encoding, data[:whole])
        samples = self._mixdown.feed(interleaved.reshape(-1, self._channels).T)
        await self._put(samples if self._resampler is None else self._resampler.feed(samples))

    async def finish(self) -> None:
        if self._resampler is not None:
            await self._put(self._resampler.flush())

    async def close(self) -> None:
        return None

    async def _put(self, samples: Float32Array) -> None:
        at, self._count = self._count, self._count + len(samples)
        await self._feed.put(Piece(at * TICKS_PER_SAMPLE, samples))


class ToSixteen:
    """Mono float32 of one rate to 16 kHz. FFmpeg compensates its delay: sample k is at k / 16000 s."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        self._is_flushed = False

    def feed(self, samples: Float32Array) -> Float32Array:
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate = self._rate
        return self._joined(frame)

    def flush(self) -> Float32Array:
        """The samples that the filter still holds; empty at the second call."""
        if self._is_flushed:
            return NOTHING
        self._is_flushed = True
        return self._joined(None)

    def _joined(self, frame: av.AudioFrame | None) -> Float32Array:
        parts = [out.to_ndarray()[0] for out in self._resampler.resample(frame)]
        if not parts:
            return NOTHING
        samples: Float32Array = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.clip(samples, -1.0, 1.0)


def decode_raw(encoding: Encoding, data: bytes) -> Float32Array:
    """(n,) float32 in [-1, 1]. data: whole samples. Raises RequestError 422 for NaN and infinity."""
    if encoding in _G711:
        samples: Float32Array = g711_table(_G711[encoding])[np.frombuffer(data, np.uint8)]
        return samples
    if encoding is Encoding.S16:
        return np.frombuffer(data, "<i2").astype(np.float32) * FULL_SCALE
    floats = np.frombuffer(data, "<f4")
    if not np.isfinite(floats).all():
        at = int(np.flatnonzero(~np.isfinite(floats))[0])
        raise RequestError(
            "not_finite",
            f"sample {at} of a frame is {floats[at]}; is it really 32-bit float, little-endian?",
            422,
        )
    clipped: Float32Array = np.clip(floats, -1.0, 1.0).astype(np.float32, copy=False)
    return clipped


class OpusReader:
    """One Opus packet per frame. A packet that cannot be decoded becomes a gap of its length."""

    def __init__(self, feed: PieceSink) -> None:
        self._feed = feed
        self._decoder = make_decoder(Codec.OPUS)
        self._ticks = 0
        self._bad = 0

    async def write(self, data: bytes) -> None:
        try:
            length = ticks_of(data)
        except ValueError as error:
            raise RequestError("bad_frame", f"a frame is not an Opus packet: {error}", 400) from error
        at, self._ticks = self._ticks, self._ticks + length
        try:
            samples = self._decoder.decode(data)
        except DecodeError as error:
            self._bad += 1
            if self._bad > BAD_PACKETS_MAX:
                message = f"{self._bad} Opus packets in a row cannot be decoded"
                raise RequestError("bad_audio", message, 415) from error
            return
        self._bad = 0
        self._feed.archive_packet(at, len(samples), data)
        await self._feed.put(Piece(at, samples))

    async def finish(self) -> None:
        return None

    async def close(self) -> None:
        return None


class ContainerReader:
    """WebM, Ogg and the like, cut anywhere. The times in the container are used."""

    def __init__(self, container: str, feed: PieceSink) -> None:
        """container: a key of `media.container.FORMATS`."""
        self._decoder = StreamDecoder(container)
        self._feed = feed
        self._pump = asyncio.create_task(self._run(), name=f"feed from {container}")

    async def write(self, data: bytes) -> None:
        await _named(self._decoder.write(data))

    async def finish(self) -> None:
        self._decoder.end_input()
        await _named(asyncio.shield(self._pump))

    async def close(self) -> None:
        self._pump.cancel()
        await asyncio.wait({self._pump})
        if not self._pump.cancelled():
            self._pump.exception()  # `write` or `finish` has raised it already
        await self._decoder.close()

    async def _run(self) -> None:
        while pieces := await self._decoder.pieces():
            behind = sum(len(piece.samples) for piece in pieces)
            for piece in pieces:
                behind -= len(piece.samples)
                await self._feed.put(piece, behind)


async def _named(work: Awaitable[None]) -> None:
    """Await `work`; an error of the stream becomes a RequestError."""
    try:
        await work
    except StreamError as error:
        raise RequestError("bad_audio", str(error), 415) from error
