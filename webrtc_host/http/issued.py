"""Tokens that people issued while the server runs: the links of wall screens, each with an end.

Only digests are here. `services.shares` issues tokens, keeps them in the record and ends them; `http.auth`
asks who a digest belongs to. Invariant: after its end a token opens nothing, and streams that it opened end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webrtc_host.http.roles import Caller

ENDED_MAX = 1000
"""Ended tokens that are remembered, so that their users read why they are refused."""


@dataclass(frozen=True, slots=True)
class Issued:
    caller: Caller
    expires_wall_s: float


class IssuedTokens:
    """All methods are called in the event loop. Times are seconds since 1970."""

    def __init__(self) -> None:
        self._issued: dict[bytes, Issued] = {}
        self._ended: dict[bytes, None] = {}
        self._streams: dict[Caller, dict[int, Callable[[], None]]] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._issued)

    def put(self, digest: bytes, caller: Caller, expires_wall_s: float) -> None:
        self._issued[digest] = Issued(caller, expires_wall_s)

    def caller_of(self, digest: bytes, now_wall_s: float) -> Caller | None:
        known = self._issued.get(digest)
        return None if known is None or known.expires_wall_s <= now_wall_s else known.caller

    def is_ended(self, digest: bytes) -> bool:
        """Whether the token was valid once."""
        return digest in self._ended or digest in self._issued

    def end(self, digest: bytes) -> None:
        """The token is valid no longer. Its open streams end."""
        known = self._issued.pop(digest, None)
        self._ended[digest] = None
        while len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]
        if known is not None:
            for close in list(self._streams.pop(known.caller, {}).values()):
                close()

    def end_expired(self, now_wall_s: float) -> None:
        for digest in [one for one, known in self._issued.items() if known.expires_wall_s <= now_wall_s]:
            self.end(digest)

    def when_ended(self, caller: Caller, close: Callable[[], None]) -> Callable[[], None]:
        """Call `close` when the caller's token ends. Returns a function that forgets `close`."""
        if not any(known.caller is caller for known in self._issued.values()):
            return _nothing
        number, self._next = self._next, self._next + 1
        self._streams.setdefault(caller, {})[number] = close
        return lambda: self._forget(caller, number)

    def _forget(self, caller: Caller, number: int) -> None:
        streams = self._streams.get(caller, {})
        streams.pop(number, None)
        if not streams:
            self._streams.pop(caller, None)


def _nothing() -> None:
    return None
