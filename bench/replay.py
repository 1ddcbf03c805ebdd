"""Send the same arrivals through our media path and through aiortc's: loss, delay and position of the audio.

aiortc's path uses its own classes like `RTCRtpReceiver`: JitterBuffer, TimestampMapper and, if audio is
needed, OpusDecoder. A position is the frame's `pts`, which aiortc tells its users to rely on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiortc.codecs.opus import OpusDecoder as StockDecoder
from aiortc.jitterbuffer import JitterBuffer as StockBuffer
from aiortc.rtcrtpreceiver import TimestampMapper
from aiortc.rtp import RtpPacket as StockPacket

from bench.network import PACKET_S, Arrival, Network, Sent, carry, send
from host_stt.contract import Float32Array
from webrtc_host.media.opus import Codec
from webrtc_host.media.rtp import RtpStream
from webrtc_host.media.timeline import PacketBlock
from webrtc_host.seams import Block

TICK_S = 0.25  # the interval of `transport/peer.py`
RATE = 16_000
TARGET_S = 0.2
"""Delay that the receiver may add while it waits for missing packets; it must return below this."""
EDGE = 30  # packets at the end that may still be in the receiver


@dataclass(slots=True)
class Outcome:
    """The results. Shares are of the sent audio; times are in milliseconds."""

    lost: float = 0.0  # neither decoded from a packet nor from a copy of one
    error_ms: float = 0.0  # largest error of a packet's position, relative to the first packet
    lag_p50_ms: float = 0.0  # what the receiver adds to the network's delay
    lag_p95_ms: float = 0.0
    above_target_s: float = 0.0  # longest stretch with more than TARGET_S added
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Heard:
    """One decoded packet: when, and at which position."""

    number: int
    out_s: float
    place: int


def compare(payloads: Sequence[bytes], network: Network, seed: int) -> tuple[float, Outcome, Outcome]:
    """(share of packets lost in the network, our outcome, aiortc's outcome)."""
    sent = send(payloads, network)
    arrivals, _ = carry(sent, network, seed)
    ours, blocks, repaired = through_ours(arrivals)
    first = _outcome(sent, arrivals, ours, repaired)
    first.blocks = blocks
    stock = list(through_stock(arrivals))
    counted, arrived = _counted(sent), {arrival.sent.number for arrival in arrivals}
    return len(counted - arrived) / len(counted), first, _outcome(sent, arrivals, stock, 0)


def through_ours(arrivals: Sequence[Arrival]) -> tuple[list[Heard], list[Block], int]:
    """(decoded packets, all blocks, number of packets recovered from copies)."""
    stream = RtpStream(Codec.OPUS)
    queue = _Numbers(arrivals)
    heard: list[Heard] = []
    blocks: list[Block] = []

    def take(new: list[Block], now_s: float) -> None:
        for block in new:
            blocks.append(block)
            if isinstance(block, PacketBlock) and block.packet is not None:
                heard.append(Heard(queue.of(block.packet.payload), now_s, block.start_sample))

    for at, arrival in _with_ticks(arrivals):
        if arrival is None:
            take(stream.on_tick(round(at * RATE)), at)
        else:
            take(stream.feed(arrival.packet()), at)
    take(stream.flush(), arrivals[-1].arrival_s)
    return heard, blocks, stream.repairs.repaired


def through_stock(arrivals: Sequence[Arrival], decoder: StockDecoder | None = None) -> Iterator[Heard]:
    """The frames like `RTCRtpReceiver._handle_rtp_packet` and its decoder thread handle them."""
    for heard, _ in stock_frames(arrivals, decoder):
        yield heard


def stock_frames(
    arrivals: Sequence[Arrival], decoder: StockDecoder | None
) -> Iterator[tuple[Heard, Float32Array]]:
    buffer, mapper = StockBuffer(capacity=16, prefetch=4), TimestampMapper()
    numbers = {arrival.sent.timestamp: arrival.sent.number for arrival in arrivals}
    nothing = np.zeros(0, np.float32)
    for arrival in arrivals:
        sent = arrival.sent
        packet: Any = StockPacket(
            payload_type=96, sequence_number=sent.sequence, timestamp=sent.timestamp, ssrc=sent.ssrc
        )
        packet._data = sent.payload
        _, frame = buffer.add(packet)
        if frame is None:
            continue
        number = numbers[frame.timestamp]
        frame.timestamp = mapper.map(frame.timestamp)
        heard = Heard(number, arrival.arrival_s, frame.timestamp * RATE // 48_000)
        if decoder is None:
            yield heard, nothing
            continue
        for decoded in decoder.decode(frame):
            sound: Any = decoded
            yield heard, sound.to_ndarray().reshape(-1, 2).mean(axis=1).astype(np.float32) / 32768


class _Numbers:
    """Finds the number of a payload. Receivers pass on the same object, in order; equal 1-byte payloads are
    one.
    """

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self._known: dict[int, list[int]] = {}
        for number, payload in sorted({(one.sent.number, id(one.sent.payload)) for one in arrivals}):
            self._known.setdefault(payload, []).append(number)
        self._last = -1

    def of(self, payload: bytes) -> int:
        numbers = self._known[id(payload)]
        self._last = next((number for number in numbers if number > self._last), numbers[-1])
        return self._last


def _with_ticks(arrivals: Sequence[Arrival]) -> Iterator[tuple[float, Arrival | None]]:
    ticks = itertools.count(1)
    tick_s = next(ticks) * TICK_S
    for arrival in arrivals:
        while tick_s <= arrival.arrival_s:
            yield tick_s, None
            tick_s = next(ticks) * TICK_S
        yield arrival.arrival_s, arrival


def _outcome(
    sent: Sequence[Sent], arrivals: Sequence[Arrival], heard: Sequence[Heard], repaired: int
) -> Outcome:
    counted = _counted(sent)
    got = len({h.number for h in heard} & counted) + repaired
    lag, above = _lag(arrivals, heard)
    return Outcome(
        lost=max(0.0, 1 - got / len(counted)),
        error_ms=_error(sent, heard),
        lag_p50_ms=1000 * float(np.quantile(lag, 0.5)),
        lag_p95_ms=1000 * float(np.quantile(lag, 0.95)),
        above_target_s=above,
    )


def _counted(sent: Sequence[Sent]) -> set[int]:
    return {one.number for one in sent if one.number < sent[-1].number - EDGE}


def _error(sent: Sequence[Sent], heard: Sequence[Heard]) -> float:
    """The largest change of the position error; the first packet is the reference."""
    truth = {one.number: one.true_sample for one in sent}
    offsets = [h.place - truth[h.number] for h in heard]
    return max(abs(offset - offsets[0]) for offset in offsets) * 1000 / RATE


def _lag(arrivals: Sequence[Arrival], heard: Sequence[Heard]) -> tuple[np.ndarray[Any, Any], float]:
    """Every 10 ms: how much older the newest decoded audio is than the newest received audio."""
    step = 0.01
    end = arrivals[-1].arrival_s - EDGE * PACKET_S
    times = np.arange(1.0, end, step)
    newest_in = _newest(times, [(a.arrival_s, a.sent.number) for a in arrivals])
    newest_out = _newest(times, [(h.out_s, h.number) for h in heard])
    lag = np.maximum(0.0, (newest_in - newest_out) * PACKET_S)
    longest = run = 0
    for is_above in lag > TARGET_S:
        run = run + 1 if is_above else 0
        longest = max(longest, run)
    return lag, longest * step


def _newest(times: np.ndarray[Any, Any], events: list[tuple[float, int]]) -> np.ndarray[Any, Any]:
    """The highest number seen until each time."""
    events.sort()
    at = np.array([time for time, _ in events])
    best = np.maximum.accumulate(np.array([number for _, number in events]))
    index = np.searchsorted(at, times, side="right") - 1
    return np.where(index >= 0, best[np.maximum(index, 0)], 0).astype(np.float64)
