"""Pacing: how long a source that is faster than real time has to wait.

Pure; positions and the present are samples at 16 kHz on the session's timeline. A source may run a little
ahead (its clock may be fast) and may catch up after a stall, but not faster than speech detection takes it.
Invariant: over any time t no more than `burst + catch_up * t` passes, nor anything that lies further ahead
than `lead` and what a fast clock may have gained.
"""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE


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
        self._credit = float(config.burst_samples)
        self._credited_sample = began_sample

    def wait_samples(self, end_sample: int, now_sample: int) -> int:
        """How long from now until what ends there may pass; 0: at once. Ask again after the wait."""
        self._earn(now_sample)
        gained = max(0, now_sample - self._began_sample) * self._config.fast_clock_ppm // 1_000_000
        ahead = end_sample - now_sample - self._config.lead_samples - gained
        owed = -self._credit / self._config.catch_up
        return max(0, ahead, int(owed))

    def pass_on(self, samples: int) -> None:
        """So many have passed."""
        self._credit -= samples

    def _earn(self, now_sample: int) -> None:
        earned = max(0, now_sample - self._credited_sample) * self._config.catch_up
        self._credit = min(float(self._config.burst_samples), self._credit + earned)
        self._credited_sample = max(self._credited_sample, now_sample)
