"""Tokens as callers send them, compared without telling how near a wrong one was.

Pure. Which tokens there are, and what each may do, belongs to each port.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping


def given_token(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The token of `Authorization: Bearer TOKEN`, else of `?token=TOKEN`; empty when there is none."""
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else query.get("token", "")


def digest_of(token: str) -> bytes:
    """SHA-256 of the token. Bytes that are no UTF-8 come as lone surrogates and count as `?`."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def is_one_of(digest: bytes, digests: Iterable[bytes]) -> bool:
    """All are compared, in constant time, also after one fits: how long it takes says nothing."""
    return any([hmac.compare_digest(digest, one) for one in digests])
