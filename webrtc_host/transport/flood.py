"""The limit of packets of one track, and when its sender is cut off.

Pure. Speech is 50 packets a second, at most 400 (2.5 ms each). After a stall of some seconds the event loop
finds all of them at once. More than both is not speech, and takes time from the other channels.
Invariant: in any time t at most `burst + rate · t` packets are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE
from host_stt_common.rates import Bucket


@dataclass(frozen=True, slots=True)
class FloodConfig:
    packets_per_s: int = 450
    burst_packets: int = 2_000  # 5 s of the shortest packets, or 40 s of usual ones, all at once
    refused_max: int = 1_000  # packets over the limit before the sender is cut off


class PacketBudget:
    def __init__(self, config: FloodConfig | None = None) -> None:
        self._config = config or FloodConfig()
        # Time is in samples, and a packet costs SAMPLE_RATE tokens: with whole numbers nothing is rounded.
        self._bucket = Bucket(self._config.packets_per_s, self._config.burst_packets * SAMPLE_RATE)
        self.refused = 0

    @property
    def is_exhausted(self) -> bool:
        """True when so many packets were over the limit that the sender should be cut off."""
        return self.refused > self._config.refused_max

    def take(self, now_sample: int) -> bool:
        """Count a packet that came. False: discard it."""
        if self._bucket.take(SAMPLE_RATE, now_sample):
            return True
        self.refused += 1
        return False
