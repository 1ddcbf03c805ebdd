"""A session: one monitoring run with one timeline, its channels and its log.

`registry.py` makes the sessions, ends them, and decides which connection feeds which channel.
Invariant: t = 0 never moves, so the session's time never goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from host_stt.contract import SAMPLE_RATE
from webrtc_host.seams import Clock, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import SessionLog

MakeLog = Callable[[str, Callable[[], int]], SessionLog]
"""(session id, function that returns milliseconds since its t = 0) -> the session's log."""


class Session:
    """One monitoring run with one timeline. A channel is made when it is first requested."""

    is_recorded = False
    """True: its audio is a file, so no input may feed it (`session.recorded`)."""

    def __init__(
        self,
        session_id: str,
        name: str,
        *,
        clock: Clock,
        started_wall: datetime,
        make_log: MakeLog,
        age_s: float = 0.0,
        is_ended: bool = False,
    ) -> None:
        """age_s, is_ended: for a session that is restored after a restart; age_s is the time since t = 0."""
        self.id = session_id
        self.name = name
        self.started_wall = started_wall
        self.channels: dict[str, Channel] = {}
        self._is_ended = is_ended
        self._clock = clock
        self._t0_s = clock() - age_s
        self.log = make_log(session_id, self.now_ms)

    @property
    def is_ended(self) -> bool:
        return self._is_ended

    def mark_ended(self) -> None:
        """From now on no input may feed the session. `SessionRegistry.end` does the rest."""
        self._is_ended = True

    def rename(self, name: str) -> None:
        self.name = name

    def now_sample(self) -> int:
        """This moment on the session's timeline."""
        return max(0, int((self._clock() - self._t0_s) * SAMPLE_RATE))

    def now_ms(self) -> int:
        return ms_of(self.now_sample())
