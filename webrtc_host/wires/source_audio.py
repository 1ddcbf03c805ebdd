"""Readers for the sources of other protocols: any container, and raw audio whose channels stay apart.

`doors.socket_audio` has the readers for one stream; this module adds the ones that our own socket does not
have. Invariant: as there, `write` returns when the sinks have taken the audio.
"""

from __future__ import annotations

from collections.abc import Sequence

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.doors.socket_audio import (
    AudioReader,
    ContainerReader,
    OpusReader,
    PieceSink,
    RawReader,
    ToSixteen,
    decode_raw,
    sample_bytes,
)
from webrtc_host.doors.socket_feed import TICKS_PER_SAMPLE
from webrtc_host.errors import RequestError
from webrtc_host.media.encodings import SNIFF_BYTES, AudioFormat, Container, Encoding, sniffed
from webrtc_host.media.resample import Piece

SLICE_BYTES = 64 * 1024
"""A longer frame is decoded in parts, so that the event loop is never blocked for long."""


def make_source_reader(audio: AudioFormat, sinks: Sequence[PieceSink]) -> AudioReader:
    """The reader of a source with one sink for each stream. Raises RequestError 422 when they do not fit."""
    if len(sinks) > 1:
        return _split_reader(audio, sinks)
    if isinstance(audio.encoding, Container):
        if audio.encoding is Container.ANY:
            return SniffingReader(sinks[0])
        return ContainerReader(audio.encoding.value, sinks[0])
    if audio.encoding is Encoding.OPUS:
        return OpusReader(sinks[0])
    if audio.encoding.is_container:
        return ContainerReader(audio.encoding.value, sinks[0])
    return RawReader(audio.encoding, audio.sample_rate, audio.channels, sinks[0])


def slices(audio: AudioFormat, data: bytes) -> list[bytes]:
    """The parts in which a frame is decoded. An Opus packet is one part."""
    if audio.encoding is Encoding.OPUS or len(data) <= SLICE_BYTES:
        return [data]
    return [data[at : at + SLICE_BYTES] for at in range(0, len(data), SLICE_BYTES)]


class SplitReader:
    """Raw samples of several channels, interleaved: each channel goes to its own sink."""

    def __init__(self, audio: AudioFormat, encoding: Encoding, sinks: Sequence[PieceSink]) -> None:
        self._encoding = encoding
        self._sinks = sinks
        self._width = sample_bytes(encoding) * len(sinks)
        self._rest = b""
        rate = audio.sample_rate
        self._resamplers = [None if rate == SAMPLE_RATE else ToSixteen(rate) for _ in sinks]
        self._count = [0] * len(sinks)  # samples so far, at 16 kHz

    async def write(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        if not whole:
            return
        planes = decode_raw(self._encoding, data[:whole]).reshape(-1, len(self._sinks)).T
        for number, resampler in enumerate(self._resamplers):
            plane = planes[number].copy()
            await self._put(number, plane if resampler is None else resampler.feed(plane))

    async def finish(self) -> None:
        for number, resampler in enumerate(self._resamplers):
            if resampler is not None:
                await self._put(number, resampler.flush())

    async def close(self) -> None:
        return None

    async def _put(self, number: int, samples: Float32Array) -> None:
        at = self._count[number]
        self._count[number] += len(samples)
        await self._sinks[number].put(Piece(at * TICKS_PER_SAMPLE, samples))


class SniffingReader:
    """A container whose first bytes decide which one it is."""

    def __init__(self, sink: PieceSink) -> None:
        self._sink = sink
        self._head = b""
        self._reader: ContainerReader | None = None

    async def write(self, data: bytes) -> None:
        if self._reader is None:
            self._head += data
            if len(self._head) < SNIFF_BYTES:
                return
            self._reader, data = self._found(), self._head
        await self._reader.write(data)

    async def finish(self) -> None:
        if self._reader is None and self._head:
            self._reader = self._found()
            await self._reader.write(self._head)
        if self._reader is not None:
            await self._reader.finish()

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()

    def _found(self) -> ContainerReader:
        container = sniffed(self._head)
        if container is None:
            raise RequestError(
                "bad_audio",
                f"the audio begins with {self._head[:8]!r}, which is no WAV, Ogg, WebM, FLAC, MP3, MP4, AAC "
                "or AMR; for raw samples, name the encoding and the sample rate",
                415,
            )
        return ContainerReader(container.value, self._sink)


def _split_reader(audio: AudioFormat, sinks: Sequence[PieceSink]) -> AudioReader:
    encoding = audio.encoding
    if isinstance(encoding, Container) or not encoding.is_raw:
        raise RequestError(
            "bad_field",
            f"the channels of {encoding.value} cannot be transcribed apart; send raw samples",
            422,
        )
    if audio.channels != len(sinks):
        raise RequestError("bad_field", f"{audio.channels} channels for {len(sinks)} streams", 422)
    return SplitReader(audio, encoding, sinks)
