"""Predict how long a call of the model takes, from the calls before it.

Pure. One straight line for each kind of call (interims or finals, window length): a fixed part, and a part
for each row. On two CPU cores nearly all of the time is per row; on a GPU most of it is fixed. So both
parts are learnt. The first values are high, so that the first batches are small.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FIXED_S, PER_ROW_S = 0.030, 0.004
"""Before the first call: 30 ms per call, and 4 ms per row and second of window, as tiny on two cores."""
WEIGHT = 0.25
"""Weight of the newest call: after about four calls a slower machine shows in the prediction."""


@dataclass(slots=True)
class _Line:
    fixed_s: float
    per_row_s: float

    def at(self, rows: int) -> float:
        return self.fixed_s + rows * self.per_row_s

    def learn(self, rows: int, took_s: float) -> None:
        # A normalised gradient step over (1, rows): the error is divided between both parts by their share.
        share = WEIGHT * (took_s - self.at(rows)) / (1 + rows * rows)
        self.fixed_s = max(0.0, self.fixed_s + share)
        self.per_row_s = max(1e-5, self.per_row_s + share * rows)


@dataclass(slots=True)
class CostModel:
    _lines: dict[tuple[bool, int], _Line] = field(default_factory=dict)

    def predict_s(self, is_final: bool, window_s: int, rows: int) -> float:
        return self._line(is_final, window_s).at(rows)

    def observe(self, is_final: bool, window_s: int, rows: int, took_s: float) -> None:
        """Learn from a call that ended."""
        self._line(is_final, window_s).learn(rows, took_s)

    def _line(self, is_final: bool, window_s: int) -> _Line:
        return self._lines.setdefault((is_final, window_s), _Line(FIXED_S, PER_ROW_S * window_s))
