"""Finds the speech of one utterance that no window has words for (the holes), over overlapping windows.

Pure. Where two windows overlap, speech counts as transcribed when one of them has words for it. Times are
samples of the channel's timeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from host_stt.contract import Unread, UnreadReason

Stretch = tuple[int, int, UnreadReason | None]
"""(first sample, end, why it has no words; None: it has words)."""


@dataclass(frozen=True, slots=True)
class _Result:
    start_sample: int
    end_sample: int
    unread: tuple[Unread, ...]

    def reason_at(self, sample: int) -> UnreadReason | None:
        return next((u.reason for u in self.unread if u.start_sample <= sample < u.end_sample), None)


class UnreadSpeech:
    """The speech without words of one utterance."""

    def __init__(self) -> None:
        self._results: list[_Result] = []

    def read(self, start_sample: int, end_sample: int, unread: Sequence[Unread]) -> None:
        """Add the result of a window: it has words for everything but `unread`."""
        self._results.append(_Result(start_sample, end_sample, tuple(unread)))

    def split(self, start_sample: int, end_sample: int) -> list[Stretch]:
        """[start_sample, end_sample) as stretches with words and without words, in order."""
        return list(_joined(self._pieces(start_sample, end_sample))) if start_sample < end_sample else []

    def forget(self, before_sample: int) -> None:
        """Drop windows that end before this sample: `split` is not called for that time any more."""
        self._results = [r for r in self._results if r.end_sample > before_sample]

    def _pieces(self, start: int, end: int) -> Iterator[Stretch]:
        bounds = {start, end}
        for result in self._results:
            bounds |= {result.start_sample, result.end_sample}
            for u in result.unread:
                bounds |= {u.start_sample, u.end_sample}
        for a, b in pairwise(sorted(bound for bound in bounds if start <= bound <= end)):
            reasons = [r.reason_at(a) for r in self._results if r.start_sample <= a < r.end_sample]
            is_unread = bool(reasons) and None not in reasons
            yield a, b, reasons[0] if is_unread else None


def split_window(start_sample: int, end_sample: int, unread: Sequence[Unread]) -> list[Stretch]:
    """Like `UnreadSpeech.split`, for one window that overlaps no other."""
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
