"""Who talked when on a radio channel: the radios in the order in which they began to send.

Pure. A radio sends until the next one begins or the call ends. Invariant: at most TALKERS_MAX changes are
kept, the newest ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

from webrtc_host.events import Talker

TALKERS_MAX = 1000


class Talkers:
    def __init__(self, known: Iterable[Talker] = ()) -> None:
        """known: in the order in which they began."""
        changes: Iterable[tuple[int, Talker | None]] = ((talker.start_ms, talker) for talker in known)
        self._changes: deque[tuple[int, Talker | None]] = deque(changes, TALKERS_MAX)

    @property
    def now(self) -> Talker | None:
        """The radio that sends; None: not known, or the call has ended."""
        return self._changes[-1][1] if self._changes else None

    def begin(self, talker: Talker) -> None:
        self._changes.append((talker.start_ms, talker))

    def end(self, at_ms: int) -> None:
        """The call has ended: from here on nothing is known."""
        if self.now is not None:
            self._changes.append((at_ms, None))

    def between(self, start_ms: int, end_ms: int) -> tuple[Talker, ...]:
        """The radios that were heard in [start_ms, end_ms), in order."""
        if not self._changes:
            return ()
        end_ms = max(end_ms, start_ms + 1)  # of a line without length: the radio at that moment
        spans = pairwise([*self._changes, (max(end_ms, self._changes[-1][0]), None)])
        return tuple(
            talker
            for (begins_ms, talker), (ends_ms, _) in spans
            if talker is not None and max(begins_ms, start_ms) < min(ends_ms, end_ms)
        )
