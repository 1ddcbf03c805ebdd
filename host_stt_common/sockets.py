"""Listening sockets: every address that a host setting stands for, bound one by one.

Both ports bind here. An IPv6 socket takes IPv6 alone, so a caller over IPv4 always has an IPv4 address and
never an IPv4-mapped one (::ffff:192.0.2.1). Owns no accepting and no reading.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

EVERY_ADDRESS = "::"
"""As a host: every address of this machine, IPv6 and IPv4."""
NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What a name may stand for that this machine does not have, such as ::1 without IPv6."""
TRIES = 32  # for a number that is free on every address, when any number will do


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """(family, address) of every address that `host` stands for. Raises OSError for a name that is not known.

    `::` stands for every address of both families; 0.0.0.0 for those of IPv4 alone.
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
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is no hindrance
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
    """TCP sockets on every address of `host`, under one number, not listening yet; the caller closes them.

    port: 0 means a number that all of them have free. Raises OSError; then nothing stays open.
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
            raise OSError(errno.EADDRNOTAVAIL, "none of the addresses is one of this machine")
    except OSError:
        close_all(bound)
        raise
    return tuple(bound)
