"""Read tokens from requests and compare them in constant time.

Pure. Each port has its own list of tokens and of what each token may do.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping


def given_token(headers: Mapping[str, str], query: Mapping[str, str]) -> str:
    """The token of `Authorization: Bearer TOKEN`, else of `?token=TOKEN`; empty if there is none."""
    scheme, _, bearer = headers.get("Authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else query.get("token", "")


def digest_of(token: str) -> bytes:
    """SHA-256 of the token. Bytes that are not UTF-8 arrive as lone surrogates and count as `?`."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def is_one_of(digest: bytes, digests: Iterable[bytes]) -> bool:
    """True if one digest is equal. All are compared, so the time reveals nothing about a wrong token."""
    return any([hmac.compare_digest(digest, one) for one in digests])
