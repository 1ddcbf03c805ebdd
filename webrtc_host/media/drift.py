"""Drift: measures how fast a sender's clock runs compared with the server's.

Of every ten seconds the packet with the smallest delay is kept (a packet can be late for many reasons, but
never early), and a straight line is fitted through these anchors. Pure. Nothing is corrected here: positions
follow RTP time (`timeline.py`), and the figure is only shown.
Invariant: at most `anchors_max` anchors are held, however long the stream is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from host_stt.contract import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Anchor:
    """A sample of the channel, and the moment at which it arrived; both on the session's timeline."""

    sample: int
    arrival_sample: int


@dataclass(frozen=True, slots=True)
class DriftConfig:
    span_samples: int = 10 * SAMPLE_RATE  # one anchor for each span
    anchors_max: int = 360  # an hour of them: at 100 ppm, drift is 0.36 s in an hour
    anchors_min: int = 4  # fewer give no figure: the jitter of two packets would decide the slope


class Drift:
    """The drift of one stream between two breaks of its clock."""

    def __init__(self, config: DriftConfig | None = None) -> None:
        self._config = config or DriftConfig()
        self.anchors: deque[Anchor] = deque(maxlen=self._config.anchors_max)
        self._best: Anchor | None = None  # the anchor of the present span
        self._since = 0

    def feed(self, sample: int, arrival_sample: int) -> None:
        """sample: end of a piece of audio on the timeline; arrival_sample: when that piece came."""
        if self._best is None:
            self._best, self._since = Anchor(sample, arrival_sample), arrival_sample
        elif arrival_sample - self._since >= self._config.span_samples:
            self.anchors.append(self._best)
            self._best, self._since = Anchor(sample, arrival_sample), arrival_sample
        elif arrival_sample - sample < self._best.arrival_sample - self._best.sample:
            self._best = Anchor(sample, arrival_sample)

    def restart(self) -> None:
        """Start again after a pause or with another sender: older anchors say nothing about the new clock."""
        self.anchors.clear()
        self._best = None

    @property
    def ppm(self) -> float | None:
        """Parts per million by which the sender's clock is fast; None while there are too few anchors."""
        if len(self.anchors) < self._config.anchors_min:
            return None
        arrivals = np.array([anchor.arrival_sample for anchor in self.anchors], np.float64)
        leads = np.array([anchor.sample - anchor.arrival_sample for anchor in self.anchors], np.float64)
        arrivals -= arrivals.mean()
        return float(arrivals @ (leads - leads.mean()) / (arrivals @ arrivals) * 1e6)
