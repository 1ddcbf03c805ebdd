"""Simulate a sender and a network: which packet is sent when, and which one arrives when.

Deterministic for its seed. Times are seconds of the sender's clock from its first sample; a packet is sent at
the end of its 20 ms. Loss is random or in bursts (two states, Gilbert's model). Jitter is a separate delay
for each packet, so packets can overtake each other.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from webrtc_host.media.jitter import RtpPacket

PACKET_S = 0.02
PACKET = 320  # samples at 16 kHz
TICKS = 960  # RTP time
TRANSIT_S = 0.02


@dataclass(frozen=True, slots=True)
class Network:
    """loss, reordered, doubled: shares of all packets. burst: mean length of a loss, in packets."""

    name: str
    loss: float = 0.0
    burst: float = 1.0
    jitter_ms: float = 0.0  # the longest extra delay; uniform from 0
    reordered: float = 0.0  # these arrive 30 ms later than the others
    doubled: float = 0.0
    outage_s: float = 0.0  # once, in the middle: all packets of this time are delayed and arrive at once
    pause_s: float = 0.0  # once, in the middle: the source and its RTP time stop for this long
    restart: str = (
        ""  # once, in the middle: "ssrc" (all numbers start again) or "timestamp" (numbers jump back)
    )
    dtx: bool = False  # packets of no more than 2 bytes are sent once in 400 ms
    first_sequence: int = 30_000
    first_timestamp: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Sent:
    """One sent packet. true_sample: index of its first sample as if nothing had been lost or paused."""

    number: int
    true_sample: int
    sent_s: float
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    sent: Sent
    arrival_s: float

    def packet(self) -> RtpPacket:
        sent = self.sent
        at = round(self.arrival_s * 16_000)
        return RtpPacket(sent.sequence, sent.timestamp, sent.ssrc, sent.payload, at)


def send(payloads: Sequence[bytes], network: Network) -> list[Sent]:
    """Number the packets like a real sender."""
    middle, skipped, since = len(payloads) // 2, 0, 0
    sequence, base, ssrc = network.first_sequence, network.first_timestamp, 1
    out: list[Sent] = []
    for number, payload in enumerate(payloads):
        paused_s = network.pause_s if number >= middle else 0.0
        if number == middle and network.restart:
            base -= 90_000_000
            sequence += 20_000
            ssrc = 2 if network.restart == "ssrc" else 1
        since = since + 1 if network.dtx and len(payload) <= 2 else 0
        if since and since % 20:
            skipped += 1
            continue
        out.append(
            Sent(
                number,
                number * PACKET + round(paused_s * 16_000),
                (number + 1) * PACKET_S + paused_s,
                (sequence + number - skipped) % 2**16,
                (base + number * TICKS) % 2**32,
                ssrc,
                payload,
            )
        )
    return out


def carry(sent: Sequence[Sent], network: Network, seed: int) -> tuple[list[Arrival], int]:
    """(the arriving packets in order of arrival, number of lost packets)."""
    rng = random.Random(f"{seed}/{network.name}")
    out: list[Arrival] = []
    lost = 0
    is_bad = False
    enter = network.loss / (network.burst * (1 - network.loss)) if network.loss else 0.0
    middle_s = sent[len(sent) // 2].sent_s
    for one in sent:
        is_bad = rng.random() >= 1 / network.burst if is_bad else rng.random() < enter
        delay_s = TRANSIT_S + rng.uniform(0, network.jitter_ms) / 1000
        delay_s += 0.03 if rng.random() < network.reordered else 0.0
        is_doubled = rng.random() < network.doubled
        if is_bad:
            lost += 1
            continue
        at = one.sent_s + delay_s
        if network.outage_s and middle_s <= at < middle_s + network.outage_s:
            at = middle_s + network.outage_s + (at - middle_s) * 0.02
        out.append(Arrival(one, at))
        if is_doubled:
            out.append(Arrival(one, at + 0.001))
    return sorted(out, key=lambda arrival: arrival.arrival_s), lost


TABLE = (
    Network("clean"),
    Network("loss 1 %", loss=0.01),
    Network("loss 2 %", loss=0.02),
    Network("loss 5 %", loss=0.05),
    Network("loss 10 %", loss=0.10),
    Network("bursts of 4, 1 %", loss=0.01, burst=4),
    Network("bursts of 4, 2 %", loss=0.02, burst=4),
    Network("bursts of 4, 5 %", loss=0.05, burst=4),
    Network("bursts of 4, 10 %", loss=0.10, burst=4),
    Network("jitter 20 ms", jitter_ms=20),
    Network("jitter 60 ms", jitter_ms=60),
    Network("jitter 200 ms", jitter_ms=200),
    Network("jitter 200 ms, loss 5 %", jitter_ms=200, loss=0.05),
    Network("5 % overtaken by 30 ms", reordered=0.05),
    Network("2 % doubled", doubled=0.02),
    Network("silence not sent (DTX)", dtx=True),
    Network("DTX, loss 5 %", dtx=True, loss=0.05),
    Network("source stands still for 3 s", pause_s=3.0),
    Network("held up for 1.5 s, then at once", outage_s=1.5),
    Network("sender starts over, new SSRC", restart="ssrc"),
    Network("sender starts over, same SSRC", restart="timestamp"),
    Network("RTP time and numbers wrap", first_sequence=65_000, first_timestamp=2**32 - 960 * 700),
    Network("all at once", loss=0.05, burst=3, jitter_ms=100, doubled=0.01, pause_s=2.0, restart="ssrc"),
)
