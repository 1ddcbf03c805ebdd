"""The jitter buffer: RTP packets in any order become packets in order, and holes are given up in time.

Pure; times are sample indices passed in. Owns sequence numbers (16 bits, unrolled), how long to wait for a
missing packet, and which stream of packets is the present one. Not RTP time: that is `timeline.py`'s.
Packets in order pass through without delay; only a hole makes those behind it wait.
Invariants: a packet is released once or counted as late, double or stray; released numbers only go up.
How and why: docs/explanation/loss.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webrtc_host.seams import SAMPLES_PER_MS

SEQUENCES = 1 << 16
TIMESTAMPS = 1 << 32


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """What of an RTP packet matters here. arrival_sample: when it came, on the session's timeline."""

    sequence: int  # 16 bits
    timestamp: int  # 32 bits
    ssrc: int
    payload: bytes
    arrival_sample: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The next packet in order."""

    packet: RtpPacket
    lost_before: int = 0  # packets given up between the one before and this; 0 with a hole in RTP time: DTX
    is_restart: bool = False  # another sender: its RTP time has nothing to do with what came before


@dataclass(frozen=True, slots=True)
class JitterConfig:
    """Samples are at 16 kHz."""

    # A lost word costs more than a tenth of a second: the wait is generous, and only holes wait at all.
    wait_min_samples: int = 120 * SAMPLES_PER_MS
    wait_first_samples: int = 250 * SAMPLES_PER_MS  # until the network has shown what it does
    wait_max_samples: int = 500 * SAMPLES_PER_MS
    wait_margin_samples: int = 20 * SAMPLES_PER_MS  # beside 5/4 of the worst lateness seen
    memory_samples: int = 30_000 * SAMPLES_PER_MS  # a lateness is remembered for one to two of these
    packets_max: int = 400  # held at a time: half a second of 2.5 ms packets twice over
    jump_packets: int = 3_000  # a longer step forward is looked at twice (MAX_DROPOUT of RFC 3550, A.1),
    back_packets: int = 500  # so is a longer step back
    near_packets: int = 100  # how close the second packet of a new stream must be (MAX_MISORDER there)
    stranger_samples: int = 2_000 * SAMPLES_PER_MS  # and how soon it must come
    remembered_packets: int = 512  # given up, so that late can be told from double


@dataclass(slots=True)
class JitterStatistics:
    """Packets; received = released + held + late + duplicates + strays."""

    received: int = 0
    released: int = 0
    lost: int = 0  # given up; those of them that came after all are counted in `late` too
    late: int = 0  # came after they were given up
    duplicates: int = 0
    strays: int = 0  # one packet of another stream that did not go on
    reordered: int = 0
    restarts: int = 0


class JitterBuffer:
    """One direction of one RTP session: one sender at a time, each with its own numbers."""

    def __init__(self, config: JitterConfig | None = None, clock_rate: int = 48_000) -> None:
        """clock_rate: ticks of RTP time per second; only the jitter figure needs it."""
        self._config = config or JitterConfig()
        self._ticks_per_sample = clock_rate / (1000 * SAMPLES_PER_MS)
        self._ssrc: int | None = None
        self._highest = 0  # unrolled sequence number of the newest packet
        self._first: int | None = None  # of this stream; None while its first packets are put in order
        self._next = 0  # the one to release next
        self._held: dict[int, RtpPacket] = {}
        self._given_up: dict[int, int] = {}  # unrolled sequence -> when its hole opened; oldest first
        self._stranger: RtpPacket | None = None
        self._old: tuple[int, int, int] | None = None  # SSRC and newest number of the stream before; until
        self._is_restart = False
        self._unknown_lost = 0
        worst = (self._config.wait_first_samples - self._config.wait_margin_samples) * 4 // 5
        self._lateness = _Peak(self._config.memory_samples, worst)
        self._newest_arrival = 0
        self._previous: RtpPacket | None = None
        self._jitter = 0.0  # samples
        self.statistics = JitterStatistics()

    @property
    def wait_samples(self) -> int:
        """How long a hole is waited for now."""
        config = self._config
        self._lateness.on_time(self._newest_arrival)
        wanted = self._lateness.value * 5 // 4 + config.wait_margin_samples
        return max(config.wait_min_samples, min(wanted, config.wait_max_samples))

    @property
    def held(self) -> int:
        """Packets that wait."""
        return len(self._held) + (self._stranger is not None)

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter as RFC 3550 defines it (6.4.1)."""
        return self._jitter / SAMPLES_PER_MS

    def feed(self, packet: RtpPacket) -> list[Frame]:
        """Take a packet; returns what can be released now."""
        self.statistics.received += 1
        self._newest_arrival = max(self._newest_arrival, packet.arrival_sample)
        if packet.ssrc != self._ssrc:
            return self._meet(packet)
        step = _step(packet.sequence, self._highest, SEQUENCES)
        if step > self._config.jump_packets or step < -self._config.back_packets:
            return self._meet(packet)
        self._measure(packet)
        return self._take(self._highest + step, packet)

    def on_tick(self, now_sample: int) -> list[Frame]:
        """Let time pass: give up what was waited for long enough."""
        self._newest_arrival = max(self._newest_arrival, now_sample)
        return self._drain() if self._held else []

    def flush(self) -> list[Frame]:
        """The stream is over: release all that waits."""
        if self._stranger is not None:
            self._stranger = None
            self.statistics.strays += 1
        return list(self._release_all())

    def _take(self, sequence: int, packet: RtpPacket) -> list[Frame]:
        """A packet of the present stream, with its unrolled number."""
        if self._first is not None and sequence < self._next:
            self._count_late(sequence, packet)
            return []
        if sequence in self._held:
            self.statistics.duplicates += 1
            return []
        if sequence < self._highest:
            self.statistics.reordered += 1
            opened = min((p.arrival_sample for s, p in self._held.items() if s > sequence), default=None)
            if opened is not None:
                self._lateness.add(packet.arrival_sample - opened, packet.arrival_sample)
        self._highest = max(self._highest, sequence)
        if sequence == self._next and not self._held and self._first is not None:
            return [self._release(packet, 0)]  # nearly always
        self._held[sequence] = packet
        return self._drain()

    def _count_late(self, sequence: int, packet: RtpPacket) -> None:
        opened = self._given_up.pop(sequence, None)
        if opened is not None:
            self._lateness.add(packet.arrival_sample - opened, packet.arrival_sample)
        if opened is not None or (self._first is not None and sequence < self._first):
            self.statistics.late += 1
        else:
            self.statistics.duplicates += 1

    def _meet(self, packet: RtpPacket) -> list[Frame]:
        """A packet that does not belong: the second one of its kind makes it the present stream."""
        if self._ssrc is None:
            return self._begin([packet])
        if self._is_straggler(packet):
            self.statistics.late += 1
            return []
        known, self._stranger = self._stranger, packet
        if known is None:
            return []
        step = abs(_step(packet.sequence, known.sequence, SEQUENCES))
        waited = packet.arrival_sample - known.arrival_sample
        is_near = packet.ssrc == known.ssrc and step <= self._config.near_packets
        if is_near and step == 0:
            self.statistics.duplicates += 1
            self._stranger = known
            return []
        if not is_near or waited > self._config.stranger_samples:
            self.statistics.strays += 1
            return []
        self._stranger = None
        return [*self._release_all(), *self._begin([known, packet])]

    def _is_straggler(self, packet: RtpPacket) -> bool:
        """True for what is still under way of the stream before the present one."""
        if self._old is None:
            return False
        ssrc, newest, until = self._old
        is_near = abs(_step(packet.sequence, newest, SEQUENCES)) <= self._config.near_packets
        return packet.ssrc == ssrc and is_near and packet.arrival_sample <= until

    def _begin(self, packets: list[RtpPacket]) -> list[Frame]:
        """A new stream starts with these. Its first packets wait a little: they too can be reordered."""
        if self._ssrc is not None:
            until = packets[-1].arrival_sample + self._config.stranger_samples
            self._old = (self._ssrc, self._highest % SEQUENCES, until)
            self._is_restart = packets[0].ssrc != self._ssrc
            self._unknown_lost = 1
            self.statistics.restarts += 1
        self._lateness.on_time(self._newest_arrival)
        self._ssrc = packets[0].ssrc
        self._highest, self._first, self._previous = packets[0].sequence, None, None
        self._given_up.clear()
        frames: list[Frame] = []
        for packet in packets:
            self._measure(packet)
            step = _step(packet.sequence, self._highest, SEQUENCES)
            frames += self._take(self._highest + step, packet)
        return frames

    def _drain(self) -> list[Frame]:
        """Release what is in order; give up holes that were waited for long enough."""
        frames: list[Frame] = []
        if self._first is None:
            if self._must_wait():
                return []
            self._first = self._next = min(self._held)
        while self._held:
            packet = self._held.pop(self._next, None)
            if packet is not None:
                frames.append(self._release(packet, 0))
            elif self._must_wait():
                break
            else:
                frames.append(self._skip_hole())
        return frames

    def _must_wait(self) -> bool:
        opened = min(packet.arrival_sample for packet in self._held.values())
        is_young = self._newest_arrival - opened < self.wait_samples
        return is_young and len(self._held) < self._config.packets_max

    def _release_all(self) -> Iterator[Frame]:
        if self._first is None and self._held:
            self._first = self._next = min(self._held)
        while self._held:
            packet = self._held.pop(self._next, None)
            yield self._skip_hole() if packet is None else self._release(packet, 0)

    def _skip_hole(self) -> Frame:
        """Give up the packets before the first one held, and release that."""
        opened = min(packet.arrival_sample for packet in self._held.values())
        first = min(self._held)
        lost = first - self._next
        self.statistics.lost += lost
        for sequence in range(max(self._next, first - self._config.remembered_packets), first):
            self._given_up[sequence] = opened
        while len(self._given_up) > self._config.remembered_packets:
            del self._given_up[next(iter(self._given_up))]
        self._next = first
        return self._release(self._held.pop(first), lost)

    def _release(self, packet: RtpPacket, lost: int) -> Frame:
        self._next += 1
        self.statistics.released += 1
        frame = Frame(packet, lost + self._unknown_lost, self._is_restart)
        self._unknown_lost, self._is_restart = 0, False
        return frame

    def _measure(self, packet: RtpPacket) -> None:
        previous, self._previous = self._previous, packet
        if previous is None:
            return
        sent = _step(packet.timestamp, previous.timestamp, TIMESTAMPS) / self._ticks_per_sample
        difference = abs(packet.arrival_sample - previous.arrival_sample - sent)
        if difference < 16_000:  # a second and more is a pause or a restart, not jitter
            self._jitter += (difference - self._jitter) / 16


def _step(number: int, before: int, size: int) -> int:
    """From `before` to `number` on a circle of `size`, the shorter way round."""
    step = (number - before) % size
    return step if step < size // 2 else step - size


class _Peak:
    """The largest of the values of the last one to two spans of time."""

    def __init__(self, span_samples: int, first: int) -> None:
        self._span_samples = span_samples
        self._since: int | None = None
        self._older = self._newer = first

    @property
    def value(self) -> int:
        return max(self._older, self._newer)

    def add(self, value: int, now_sample: int) -> None:
        self.on_time(now_sample)
        self._newer = max(self._newer, value)

    def on_time(self, now_sample: int) -> None:
        if self._since is None:
            self._since = now_sample
        elif now_sample - self._since >= self._span_samples:
            is_long_ago = now_sample - self._since >= 2 * self._span_samples
            self._older, self._newer, self._since = 0 if is_long_ago else self._newer, 0, now_sample
