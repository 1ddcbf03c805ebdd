"""The time of one stream: converts positions of the session's timeline into the client's count of audio.

A client counts the audio that it has sent; the session's timeline has real time, with pauses. Where a source
pauses, the offset between both changes. Pure. Invariant: the result never lies behind the audio that was
placed, and never goes back when the position does not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from webrtc_host.seams import SAMPLES_PER_MS, ms_of

JITTER_SAMPLES = SAMPLES_PER_MS
"""A smaller change of the offset is a rounding error."""
OFFSETS_MAX = 1000
"""Changes of the offset that are kept; older results are not sent any more."""


class StreamTime:
    def __init__(self) -> None:
        self._offsets: deque[tuple[int, int]] = deque(maxlen=OFFSETS_MAX)
        """(position from which it applies, position minus count of audio), ascending, in samples."""
        self._end = 0  # count of the audio placed so far

    @property
    def is_placed(self) -> bool:
        """Whether the first sample has a position."""
        return bool(self._offsets)

    def note(self, start_sample: int, end_sample: int, end_count: int) -> None:
        """Audio was placed at [start_sample, end_sample); it ends with sample `end_count` of the stream."""
        offset = end_sample - end_count
        if not self._offsets or abs(offset - self._offsets[-1][1]) > JITTER_SAMPLES:
            self._offsets.append((start_sample, offset))
        self._end = max(self._end, end_count)

    def count_at(self, sample: int) -> int:
        """How many samples the client had sent at this position of the timeline."""
        if not self._offsets:
            return 0
        at = bisect_right(self._offsets, (sample, 1 << 62)) - 1
        if at < 0:
            return max(0, self._offsets[0][0] - self._offsets[0][1])
        count = sample - self._offsets[at][1]
        if at + 1 < len(self._offsets):  # in a pause the count stands still
            start, offset = self._offsets[at + 1]
            count = min(count, start - offset)
        return max(0, count)

    def ms_at(self, ms: int) -> int:
        """As `count_at`, in milliseconds; at most as much as was placed."""
        return ms_of(min(self.count_at(ms * SAMPLES_PER_MS), self._end))
