"""The audio of a job: from an upload in memory, or from the archive, as blocks in order.

This module joins uploaded pieces and decodes archived packets; `recovery.plan` decides which time is read.
Invariant: blocks go forward and never overlap; time without audio has no block.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import SLACK_SAMPLES, ChannelKey
from webrtc_host.media.opus import Codec, DecodeError, Decoder, make_decoder
from webrtc_host.recovery.known import Range
from webrtc_host.seams import SAMPLES_PER_MS, Block, OpusPacket

JOIN_SAMPLES = SAMPLE_RATE // 50
"""Pieces of an upload that are this close are joined: the rounding of their times is not a gap."""
UPLOAD_PIECE_SAMPLES = SAMPLE_RATE
"""Samples of one block. Before each block the job waits for space in the pipeline's queue."""
ARCHIVE_PIECE_SAMPLES = 10 * SAMPLE_RATE
"""Read from the archive at a time, in a thread."""
ROLL_SAMPLES = 80 * SAMPLES_PER_MS
"""Decoded before the wanted time, and dropped: an Opus decoder needs it to settle (RFC 7845)."""


class PastAudio(Protocol):
    """Where a job's audio comes from."""

    def blocks(self, wanted: Sequence[Range]) -> AsyncIterator[Block]:
        """The audio of the wanted ranges that exists, in order. wanted: sorted, not overlapping."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """Uploaded audio without a gap in it. samples: (n,) float32 at 16 kHz."""

    start_sample: int
    samples: Float32Array

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.samples)


def joined(parts: Sequence[tuple[int, Float32Array]]) -> list[Run]:
    """Join pieces (first sample, samples), in the order in which they arrived; one run has no gap in it."""
    runs: list[Run] = []
    held: list[Float32Array] = []
    start = end = 0
    for at, samples in parts:
        if held and abs(at - end) > JOIN_SAMPLES:
            runs.append(Run(start, np.concatenate(held)))
            held = []
        if not held:
            start = end = at
        held.append(samples)
        end += len(samples)
    return [*runs, Run(start, np.concatenate(held))] if held else runs


def pieces(runs: Sequence[Run], wanted: Sequence[Range]) -> Iterator[Block]:
    """The wanted audio of the runs, in order, no sample twice. runs: sorted; they may overlap."""
    floor = 0  # samples before it were returned already: a client may send the same time in two runs
    for run in runs:
        for start, end in wanted:
            at, last = max(start, run.start_sample, floor), min(end, run.end_sample)
            while at < last:
                to = min(at + UPLOAD_PIECE_SAMPLES, last)
                yield Block(at, run.samples[at - run.start_sample : to - run.start_sample])
                floor = at = to


class UploadedAudio:
    """`PastAudio` from what a client sent."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    async def blocks(self, wanted: Sequence[Range]) -> AsyncIterator[Block]:
        for block in pieces(self._runs, wanted):
            yield block


class ArchivedAudio:
    """`PastAudio` of a channel from the archive."""

    def __init__(self, archive: Archive, channel_key: ChannelKey, without: Sequence[Range] = ()) -> None:
        """without: time that another job reads."""
        self._archive, self._channel_key, self._without = archive, channel_key, without

    async def blocks(self, wanted: Sequence[Range]) -> AsyncIterator[Block]:
        decoder = PastDecoder()
        for start, end in wanted:
            for at in range(start, end, ARCHIVE_PIECE_SAMPLES):
                to = min(at + ARCHIVE_PIECE_SAMPLES, end)
                for block in await asyncio.to_thread(
                    decoder.blocks, self._archive, self._channel_key, at, to
                ):
                    if not any(a < block.end_sample and block.start_sample < b for a, b in self._without):
                        yield block


class PastDecoder:
    """Archived packets as blocks. Blocking."""

    def __init__(self) -> None:
        self._decoder: Decoder = make_decoder(Codec.OPUS)
        self._end: int | None = None

    def blocks(
        self, archive: Archive, channel_key: ChannelKey, from_sample: int, to_sample: int
    ) -> list[Block]:
        """The blocks of the packets that begin in [from_sample, to_sample). Calls go forward in time."""
        blocks: list[Block] = []
        for packet in archive.packets(channel_key, max(0, from_sample - ROLL_SAMPLES), to_sample):
            if self._end is not None and packet.start_sample < self._end - SLACK_SAMPLES:
                continue  # archived twice, or decoded with the piece before
            samples = self._decoded(packet)
            start = packet.start_sample
            self._end = packet.end_sample
            if start >= from_sample and len(samples):
                blocks.append(Block(_not_before(blocks, start), samples))
        return blocks

    def _decoded(self, packet: OpusPacket) -> Float32Array:
        # After a gap, the state of the old decoder would be heard at the beginning of the new audio.
        if self._end is not None and abs(packet.start_sample - self._end) > SLACK_SAMPLES:
            self._decoder = make_decoder(Codec.OPUS)
        try:
            return self._decoder.decode(packet.payload)
        except DecodeError:
            return self._decoder.conceal(packet.samples)


def _not_before(blocks: Sequence[Block], start: int) -> int:
    """The start of a block. A gap or an overlap of up to a millisecond is rounding, and is removed."""
    if blocks and start < blocks[-1].end_sample + SLACK_SAMPLES:
        return blocks[-1].end_sample
    return start
