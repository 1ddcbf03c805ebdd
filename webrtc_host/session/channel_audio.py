"""Which time of a channel has audio, and which time is in use. Pure; times are sample indices at 16 kHz.

Two sets of ranges. *Received*: audio arrived, live or by backfill; other time is missing, so a client may
still send it. *Taken*: a connection, an upload or a backfill used this time, so no upload may use it again.
Invariant: a range that is claimed for a backfill is in both sets, so only one caller gets it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from webrtc_host.media.ranges import RangeSet, RangeView

RANGES_MAX = 10_000
"""Received ranges remembered per channel: hours of a bad network. Older gaps are no longer reported."""


class ChannelAudio:
    def __init__(self) -> None:
        self._taken = RangeSet()
        self._received = RangeSet()
        self._known_from: int | None = None  # before this sample, `_received` is not complete

    @property
    def taken(self) -> RangeView:
        return self._taken

    def begin(self, sample: int) -> None:
        """The channel is opened. Only the first time counts: what is missing is known from here on."""
        self._known_from = sample if self._known_from is None else self._known_from

    def receive(self, start_sample: int, end_sample: int) -> None:
        """Audio of this range has arrived, so it is no longer missing."""
        self._received.add(start_sample, end_sample)
        forgotten = self._received.forget_oldest(RANGES_MAX)
        self._known_from = self._known_from if forgotten is None else forgotten

    def take(self, start_sample: int, end_sample: int) -> None:
        """Mark a range as used. It stays so."""
        self._taken.add(start_sample, end_sample)

    @contextmanager
    def reserve(self, start_sample: int, end_sample: int) -> Iterator[None]:
        """Take a range while the body runs, and keep it afterwards.

        When the body raises, the range is free again, except for parts that were taken before.
        """
        before = list(self._taken)
        self._taken.add(start_sample, end_sample)
        try:
            yield
        except BaseException:
            self._taken.remove(start_sample, end_sample)
            for kept in before:
                self._taken.add(*kept)
            raise

    def unused(self, from_sample: int, to_sample: int) -> list[tuple[int, int]]:
        """The parts of [from_sample, to_sample) without audio that no connection and no upload has used."""
        free = self._taken.gaps(from_sample, to_sample)
        return [part for start, end in free for part in self._received.gaps(start, end)]

    def missing(self, from_sample: int, to_sample: int) -> list[tuple[int, int]]:
        """The parts of [from_sample, to_sample) whose audio did not arrive."""
        if self._known_from is None:
            return []
        return self._received.gaps(max(from_sample, self._known_from), to_sample)
