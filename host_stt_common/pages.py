"""Which web pages may call a server of ours: by the name they call it by, and by the origin they come from.

Pure but for the name of this machine. Both ports ask the same questions here; where an answer is "no", each
refuses in its own words. A token is another matter and checked elsewhere.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

Origin = tuple[str, str, int | None]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OTHER_SITES = ("cross-site", "same-site")
"""What `Sec-Fetch-Site` says of a page of another origin; `same-site` is another port or a sister domain."""


def origin_of(text: str) -> Origin:
    """Scheme, host and port: `https://a` and `https://A:443` are the same; ("", text, None) for junk."""
    try:
        parts = urlsplit(text)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return ("", text, None)
    if not parts.hostname:
        return ("", text, None)
    return (parts.scheme, parts.hostname, port)


def checked_origin(text: str) -> str:
    """A setting that names an origin, as it is. Raises ValueError when it is none."""
    try:
        parts = urlsplit(text)
        has_place = parts.path.strip("/") or parts.query or parts.fragment or parts.username
        is_origin = parts.scheme in ("http", "https") and parts.hostname and not has_place
        parts.port  # noqa: B018  # raises ValueError when it is no number
    except ValueError:
        is_origin = False
    if not is_origin:
        raise ValueError(f"{text!r} is no origin, such as https://wall.example")
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
        return False  # a name: what it resolves to may change


def names_of_this_machine() -> frozenset[str]:
    """The host name, as a page on the same network writes it: `desk`, `desk.local`."""
    name = socket.gethostname().lower().rstrip(".")
    return frozenset({name, f"{name.partition('.')[0]}.local"} if name else ())


class Pages:
    """What one port knows of its own names and of the pages that may call it."""

    def __init__(self, allowed_origins: Sequence[str] = (), *, host: str = "127.0.0.1") -> None:
        """allowed_origins: of pages that may call. host: where the port listens, an address or a name."""
        self._allowed = frozenset(origin_of(origin) for origin in allowed_origins)
        self._names = names_of_this_machine() | {name for _, name, _ in self._allowed} | {host.lower()}

    def knows_host(self, host: str) -> bool:
        """Whether `Host` is an address, localhost, or a name of this machine or of an allowed origin.

        A web page may have its own name resolve to this machine and then counts as the same origin (DNS
        rebinding); where nobody is asked for a token, that would open the server to any page somebody visits.
        """
        _, name, _ = origin_of(f"http://{host}")
        name = name.rstrip(".")
        return name == "localhost" or name.endswith(".localhost") or is_address(name) or name in self._names

    def allows(self, origin: str, own: str | None = None) -> bool:
        """Whether pages of this origin may call. own: the origin of the server's own pages, if it has any."""
        found = origin_of(origin)
        return found in self._allowed or (own is not None and found == origin_of(own))

    def is_foreign(self, headers: Mapping[str, str], own: str | None = None) -> bool:
        """Whether a page of another origin makes this call. Programs send neither of the two headers.

        Browsers send `Origin` with everything that could change something. With an image or a link they do
        not, but say `Sec-Fetch-Site`, on https and on this machine.
        """
        origin = headers.get("Origin")
        if origin is not None:
            return not self.allows(origin, own)
        return headers.get("Sec-Fetch-Site", "").lower() in _OTHER_SITES
