"""Bind listening sockets on every address that a host setting means.

Both ports use it. An IPv6 socket accepts IPv6 only, so a caller over IPv4 always has an IPv4 address and
never an IPv4-mapped one (::ffff:192.0.2.1). Does not accept connections and does not read.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

EVERY_ADDRESS = "::"
"""The host setting for all addresses of this machine, IPv6 and IPv4."""
NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Errors for an address that this machine does not have, such as ::1 without IPv6."""
TRIES = 32  # attempts to find a port number that is free on every address, for port 0


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """(family, address) of every address that `host` means. Raises OSError for an unknown name.

    `::` means all addresses of both families; 0.0.0.0 all addresses of IPv4.
    """
    if host.strip("[]") == EVERY_ADDRESS:
        return [(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")]
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def bind(family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """A bound socket; the caller closes it. Raises OSError that names protocol, address and port."""
    sock: socket.socket | None = None
    try:
        sock = socket.socket(family, kind)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # bind in spite of TIME_WAIT
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
    except OSError as error:
        if sock is not None:
            sock.close()
        protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        reason = (error.strerror or str(error)).lower()
        raise OSError(error.errno, f"{protocol} port {port} on {address}: {reason}") from error
    return sock


def bind_tcp(host: str, port: int) -> tuple[socket.socket, ...]:
    """TCP sockets on every address of `host` with one port number; not listening yet. The caller closes them.

    port: 0 means a number that is free on all addresses. Raises OSError; then no socket stays open.
    """
    addresses = resolve(host, port)
    for attempt in range(TRIES):
        try:
            return _bind_each(addresses, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or attempt == TRIES - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def close_all(sockets: Iterable[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _bind_each(addresses: list[tuple[socket.AddressFamily, str]], port: int) -> tuple[socket.socket, ...]:
    bound: list[socket.socket] = []
    try:
        for family, address in addresses:
            try:
                bound.append(bind(family, socket.SOCK_STREAM, address, port))
            except OSError as error:
                if error.errno not in NOT_HERE or len(addresses) == 1:
                    raise
                continue
            port = bound[-1].getsockname()[1]
        if not bound:
            raise OSError(errno.EADDRNOTAVAIL, "none of the addresses belongs to this machine")
    except OSError:
        close_all(bound)
        raise
    return tuple(bound)
