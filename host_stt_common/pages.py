"""Decide which web pages may call a server: by the Host that they use, and by their origin.

Pure except for the name of this machine. Both ports use these checks; each port writes its own error text.
Tokens are checked elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

Origin = tuple[str, str, int | None]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OTHER_SITES = ("cross-site", "same-site")
"""Values of `Sec-Fetch-Site` for a page of another origin; `same-site` is another port or a sister domain."""


def origin_of(text: str) -> Origin:
    """(scheme, host, port): `https://a` and `https://A:443` are equal. ("", text, None) if invalid."""
    try:
        parts = urlsplit(text)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return ("", text, None)
    if not parts.hostname:
        return ("", text, None)
    return (parts.scheme, parts.hostname, port)


def checked_origin(text: str) -> str:
    """Return a setting that names an origin, unchanged. Raises ValueError if it is not an origin."""
    try:
        parts = urlsplit(text)
        has_place = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        is_origin = parts.scheme in ("http", "https") and parts.hostname and not has_place
        parts.port  # noqa: B018  # raises ValueError when it is no number
    except ValueError:
        is_origin = False
    if not is_origin:
        raise ValueError(f"{text!r} is not an origin; write one such as https://wall.example")
    return text


def is_address(text: str) -> bool:
    """True for an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """True for localhost, names below it, and loopback addresses, in brackets or not."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name, which may resolve to another address later


def names_of_this_machine() -> frozenset[str]:
    """The host name in the forms that a page on the same network uses: `desk`, `desk.local`."""
    name = socket.gethostname().lower().rstrip(".")
    return frozenset({name, f"{name.partition('.')[0]}.local"} if name else ())


class Pages:
    """The names of one port's server, and the origins of the pages that may call it."""

    def __init__(self, allowed_origins: Sequence[str] = (), *, host: str = "127.0.0.1") -> None:
        """allowed_origins: origins of pages that may call. host: where the port listens, address or name."""
        self._allowed = frozenset(origin_of(origin) for origin in allowed_origins)
        self._names = names_of_this_machine() | {name for _, name, _ in self._allowed} | {host.lower()}

    def knows_host(self, host: str) -> bool:
        """True if `Host` is an address, localhost, or a name of this machine or of an allowed origin.

        A web page can let its own name resolve to this machine; a browser then treats the server as the same
        origin (DNS rebinding). Where no token is required, any page that a user visits could call the server.
        """
        _, name, _ = origin_of(f"http://{host}")
        name = name.rstrip(".")
        return name == "localhost" or name.endswith(".localhost") or is_address(name) or name in self._names

    def allows(self, origin: str, own: str | None = None) -> bool:
        """True if pages of this origin may call. own: the origin of the server's own pages, if it has any."""
        found = origin_of(origin)
        return found in self._allowed or (own is not None and found == origin_of(own))

    def is_foreign(self, headers: Mapping[str, str], own: str | None = None) -> bool:
        """True if a page of another origin sends this request. Programs send neither of the two headers.

        Browsers send `Origin` with every request that could change something. For images and links they do
        not; there they send `Sec-Fetch-Site`, on https and on this machine.
        """
        origin = headers.get("Origin")
        if origin is not None:
            return not self.allows(origin, own)
        return headers.get("Sec-Fetch-Site", "").lower() in _OTHER_SITES
