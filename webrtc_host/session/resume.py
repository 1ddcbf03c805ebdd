"""Resume tokens: with its token, a client that lost its network proves which channels it had.

A client has one token for all its connections. The token is valid while the newest of them is open and for
`resume_s` after that, also over a restart of the server (`services.resume_tokens` saves the claims). Only ids
are stored here, so a token keeps no closed peer in memory; a claim is found by the SHA-256 of its token.
Pure, except for the randomness of the tokens; the caller passes the clock.
Invariant: at most TOKENS_MAX claims are held; the oldest are removed first.
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
from webrtc_host.session.connection import Connection

TOKENS_MAX = 4096


class Refusal(StrEnum):
    """Why a token does not restore channels: the field `resume_refused` of responses."""

    UNKNOWN = "unknown"  # never issued, or removed
    EXPIRED = "expired"  # its last connection closed more than media.resume_s ago
    SESSION_ENDED = "session_ended"
    OTHER_CHANNELS = "other_channels"  # the offer requests other channels, or more, or fewer
    CHANNEL_TAKEN = "channel_taken"  # another connection feeds one of them now


@dataclass(slots=True)
class Claim:
    """The channels that a token stands for. connection: the newest connection with this token.

    token: empty after a restart, until the client has sent it.
    """

    token_hash: str
    token: str
    session: str
    channels: tuple[str, ...]
    connection: str
    closed_s: float | None = None


class ResumeTokens:
    """The claims of all tokens, in memory."""

    def __init__(
        self,
        resume_s: float,
        clock: Clock = time.monotonic,
        *,
        on_change: Callable[[Claim], None] = lambda _: None,
        on_forgotten: Callable[[Claim], None] = lambda _: None,
    ) -> None:
        """on_change, on_forgotten: called for each claim that has to be saved, or removed from the record."""
        self.resume_s = resume_s
        self._clock = clock
        self._claims: OrderedDict[str, Claim] = OrderedDict()
        self._of_connection: dict[str, Claim] = {}
        self._on_change, self._on_forgotten = on_change, on_forgotten

    def __len__(self) -> int:
        return len(self._claims)

    def give(self, connection: Connection, claim: Claim | None = None) -> str:
        """Issue the token of a connection. claim: the claim that it resumes, which continues with it."""
        ids = tuple(channel.id for channel in connection.channels)
        claim = claim or self._of_connection.get(connection.id)
        if claim is None:
            token = secrets.token_urlsafe(16)
            claim = Claim(hash_of(token), token, connection.session.id, ids, connection.id)
        self._of_connection.pop(claim.connection, None)
        claim.session, claim.channels, claim.connection = connection.session.id, ids, connection.id
        claim.closed_s = None
        self._of_connection[connection.id] = claim
        self.load(claim)
        self._on_change(claim)
        return claim.token

    def load(self, claim: Claim) -> None:
        """Add a claim: a new one, or one that was saved by an earlier process."""
        self._claims[claim.token_hash] = claim
        self._claims.move_to_end(claim.token_hash)
        while len(self._claims) > TOKENS_MAX:
            _, oldest = self._claims.popitem(last=False)
            self._of_connection.pop(oldest.connection, None)
            self._on_forgotten(oldest)

    def closed(self, connection: Connection) -> None:
        """The connection has ended: from now on, its token is valid for `resume_s`."""
        claim = self._of_connection.get(connection.id)
        if claim is not None and claim.closed_s is None:
            claim.closed_s = self._clock()
            self._on_change(claim)

    def find(self, token: str) -> Claim | Refusal:
        """The claim of a token, or why there is none."""
        claim = self._claims.get(hash_of(token))
        if claim is None:
            return Refusal.UNKNOWN
        claim.token = token
        if claim.closed_s is not None and self._clock() - claim.closed_s > self.resume_s:
            return Refusal.EXPIRED
        return claim


def hash_of(token: str) -> str:
    """The hash by which a token is stored. A token has 128 random bits, so the plain hash needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
