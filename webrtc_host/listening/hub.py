"""The hub: takes the live audio of every channel, and gives it to the desks that listen to the channel.

It holds which desk listens to which channel. A channel that sends Opus costs one table look-up per packet
while no desk listens. Audio without packets (PCM) is encoded here, once for all desks, and only while a desk
listens. `desk_peer.py` sends the packets. Everything runs in the event loop, except the encoding, which has
one thread.
Invariants: `take_packet` and `take_block` never wait and never raise; what waits for the encoder is bounded.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Protocol

from webrtc_host.archive.encoding import RunEncoder
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.seams import SAMPLES_PER_MS, Block, BlockKind, OpusPacket

logger = logging.getLogger(__name__)

BLOCKS_WAITING_MAX = 64
"""Blocks of one channel that wait for the encoder: 6 s of blocks of 100 ms."""


class Desk(Protocol):
    """Takes the packets of the channels that it listens to; `desk_peer.DeskPeer` implements it."""

    def take(self, channel: str, packet: OpusPacket) -> None:
        """Never waits, never raises."""
        ...


@dataclass(slots=True)
class Figures:
    """Counters for `/metrics`, since the start."""

    packets: int = 0  # sent to desks
    bytes: int = 0  # of their payloads
    dropped: int = 0  # not sent: the desk was too slow, or its connection was not up
    encoded_ms: int = 0  # PCM audio encoded for desks
    not_encoded_ms: int = 0  # PCM audio dropped because the encoder was too far behind


class Hub:
    def __init__(self) -> None:
        self.figures = Figures()
        self._desks: dict[ChannelKey, set[Desk]] = {}
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="listening-encoder")

    def of_channel(self, session: str, channel: str) -> ChannelAudio:
        """Where a channel puts its live audio."""
        return ChannelAudio(ChannelKey(session, channel), self, self._encoder)

    def add(self, desk: Desk, key: ChannelKey) -> None:
        """The desk listens to the channel from now on. A second call changes nothing."""
        self._desks.setdefault(key, set()).add(desk)

    def remove(self, desk: Desk, key: ChannelKey) -> None:
        """The desk no longer listens to the channel. A second call changes nothing."""
        desks = self._desks.get(key, set())
        desks.discard(desk)
        if not desks:
            self._desks.pop(key, None)

    def has_desks(self, key: ChannelKey) -> bool:
        return key in self._desks

    def give(self, key: ChannelKey, packet: OpusPacket) -> None:
        for desk in self._desks.get(key, ()):
            desk.take(key.channel, packet)

    def note_sent(self, packet: OpusPacket) -> None:
        self.figures.packets += 1
        self.figures.bytes += len(packet.payload)

    def note_dropped(self, packets: int) -> None:
        self.figures.dropped += packets

    def close(self) -> None:
        """End the encoder's thread. Waits for the block that is being encoded, about 10 ms."""
        self._encoder.shutdown(cancel_futures=True)

    def statistics(self) -> dict[str, float]:
        lines = sum(len(desks) for desks in self._desks.values())
        return {**asdict(self.figures), "channels": len(self._desks), "lines": lines}


class ChannelAudio:
    """The live audio of one channel, as `seams.LiveAudio` defines it."""

    def __init__(self, key: ChannelKey, hub: Hub, encoder: ThreadPoolExecutor) -> None:
        self._key = key
        self._hub = hub
        self._encoder = encoder
        self._run: RunEncoder | None = None  # of the block before; None: the next block begins a run
        self._run_end = 0  # end of the blocks given to the run; the encoder's thread may not have them yet
        self._waiting = 0  # blocks given to the encoder and not encoded yet

    def take_packet(self, packet: OpusPacket) -> None:
        self._hub.give(self._key, packet)

    def take_block(self, block: Block) -> None:
        if block.kind is not BlockKind.AUDIO or not self._hub.has_desks(self._key):
            self._run = None
            return
        if self._waiting >= BLOCKS_WAITING_MAX:
            self._run = None
            self._hub.figures.not_encoded_ms += len(block.samples) // SAMPLES_PER_MS
            return
        if self._run is None or self._run_end != block.start_sample:
            self._run = RunEncoder(block.start_sample)
        self._run_end = block.end_sample
        self._waiting += 1
        loop = asyncio.get_running_loop()
        try:
            encoding = loop.run_in_executor(self._encoder, self._run.feed, block)
        except RuntimeError:  # the server stops: the thread has ended
            self._waiting -= 1
            return
        encoding.add_done_callback(self._give_encoded)

    def _give_encoded(self, encoding: asyncio.Future[list[OpusPacket]]) -> None:
        self._waiting -= 1
        if encoding.cancelled():
            return
        if (error := encoding.exception()) is not None:
            self._run = None
            logger.error("%s: a block was not encoded for desks", self._key.channel, exc_info=error)
            return
        for packet in encoding.result():
            self._hub.figures.encoded_ms += packet.samples // SAMPLES_PER_MS
            self._hub.give(self._key, packet)
