"""The session of a recording: its timeline is that of the recording, not that of the clock.

A job makes it, and says how far it is with `reach`. Invariant: the session's time never goes back, and no
time passes while nothing is transcribed, so no part of the recording counts as missing because it was late.
"""

from __future__ import annotations

from typing import Any

from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.session.session import Session


class RecordedSession(Session):
    is_recorded = True

    def __init__(self, session_id: str, name: str, *, age_s: float = 0.0, **more: Any) -> None:
        """age_s is ignored: a recording does not age. more: the other arguments of `Session`."""
        self._reached_sample = 0
        super().__init__(session_id, name, **more)

    def reach(self, sample: int) -> None:
        """The recording is transcribed up to here."""
        self._reached_sample = max(self._reached_sample, sample)

    def now_sample(self) -> int:
        return self._reached_sample

    def restore(self, end_ms: int) -> None:
        """Continue the session of an earlier process, whose text and coverage end here."""
        self.reach(end_ms * SAMPLES_PER_MS)
