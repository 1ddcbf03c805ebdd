"""Resume tokens: how a client that lost its network proves which channels were its own.

Pure but for the randomness of the tokens; time is passed in. A token holds as long as its connection lives
and `resume_s` after that. Owns ids alone: a token keeps no closed peer in memory.
Invariant: at most TOKENS_MAX are kept, the oldest are forgotten first.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from webrtc_host.seams import Clock

TOKENS_MAX = 4096


class Refusal(StrEnum):
    """Why a token brings nothing back: `resume_refused` in answers."""

    UNKNOWN = "unknown"  # never given out, forgotten, or given out before the server was started
    EXPIRED = "expired"  # its connection closed more than media.resume_s ago
    SESSION_ENDED = "session_ended"
    OTHER_CHANNELS = "other_channels"  # the offer asks for other ones, or for more or fewer
    CHANNEL_TAKEN = "channel_taken"  # somebody else feeds one by now


@dataclass(frozen=True, slots=True)
class Former:
    """What a token stands for."""

    connection: str
    session: str
    channels: tuple[str, ...]


class ResumeTokens:
    def __init__(self, resume_s: float, clock: Clock) -> None:
        self.resume_s = resume_s
        self._clock = clock
        self._formers: OrderedDict[str, Former] = OrderedDict()
        self._closed_s: dict[str, float] = {}  # by connection
        self._of_connection: dict[str, str] = {}  # connection -> its token

    def __len__(self) -> int:
        return len(self._formers)

    def give(self, former: Former) -> str:
        """The token of a connection; a new one takes the place of the one it had."""
        self._forget(self._of_connection.get(former.connection))
        token = secrets.token_urlsafe(16)
        self._formers[token] = former
        self._of_connection[former.connection] = token
        while len(self._formers) > TOKENS_MAX:
            self._forget(next(iter(self._formers)))
        return token

    def closed(self, connection: str) -> None:
        """The connection is over: its token holds for `resume_s` from now."""
        if connection in self._of_connection:
            self._closed_s.setdefault(connection, self._clock())

    def find(self, token: str) -> Former | Refusal:
        former = self._formers.get(token)
        if former is None:
            return Refusal.UNKNOWN
        closed_s = self._closed_s.get(former.connection)
        if closed_s is not None and self._clock() - closed_s > self.resume_s:
            return Refusal.EXPIRED
        return former

    def _forget(self, token: str | None) -> None:
        former = self._formers.pop(token or "", None)
        if former is not None:
            del self._of_connection[former.connection]
            self._closed_s.pop(former.connection, None)
