"""Unread speech: what the windows of one utterance say was spoken and has no words, window over window.

Pure. Where two windows overlap, speech is read when either of them read it. Times are samples of the
channel's timeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from host_stt.contract import Unread, UnreadReason

Stretch = tuple[int, int, UnreadReason | None]
"""(first sample, end, why it has no words; None: it was read)."""


@dataclass(frozen=True, slots=True)
class _Reading:
    start_sample: int
    end_sample: int
    unread: tuple[Unread, ...]

    def reason_at(self, sample: int) -> UnreadReason | None:
        return next((u.reason for u in self.unread if u.start_sample <= sample < u.end_sample), None)


class UnreadSpeech:
    """One utterance's."""

    def __init__(self) -> None:
        self._readings: list[_Reading] = []

    def read(self, start_sample: int, end_sample: int, unread: Sequence[Unread]) -> None:
        """A window was read, but for `unread`."""
        self._readings.append(_Reading(start_sample, end_sample, tuple(unread)))

    def split(self, start_sample: int, end_sample: int) -> list[Stretch]:
        """[start_sample, end_sample) in stretches that were read and that were not, in order."""
        return list(_joined(self._pieces(start_sample, end_sample))) if start_sample < end_sample else []

    def forget(self, before_sample: int) -> None:
        """Nobody asks for time before this any more."""
        self._readings = [r for r in self._readings if r.end_sample > before_sample]

    def _pieces(self, start: int, end: int) -> Iterator[Stretch]:
        bounds = {start, end}
        for reading in self._readings:
            bounds |= {reading.start_sample, reading.end_sample}
            for u in reading.unread:
                bounds |= {u.start_sample, u.end_sample}
        for a, b in pairwise(sorted(bound for bound in bounds if start <= bound <= end)):
            reasons = [r.reason_at(a) for r in self._readings if r.start_sample <= a < r.end_sample]
            is_unread = bool(reasons) and None not in reasons
            yield a, b, reasons[0] if is_unread else None


def split_window(start_sample: int, end_sample: int, unread: Sequence[Unread]) -> list[Stretch]:
    """The same for a window that overlaps no other."""
    speech = UnreadSpeech()
    speech.read(start_sample, end_sample, unread)
    return speech.split(start_sample, end_sample)


def _joined(pieces: Iterator[Stretch]) -> Iterator[Stretch]:
    before: Stretch | None = None
    for piece in pieces:
        if before is not None and before[2] == piece[2]:
            before = (before[0], piece[1], piece[2])
            continue
        if before is not None:
            yield before
        before = piece
    if before is not None:
        yield before
