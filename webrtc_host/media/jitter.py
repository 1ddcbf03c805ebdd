"""The jitter buffer: puts RTP packets into order, and decides when a missing packet counts as lost.

It unrolls sequence numbers (16 bits), decides how long to wait for a missing packet, and decides which sender
is the present one. RTP time belongs to `timeline.py`, repair of gaps to `rtp.py`. Pure: times are sample
indices that the caller passes.
Packets that come in order pass without delay; only a gap makes the packets behind it wait.
Invariants: each packet is released once, or counted as late, duplicate or stray; released numbers only rise.
Explanation: docs/explanation/loss.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webrtc_host.seams import SAMPLES_PER_MS

SEQUENCES = 1 << 16
TIMESTAMPS = 1 << 32


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """The fields of an RTP packet that are used here. arrival_sample: arrival, on the session's timeline."""

    sequence: int  # 16 bits
    timestamp: int  # 32 bits
    ssrc: int
    payload: bytes
    arrival_sample: int


@dataclass(frozen=True, slots=True)
class Frame:
    """The next packet in order, and what was missing before it."""

    packet: RtpPacket
    lost_before: int = 0  # packets missing before this one; 0 with a gap in RTP time: DTX
    is_restart: bool = False  # another sender: its RTP time does not continue the time before


@dataclass(frozen=True, slots=True)
class JitterConfig:
    """Limits of the wait for missing packets and of what counts as another stream. Samples at 16 kHz."""

    # A lost word costs more than a delay of 0.1 s, so the wait is generous. Only gaps cause a wait.
    wait_min_samples: int = 120 * SAMPLES_PER_MS
    wait_first_samples: int = 250 * SAMPLES_PER_MS  # the wait before any lateness was measured
    wait_max_samples: int = 500 * SAMPLES_PER_MS
    wait_margin_samples: int = 20 * SAMPLES_PER_MS  # added to 5/4 of the worst lateness measured
    memory_samples: int = 30_000 * SAMPLES_PER_MS  # a measured lateness counts for one to two such spans
    packets_max: int = 400  # held at a time: 1 s of packets of 2.5 ms, the shortest that Opus has
    jump_packets: int = 3_000  # a longer step forward may be another stream (MAX_DROPOUT of RFC 3550, A.1)
    back_packets: int = 500  # a longer step back may be one too
    near_packets: int = 100  # the second packet of a new stream is at most this far (MAX_MISORDER there)
    candidate_samples: int = 2_000 * SAMPLES_PER_MS  # and comes at most this much later
    remembered_packets: int = 512  # lost packets remembered, to count one that comes late as no duplicate


@dataclass(slots=True)
class JitterStatistics:
    """Packets; received = released + held + late + duplicates + strays."""

    received: int = 0
    released: int = 0
    lost: int = 0  # not waited for any longer; those that came after all are also counted in `late`
    late: int = 0  # came after they were counted as lost
    duplicates: int = 0
    strays: int = 0  # a single packet of another stream
    reordered: int = 0
    restarts: int = 0


class JitterBuffer:
    """The buffer of one RTP stream. It follows one sender at a time; each has its own sequence numbers."""

    def __init__(self, config: JitterConfig | None = None, clock_rate: int = 48_000) -> None:
        """clock_rate: ticks of RTP time per second; used for the jitter figure only."""
        self._config = config or JitterConfig()
        self._ticks_per_sample = clock_rate / (1000 * SAMPLES_PER_MS)
        self._ssrc: int | None = None
        self._highest = 0  # unrolled sequence number of the newest packet
        # First number of this stream; None while its first packets are put in order
        self._first: int | None = None
        self._next = 0  # sequence number to release next
        self._held: dict[int, RtpPacket] = {}
        # Lost: unrolled sequence -> start of its gap (arrival); oldest first
        self._lost_at: dict[int, int] = {}
        self._candidate: RtpPacket | None = None
        self._old_stream: tuple[int, int, int] | None = None  # SSRC, newest number, end of grace
        self._is_restart = False
        self._lost_at_restart = 0
        worst = (self._config.wait_first_samples - self._config.wait_margin_samples) * 4 // 5
        self._lateness = _RecentMaximum(self._config.memory_samples, worst)
        self._newest_arrival = 0
        self._previous: RtpPacket | None = None
        self._jitter = 0.0  # samples
        self.statistics = JitterStatistics()

    @property
    def wait_samples(self) -> int:
        """How long a missing packet is waited for, as measured now."""
        config = self._config
        self._lateness.on_time(self._newest_arrival)
        wanted = self._lateness.value * 5 // 4 + config.wait_margin_samples
        return max(config.wait_min_samples, min(wanted, config.wait_max_samples))

    @property
    def remembered(self) -> int:
        """Sequence numbers that count as lost and could still arrive late."""
        return len(self._lost_at)

    @property
    def held(self) -> int:
        """Packets that wait in the buffer."""
        return len(self._held) + (self._candidate is not None)

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter as RFC 3550 defines it (6.4.1)."""
        return self._jitter / SAMPLES_PER_MS

    def feed(self, packet: RtpPacket) -> list[Frame]:
        """Take a packet; returns the packets that can be released now."""
        self.statistics.received += 1
        self._newest_arrival = max(self._newest_arrival, packet.arrival_sample)
        if packet.ssrc != self._ssrc:
            return self._on_unexpected(packet)
        step = _step(packet.sequence, self._highest, SEQUENCES)
        if step > self._config.jump_packets or step < -self._config.back_packets:
            return self._on_unexpected(packet)
        self._measure(packet)
        return self._accept(self._highest + step, packet)

    def on_tick(self, now_sample: int) -> list[Frame]:
        """Let time pass: count packets as lost that were waited for long enough."""
        self._newest_arrival = max(self._newest_arrival, now_sample)
        return self._drain() if self._held else []

    def flush(self) -> list[Frame]:
        """End of the stream: release all packets that wait."""
        if self._candidate is not None:
            self._candidate = None
            self.statistics.strays += 1
        return list(self._release_all())

    def _accept(self, sequence: int, packet: RtpPacket) -> list[Frame]:
        """Take a packet of the present stream, with its unrolled number."""
        if self._first is not None and sequence < self._next:
            self._count_late(sequence, packet)
            return []
        if sequence in self._held:
            self.statistics.duplicates += 1
            return []
        if sequence < self._highest:
            self.statistics.reordered += 1
            # The gap opened when the first packet behind it came; the lateness is measured from there.
            opened = min((p.arrival_sample for s, p in self._held.items() if s > sequence), default=None)
            if opened is not None:
                self._lateness.add(packet.arrival_sample - opened, packet.arrival_sample)
        self._highest = max(self._highest, sequence)
        if sequence == self._next and not self._held and self._first is not None:
            return [self._release(packet, 0)]  # the usual case: no gap, no wait
        self._held[sequence] = packet
        return self._drain()

    def _count_late(self, sequence: int, packet: RtpPacket) -> None:
        opened = self._lost_at.pop(sequence, None)
        if opened is not None:  # the wait was too short for this packet, so the next waits are longer
            self._lateness.add(packet.arrival_sample - opened, packet.arrival_sample)
        if opened is not None or (self._first is not None and sequence < self._first):
            self.statistics.late += 1
        else:
            self.statistics.duplicates += 1

    def _on_unexpected(self, packet: RtpPacket) -> list[Frame]:
        """Take a packet that does not continue the present stream.

        One such packet can be damaged or stray. A second one that continues it makes it the present stream.
        """
        if self._ssrc is None:
            return self._begin([packet])
        if self._is_from_old_stream(packet):
            self.statistics.late += 1
            return []
        known, self._candidate = self._candidate, packet
        if known is None:
            return []
        step = abs(_step(packet.sequence, known.sequence, SEQUENCES))
        waited = packet.arrival_sample - known.arrival_sample
        is_near = packet.ssrc == known.ssrc and step <= self._config.near_packets
        if is_near and step == 0:  # the same packet twice is not a second packet of a new stream
            self.statistics.duplicates += 1
            self._candidate = known
            return []
        if not is_near or waited > self._config.candidate_samples:
            self.statistics.strays += 1
            return []
        self._candidate = None
        return [*self._release_all(), *self._begin([known, packet])]

    def _is_from_old_stream(self, packet: RtpPacket) -> bool:
        """True for a delayed packet of the stream that the present one replaced."""
        if self._old_stream is None:
            return False
        ssrc, newest, until = self._old_stream
        is_near = abs(_step(packet.sequence, newest, SEQUENCES)) <= self._config.near_packets
        return packet.ssrc == ssrc and is_near and packet.arrival_sample <= until

    def _begin(self, packets: list[RtpPacket]) -> list[Frame]:
        """Start a new stream with `packets`. They wait at first too, as they may be out of order."""
        if self._ssrc is not None:
            until = packets[-1].arrival_sample + self._config.candidate_samples
            self._old_stream = (self._ssrc, self._highest % SEQUENCES, until)
            self._is_restart = packets[0].ssrc != self._ssrc
            # Between two streams the lost packets cannot be counted; 1 means that some audio is missing.
            self._lost_at_restart = 1
            self.statistics.restarts += 1
        self._lateness.on_time(self._newest_arrival)
        self._ssrc = packets[0].ssrc
        self._highest, self._first, self._previous = packets[0].sequence, None, None
        self._lost_at.clear()
        frames: list[Frame] = []
        for packet in packets:
            self._measure(packet)
            step = _step(packet.sequence, self._highest, SEQUENCES)
            frames += self._accept(self._highest + step, packet)
        return frames

    def _drain(self) -> list[Frame]:
        """Release what is in order; count packets as lost that were waited for long enough."""
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
                frames.append(self._skip_gap())
        return frames

    def _must_wait(self) -> bool:
        # The wait of a gap starts when the first packet behind it arrives, so each gap has its own wait. The
        # number of held packets is bounded, however long the wait is.
        opened = min(packet.arrival_sample for packet in self._held.values())
        is_young = self._newest_arrival - opened < self.wait_samples
        return is_young and len(self._held) < self._config.packets_max

    def _release_all(self) -> Iterator[Frame]:
        if self._first is None and self._held:
            self._first = self._next = min(self._held)
        while self._held:
            packet = self._held.pop(self._next, None)
            yield self._skip_gap() if packet is None else self._release(packet, 0)

    def _skip_gap(self) -> Frame:
        """Count the packets before the first held one as lost, and release that one."""
        opened = min(packet.arrival_sample for packet in self._held.values())
        first = min(self._held)
        lost = first - self._next
        self.statistics.lost += lost
        # A large jump would make this loop long: only the last packets before the gap's end are remembered.
        for sequence in range(max(self._next, first - self._config.remembered_packets), first):
            self._lost_at[sequence] = opened
        while len(self._lost_at) > self._config.remembered_packets:
            del self._lost_at[next(iter(self._lost_at))]
        self._next = first
        return self._release(self._held.pop(first), lost)

    def _release(self, packet: RtpPacket, lost: int) -> Frame:
        self._next += 1
        self.statistics.released += 1
        frame = Frame(packet, lost + self._lost_at_restart, self._is_restart)
        self._lost_at_restart, self._is_restart = 0, False
        return frame

    def _measure(self, packet: RtpPacket) -> None:
        previous, self._previous = self._previous, packet
        if previous is None:
            return
        sent = _step(packet.timestamp, previous.timestamp, TIMESTAMPS) / self._ticks_per_sample
        difference = abs(packet.arrival_sample - previous.arrival_sample - sent)
        if difference < 16_000:  # 1 s or more is a pause or a restart, not jitter
            self._jitter += (difference - self._jitter) / 16


def _step(number: int, before: int, size: int) -> int:
    """The distance from `before` to `number` on a circle of `size`, the shorter way round."""
    step = (number - before) % size
    return step if step < size // 2 else step - size


class _RecentMaximum:
    """The largest of the values of the last one to two spans of time, from two numbers instead of a list."""

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
