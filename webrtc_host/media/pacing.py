"""Pacing: how long a source that is faster than real time has to wait.

Pure; positions and the present are samples at 16 kHz on the session's timeline. A source may run a little
ahead (its clock may be fast) and may catch up after a stall, but not faster than speech detection takes it.
Invariant: over any time t no more than `burst + catch_up * t` passes, nor anything that lies further ahead
than `lead` and what a fast clock may have gained.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE
from host_stt_common.rates import Bucket


@dataclass(frozen=True, slots=True)
class PaceConfig:
    lead_samples: int = SAMPLE_RATE // 4  # ahead of the present; more is a file, not a microphone
    fast_clock_ppm: int = 1000  # what the source's clock may gain; good ones stay below 100
    catch_up: int = 8  # times real time, for what waited in the network
    burst_samples: int = 2 * SAMPLE_RATE  # may pass at once


class Pace:
    def __init__(self, config: PaceConfig, began_sample: int) -> None:
        self._config = config
        self._began_sample = began_sample
        self._now_sample = began_sample
        self._credit = Bucket(config.catch_up, config.burst_samples)  # time in samples, a sample is one token

    def wait_samples(self, end_sample: int, now_sample: int) -> int:
        """How long from now until what ends there may pass; 0: at once. Ask again after the wait."""
        self._now_sample = max(self._now_sample, now_sample)
        gained = max(0, now_sample - self._began_sample) * self._config.fast_clock_ppm // 1_000_000
        ahead = end_sample - now_sample - self._config.lead_samples - gained
        return max(0, ahead, int(self._credit.wait_s(0, now_sample)))

    def pass_on(self, samples: int) -> None:
        """So many have passed."""
        self._credit.spend(samples, self._now_sample)
