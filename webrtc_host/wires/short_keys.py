"""Short-lived keys that a page may have, for the addresses of one protocol only.

OpenAI calls them client secrets, AssemblyAI calls them temporary tokens. Only their digests are kept, in
memory: after a restart, clients ask their own server for a new one. Invariant: at most KEYS_MAX are kept;
expired ones are removed first.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from host_stt_common.tokens import digest_of
from webrtc_host.errors import Overloaded
from webrtc_host.http.roles import Caller, Role

KEYS_MAX = 1000
RETRY_AFTER_S = 10.0
S = TypeVar("S")
"""The settings that belong to a key."""


@dataclass(frozen=True, slots=True)
class ShortKey(Generic[S]):
    """What a key allows: a caller, and the settings that its sessions begin with."""

    caller: Caller
    settings: S
    expires_s: float  # Unix time


class ShortKeys(Generic[S]):
    def __init__(self, prefix: str, kind: str, now_s: Callable[[], float], most: int = KEYS_MAX) -> None:
        """prefix: of every value. kind: what the protocol calls such a key. now_s: Unix time."""
        self.prefix = prefix
        self._kind = kind
        self._now_s = now_s
        self._most = most
        self._keys: OrderedDict[bytes, ShortKey[S]] = OrderedDict()  # by digest

    def make(self, creator: Caller, settings: S, seconds: int) -> tuple[str, int]:
        """A new key. Returns its value and when it expires, in Unix seconds.

        Raises Overloaded 429 when there are too many.
        """
        now_s = self._now_s()
        expired = [digest for digest, one in self._keys.items() if one.expires_s <= now_s]
        for digest in expired:
            del self._keys[digest]
        if len(self._keys) >= self._most:
            raise Overloaded(
                "too_many_secrets",
                f"{len(self._keys)} {self._kind}s are valid already; give them a shorter life",
                retry_after_s=RETRY_AFTER_S,
                status=429,
            )
        value = self.prefix + secrets.token_urlsafe(32)
        caller = Caller(f"{creator.name} ({self._kind})", Role.OPERATOR)
        self._keys[digest_of(value)] = ShortKey(caller, settings, now_s + seconds)
        return value, int(now_s + seconds)

    def find(self, value: str) -> ShortKey[S] | None:
        """The valid key with this value. Any number of sessions may use it until it expires."""
        if not value.startswith(self.prefix):
            return None
        key = self._keys.get(digest_of(value))
        return None if key is None or key.expires_s <= self._now_s() else key
