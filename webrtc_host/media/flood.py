"""How many packets one track may send: a bucket that fills with time.

Pure. Speech comes as 50 packets a second, at most 400 (2.5 ms each); a loop that was held up for some seconds
finds them all at once. What is beyond both is no speech, and costs the others their time.
Invariant: over any time t at most `burst + rate · t` packets are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class FloodConfig:
    packets_per_s: int = 450
    burst_packets: int = 2_000  # five seconds of the shortest packets, 40 s of usual ones, all at once
    refused_max: int = 1_000  # refused beyond this: the sender is cut off


class PacketBudget:
    def __init__(self, config: FloodConfig | None = None) -> None:
        self._config = config or FloodConfig()
        self._left = self._config.burst_packets * SAMPLE_RATE  # in packets times the sample rate: no floats
        self._full = self._left
        self._last_sample: int | None = None
        self.refused = 0

    @property
    def is_exhausted(self) -> bool:
        """True when so much was refused that the sender should be cut off."""
        return self.refused > self._config.refused_max

    def take(self, now_sample: int) -> bool:
        """One packet came. False: throw it away."""
        if self._last_sample is not None and now_sample > self._last_sample:
            gained = (now_sample - self._last_sample) * self._config.packets_per_s
            self._left = min(self._full, self._left + gained)
        self._last_sample = max(now_sample, self._last_sample or now_sample)
        if self._left < SAMPLE_RATE:
            self.refused += 1
            return False
        self._left -= SAMPLE_RATE
        return True
