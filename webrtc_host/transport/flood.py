"""How many packets one track may send, and when its sender is cut off.

Pure. Speech comes as 50 packets a second, at most 400 (2.5 ms each); a loop that was held up for some seconds
finds them all at once. What is beyond both is no speech, and costs the others their time.
Invariant: over any time t at most `burst + rate · t` packets are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE
from host_stt_common.rates import Bucket


@dataclass(frozen=True, slots=True)
class FloodConfig:
    packets_per_s: int = 450
    burst_packets: int = 2_000  # five seconds of the shortest packets, 40 s of usual ones, all at once
    refused_max: int = 1_000  # refused beyond this: the sender is cut off


class PacketBudget:
    def __init__(self, config: FloodConfig | None = None) -> None:
        self._config = config or FloodConfig()
        # Time is in samples and a packet costs SAMPLE_RATE tokens: whole numbers, so nothing is rounded.
        self._bucket = Bucket(self._config.packets_per_s, self._config.burst_packets * SAMPLE_RATE)
        self.refused = 0

    @property
    def is_exhausted(self) -> bool:
        """True when so much was refused that the sender should be cut off."""
        return self.refused > self._config.refused_max

    def take(self, now_sample: int) -> bool:
        """Count a packet that came. False: discard it."""
        if self._bucket.take(SAMPLE_RATE, now_sample):
            return True
        self.refused += 1
        return False
