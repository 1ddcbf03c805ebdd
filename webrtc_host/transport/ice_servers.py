"""The STUN and TURN servers of the configuration as a client or aiortc takes them, with credentials that end.

Pure; `now_s` comes from the caller. A server with `secret` gets a user name that holds the moment of its end,
and a password that proves it was written by somebody who knows the secret: what coturn calls
`use-auth-secret` (draft-uberti-behave-turn-rest). Invariant: the secret itself never leaves this module.
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
    """What RTCPeerConnection takes; username and credential are empty for a server that asks for none."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""


def issue(servers: Iterable[IceServer], now_s: float) -> tuple[IssuedServer, ...]:
    """now_s: Unix time. A relay asks for the credential when it begins, and may outlast it."""
    return tuple(_issued(server, now_s) for server in servers)


def _issued(server: IceServer, now_s: float) -> IssuedServer:
    if not server.secret:
        return IssuedServer(server.urls, server.username, server.credential)
    expiry = f"{int(now_s) + server.credential_s}"
    username = f"{expiry}:{server.username}" if server.username else expiry
    # SHA-1: what coturn and its clients have agreed on; as a keyed hash it is not broken.
    digest = hmac.new(server.secret.encode(), username.encode(), hashlib.sha1).digest()
    return IssuedServer(server.urls, username, base64.b64encode(digest).decode())
