"""The STUN and TURN servers of the configuration for clients and aiortc, with credentials that expire.

Pure; `now_s` comes from the caller. For a server with a `secret`, the user name contains the time at which it
expires, and the password is a hash made with the secret (coturn: `use-auth-secret`,
draft-uberti-behave-turn-rest). Invariant: the secret itself is never returned.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from webrtc_host.config import IceServer


@dataclass(frozen=True, slots=True)
class IssuedServer:
    """A server as RTCPeerConnection takes it; username and credential are empty when it needs none."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


def issue(servers: Iterable[IceServer], now_s: float) -> tuple[IssuedServer, ...]:
    """now_s: Unix time. A relay checks the credential when it is opened, and may stay open longer."""
    return tuple(_issued(server, now_s) for server in servers)


def _issued(server: IceServer, now_s: float) -> IssuedServer:
    if not server.secret:
        return IssuedServer(server.urls, server.username, server.credential)
    expiry = f"{int(now_s) + server.credential_s}"
    username = f"{expiry}:{server.username}" if server.username else expiry
    # SHA-1, because coturn and its clients use it. SHA-1 as a keyed hash (HMAC) is not broken.
    digest = hmac.new(server.secret.encode(), username.encode(), hashlib.sha1).digest()
    return IssuedServer(server.urls, username, base64.b64encode(digest).decode())
