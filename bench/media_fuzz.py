"""Send mutated RTP packets through everything from the datagram parser to the channel; each must only be
dropped.

The packets are what a client could send inside its encryption: valid ones, mixed with ones whose bytes were
flipped, cut, extended or replaced. Deterministic for a seed.
"""

from __future__ import annotations

import asyncio
import random
import types
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import psutil
from aiortc.rtcdtlstransport import RTCDtlsTransport, RtpRouter, State
from aiortc.rtp import HeaderExtensionsMap, RtpPacket

from tests.support.peers import Rig
from tests.support.rtp import a_receiver, hum_packets
from webrtc_host.config import MediaConfig
from webrtc_host.seams import Block
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.transport.direct_path import DirectPath, RejectedPacketError
from webrtc_host.transport.reception import Counts
from webrtc_host.transport.tap import guard
from webrtc_host.transport.track import TrackFeed

WARM_UP = 2_000  # packets before memory is measured
MUTATED = 0.5  # share of mutated packets


@dataclass(slots=True)
class Report:
    sent: int = 0
    escaped: int = 0  # exceptions that reached aiortc's loop
    direct: int = 0  # received by the direct path; packets of new sources went through aiortc
    refused: int = 0  # by the direct path, because they are not RTP
    guarded: int = 0  # exceptions in aiortc's parser that the guard caught
    blocks: int = 0
    overlaps: int = 0
    seconds: float = 0.0  # of audio passed to the pipeline
    growth_mb: float = 0.0
    over: str = ""  # why the track ended, if it did
    counts: Counts | None = None


class Listener:
    """A pipeline that checks its blocks and stores none."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.blocks = self.overlaps = self.samples = 0
        self._end = 0

    def start(self) -> None: ...

    def feed(self, block: Block) -> None:
        self.blocks += 1
        self.samples += len(block.samples)
        self.overlaps += block.start_sample < self._end
        self._end = block.end_sample

    async def close(self) -> None: ...

    def set_language(self, language: str) -> None: ...

    async def force_end(self) -> None: ...

    @property
    def pause_ms(self) -> int:
        return 0


async def fuzz(packets: int, seed: int) -> Report:
    """Send this many packets, about half of them mutated."""
    rng, report, clock = random.Random(seed), Report(), SimpleNamespace(now_s=1000.0)
    rig = Rig(clock=lambda: clock.now_s)
    listeners: list[Listener] = []

    def listen(channel: Channel) -> Any:
        listeners.append(Listener(channel))
        return listeners[-1]

    rig.registry._make_pipeline = listen

    async def end(reason: str) -> int:
        return 0

    connection = rig.registry.connect(rig.registry.current(), DoorKind.WEBRTC, [ChannelSpec()], end)
    receiver, transport = a_receiver(), _transport()
    path = DirectPath(transport)
    transport._rtp_router.register_receiver(receiver, [5], [0, 8, 9, 96])
    reasons: list[str] = []
    feed = TrackFeed(receiver, connection.channels[0], MediaConfig(), lambda _, why: reasons.append(why))
    feed.start()
    process, before = psutil.Process(), 0
    payloads = hum_packets(200)
    for number in range(packets):
        clock.now_s += rng.choice((0.0, 0.02, 0.02, 0.02, 0.04))
        data = _packet(number, payloads[number % len(payloads)])
        if rng.random() < MUTATED:
            data = mutated(data, rng)
        try:
            if path.take(data):
                report.direct += 1
            else:
                await transport._handle_rtp_data(data, arrival_time_ms=0)
        except RejectedPacketError:
            report.refused += 1
        except Exception:
            report.escaped += 1
        if number % 12 == 0:
            feed.on_tick()
        if number == min(WARM_UP, packets // 2):
            before = process.memory_info().rss
        if number % 500 == 0:
            await asyncio.sleep(0)
    report.sent, report.counts = packets, feed.counts()
    report.growth_mb = (process.memory_info().rss - before) / 1e6
    await feed.stop()
    report.guarded = transport._handle_rtp_data.failed
    report.over = reasons[0] if reasons else ""
    report.blocks = sum(one.blocks for one in listeners)
    report.overlaps = sum(one.overlaps for one in listeners)
    report.seconds = sum(one.samples for one in listeners) / 16_000
    return report


def _transport() -> Any:
    """aiortc's own parsing and routing of a decrypted datagram, with our guard."""
    transport: Any = SimpleNamespace(
        _state=State.CONNECTED,
        _rx_srtp=SimpleNamespace(unprotect=lambda data: data),
        _RTCDtlsTransport__rx_bytes=0,
        _RTCDtlsTransport__rx_packets=0,
        _rtp_router=RtpRouter(),
        _rtp_header_extensions_map=HeaderExtensionsMap(),
        _RTCDtlsTransport__log_debug=lambda *_: None,
    )
    transport._handle_rtp_data = types.MethodType(RTCDtlsTransport._handle_rtp_data, transport)
    transport._handle_rtcp_data = types.MethodType(RTCDtlsTransport._handle_rtcp_data, transport)
    guard(transport)
    return transport


def _packet(number: int, payload: bytes) -> bytes:
    packet = RtpPacket(
        payload_type=96,
        sequence_number=number % 2**16,
        timestamp=number * 960 % 2**32,
        ssrc=5,
        payload=payload,
    )
    return packet.serialize(HeaderExtensionsMap())


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to three changes, as a broken or hostile sender could make them."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice((_flip, _cut, _grow, _replace, _header, _number))(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 2, 8))):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _grow(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.choice((1, 20, 1_200)))


def _replace(data: bytes, rng: random.Random) -> bytes:
    """Replace the payload with random bytes."""
    return data[:12] + rng.randbytes(rng.randrange(120))


def _header(data: bytes, rng: random.Random) -> bytes:
    """Change version, padding, extension, contributors and payload type."""
    if len(data) < 2:
        return data
    return bytes([rng.choice((0x80, 0x90, 0xA0, 0x8F, 0xB3, 0xC0, 0x40)), rng.randrange(256)]) + data[2:]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Change sequence, time or source by a small, a large or the largest amount."""
    if len(data) < 12:
        return data
    out = bytearray(data)
    start, size = rng.choice(((2, 2), (4, 4), (8, 4)))
    value = int.from_bytes(out[start : start + size], "big")
    value += rng.choice((1, -1, 7, -7, 960, -960, 40_000, 2**31, rng.getrandbits(32)))
    out[start : start + size] = (value % 2 ** (8 * size)).to_bytes(size, "big")
    return bytes(out)
