"""Where the clients of a protocol put their key: a header, the query, or a WebSocket subprotocol. Pure.

A key in the body of a request is read by its handler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    """The places, in the order in which they are read."""

    schemes: tuple[str, ...] = ("bearer",)
    """Of `Authorization: SCHEME KEY`, in lower case; "" for a header that is the key alone."""
    headers: tuple[str, ...] = ()
    """Headers that are the key."""
    query: tuple[str, ...] = ("token",)
    subprotocols: tuple[str, ...] = ()
    """Subprotocols after which the next one is the key, such as `token, KEY`."""
    subprotocol_prefix: str = ""
    """A subprotocol with this prefix holds the key behind it."""

    def key_in(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        """The key; empty when there is none."""
        found = self._authorized(headers.get("Authorization", ""))
        for name in self.headers:
            found = found or headers.get(name, "").strip()
        found = found or self._offered(headers.get("Sec-WebSocket-Protocol", ""))
        for name in self.query:
            found = found or query.get(name, "")
        return found

    def _authorized(self, header: str) -> str:
        scheme, _, key = header.strip().partition(" ")
        if key and scheme.lower() in self.schemes:
            return key.strip()
        return scheme if "" in self.schemes and not key else ""

    def _offered(self, header: str) -> str:
        offered = [part.strip() for part in header.split(",") if part.strip()]
        for name, after in zip(offered, offered[1:], strict=False):
            if name.lower() in self.subprotocols:
                return after
        if self.subprotocol_prefix:
            for name in offered:
                if name.startswith(self.subprotocol_prefix):
                    return name[len(self.subprotocol_prefix) :]
        return ""
