"""Pacing: computes how long a source that sends faster than real time has to wait.

A source may be a little ahead (its clock may be fast) and may catch up after a stall, but not faster than
speech detection works. Pure; positions and the present are samples at 16 kHz on the session's timeline.
Invariant: in any time t at most `burst + catch_up * t` samples pass, and no sample passes that lies further
ahead of the present than `lead` plus what a fast clock may have gained.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE
from host_stt_common.rates import Bucket


@dataclass(frozen=True, slots=True)
class PaceConfig:
    lead_samples: int = SAMPLE_RATE // 4  # ahead of the present; a file would be further ahead
    fast_clock_ppm: int = 1000  # what the source's clock may gain; good clocks stay below 100
    catch_up: int = 8  # times real time, for audio that waited in the network
    burst_samples: int = 2 * SAMPLE_RATE  # may pass at once


class Pace:
    def __init__(self, config: PaceConfig, began_sample: int) -> None:
        self._config = config
        self._began_sample = began_sample
        self._now_sample = began_sample
        self._credit = Bucket(config.catch_up, config.burst_samples)  # time in samples, a sample is one token

    def wait_samples(self, end_sample: int, now_sample: int) -> int:
        """How long audio that ends at `end_sample` has to wait; 0: not at all. Call again afterwards."""
        self._now_sample = max(self._now_sample, now_sample)
        gained = max(0, now_sample - self._began_sample) * self._config.fast_clock_ppm // 1_000_000
        ahead = end_sample - now_sample - self._config.lead_samples - gained
        return max(0, ahead, int(self._credit.wait_s(0, now_sample)))

    def pass_on(self, samples: int) -> None:
        """Count `samples` as passed."""
        self._credit.spend(samples, self._now_sample)
