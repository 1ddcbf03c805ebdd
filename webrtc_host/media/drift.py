"""Drift: how fast a sender's clock runs beside ours, read from the promptest packets.

Pure. Takes the lateness of each piece of media, keeps the smallest of every ten seconds (a packet can come
late for many reasons and early for none) and fits a straight line. Owns no correction: sample positions stay
RTP time; what is measured here is only shown.
Invariant: memory is bounded by `anchors_max`, whatever the length of the stream.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from host_stt.contract import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Anchor:
    """This sample of the channel arrived at this moment of the session; both on the session's timeline."""

    sample: int
    arrival_sample: int


@dataclass(frozen=True, slots=True)
class DriftConfig:
    span_samples: int = 10 * SAMPLE_RATE  # one anchor for each
    anchors_max: int = 360  # an hour of them: at 100 ppm the line over an hour is 0.36 s high
    anchors_min: int = 4  # fewer give no figure: the jitter of two packets would be the slope


class Drift:
    """One stream between two breaks of its clock."""

    def __init__(self, config: DriftConfig | None = None) -> None:
        self._config = config or DriftConfig()
        self.anchors: deque[Anchor] = deque(maxlen=self._config.anchors_max)
        self._best: Anchor | None = None  # of the span that runs
        self._since = 0

    def feed(self, sample: int, arrival_sample: int) -> None:
        """sample: end of a piece of media on the timeline; arrival_sample: when it came."""
        if self._best is None:
            self._best, self._since = Anchor(sample, arrival_sample), arrival_sample
        elif arrival_sample - self._since >= self._config.span_samples:
            self.anchors.append(self._best)
            self._best, self._since = Anchor(sample, arrival_sample), arrival_sample
        elif arrival_sample - sample < self._best.arrival_sample - self._best.sample:
            self._best = Anchor(sample, arrival_sample)

    def restart(self) -> None:
        """The clock was set anew (a pause, another sender): what was learnt says nothing any more."""
        self.anchors.clear()
        self._best = None

    @property
    def ppm(self) -> float | None:
        """Parts per million by which the sender's clock runs fast; None while too little was seen."""
        if len(self.anchors) < self._config.anchors_min:
            return None
        arrivals = np.array([anchor.arrival_sample for anchor in self.anchors], np.float64)
        leads = np.array([anchor.sample - anchor.arrival_sample for anchor in self.anchors], np.float64)
        arrivals -= arrivals.mean()
        return float(arrivals @ (leads - leads.mean()) / (arrivals @ arrivals) * 1e6)
