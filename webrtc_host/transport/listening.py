"""The sockets of the one port: TCP and UDP with the same number, on every address of the configured `host`.

This module only binds. For a host of loopback, the UDP socket is bound to every address all the same:
browsers send from the address of their network, and some do not send to loopback from there. The one port
then accepts packets of this machine only.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import dataclass

from host_stt_common.sockets import NOT_HERE, TRIES, bind, close_all, resolve


@dataclass(frozen=True, slots=True)
class Listening:
    port: int
    tcp: tuple[socket.socket, ...]
    udp: tuple[socket.socket, ...]
    is_local: bool
    """Peers must be on this machine."""

    def close(self) -> None:
        close_all((*self.tcp, *self.udp))


def open_sockets(host: str, port: int) -> Listening:
    """Bind, without listening. port 0: a number that is free for both.

    Raises OSError; its text says whether TCP or UDP is in use.
    """
    addresses = resolve(host, port)
    for attempt in range(TRIES):
        try:
            return _bind_all(addresses, port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE or attempt == TRIES - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def udp_address(family: socket.AddressFamily, address: str) -> str:
    """The address of the UDP socket that belongs to a TCP socket on `address`."""
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return address
    return "::" if family == socket.AF_INET6 else "0.0.0.0"


def _bind_all(addresses: list[tuple[socket.AddressFamily, str]], port: int) -> Listening:
    tcp: list[socket.socket] = []
    udp: list[socket.socket] = []
    try:
        for family, address in addresses:
            try:
                tcp.append(bind(family, socket.SOCK_STREAM, address, port))
            except OSError as error:
                # A name such as localhost may have an address of a family that this machine does not use.
                if error.errno not in NOT_HERE or len(addresses) == 1:
                    raise
                continue
            port = tcp[-1].getsockname()[1]
            udp.append(bind(family, socket.SOCK_DGRAM, udp_address(family, address), port))
        if not tcp:
            raise OSError(errno.EADDRNOTAVAIL, "none of the addresses belongs to this machine")
    except OSError:
        close_all((*tcp, *udp))
        raise
    is_local = all(ipaddress.ip_address(a.partition("%")[0]).is_loopback for _, a in addresses)
    return Listening(port, tuple(tcp), tuple(udp), is_local)
