"""Resume tokens: how a client that lost its network proves which channels were its own.

Pure but for the randomness of the tokens; the clock is handed in. A client keeps one token through all its
connections: it holds as long as the newest of them lives, and `resume_s` after that, also over a restart of
the server (`services.resume_tokens` keeps the claims on disk). Owns ids alone: a token keeps no closed peer
in memory, and the claims are found by the token's SHA-256. Invariant: at most TOKENS_MAX are kept, the
oldest are forgotten first.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from webrtc_host.seams import Clock
from webrtc_host.session.registry import Connection

TOKENS_MAX = 4096


class Refusal(StrEnum):
    """Why a token brings nothing back: `resume_refused` in answers."""

    UNKNOWN = "unknown"  # never given out, or forgotten
    EXPIRED = "expired"  # its last connection closed more than media.resume_s ago
    SESSION_ENDED = "session_ended"
    OTHER_CHANNELS = "other_channels"  # the offer asks for other ones, or for more or fewer
    CHANNEL_TAKEN = "channel_taken"  # somebody else feeds one by now


@dataclass(slots=True)
class Claim:
    """What a token stands for. connection: the newest one that carried it. token: empty after a restart,
    until its client has shown it.
    """

    token_hash: str
    token: str
    session: str
    channels: tuple[str, ...]
    connection: str
    closed_s: float | None = None


class ResumeTokens:
    def __init__(
        self,
        resume_s: float,
        clock: Clock = time.monotonic,
        *,
        on_change: Callable[[Claim], None] = lambda _: None,
        on_forgotten: Callable[[Claim], None] = lambda _: None,
    ) -> None:
        """on_change, on_forgotten: told of each claim that is to be written, or removed, on disk."""
        self.resume_s = resume_s
        self._clock = clock
        self._claims: OrderedDict[str, Claim] = OrderedDict()
        self._of_connection: dict[str, Claim] = {}
        self._on_change, self._on_forgotten = on_change, on_forgotten

    def __len__(self) -> int:
        return len(self._claims)

    def give(self, connection: Connection, claim: Claim | None = None) -> str:
        """The token of a connection. claim: the one it came back with, which goes on with this connection."""
        ids = tuple(channel.id for channel in connection.channels)
        claim = claim or self._of_connection.get(connection.id)
        if claim is None:
            token = secrets.token_urlsafe(16)
            claim = Claim(hash_of(token), token, connection.session.id, ids, connection.id)
        self._of_connection.pop(claim.connection, None)
        claim.session, claim.channels, claim.connection = connection.session.id, ids, connection.id
        claim.closed_s = None
        self._of_connection[connection.id] = claim
        self.take_up(claim)
        self._on_change(claim)
        return claim.token

    def take_up(self, claim: Claim) -> None:
        """Heed a claim from now on: a new one, or one that an earlier process kept."""
        self._claims[claim.token_hash] = claim
        self._claims.move_to_end(claim.token_hash)
        while len(self._claims) > TOKENS_MAX:
            _, oldest = self._claims.popitem(last=False)
            self._of_connection.pop(oldest.connection, None)
            self._on_forgotten(oldest)

    def closed(self, connection: Connection) -> None:
        """The connection is over: its token holds for `resume_s` from now."""
        claim = self._of_connection.get(connection.id)
        if claim is not None and claim.closed_s is None:
            claim.closed_s = self._clock()
            self._on_change(claim)

    def find(self, token: str) -> Claim | Refusal:
        claim = self._claims.get(hash_of(token))
        if claim is None:
            return Refusal.UNKNOWN
        claim.token = token
        if claim.closed_s is not None and self._clock() - claim.closed_s > self.resume_s:
            return Refusal.EXPIRED
        return claim


def hash_of(token: str) -> str:
    """A token is 128 random bits: nobody finds it from its plain hash, and no salt would make that harder."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
