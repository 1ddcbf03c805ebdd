"""Test before the start whether an address can be listened on; each failure is one sentence."""

from __future__ import annotations

import errno
import socket

from host_stt_cli.errors import StartError
from host_stt_common.sockets import NOT_HERE, bind, bind_tcp, close_all, resolve
from webrtc_host.transport.listening import udp_address


def check_free(section: str, host: str, port: int, *, with_udp: bool = False) -> None:
    """Raise StartError unless `section`.host and .port can be bound now. Port 0 means any free port.

    with_udp: the same port number must be free for UDP too.
    """
    addresses = _addresses(section, host, port)
    for family, address in addresses:
        try:
            with bind(family, socket.SOCK_STREAM, address, port) as probe:
                probe.listen(1)
            if with_udp and port:
                bind(family, socket.SOCK_DGRAM, udp_address(family, address), port).close()
        except OSError as error:
            if error.errno in NOT_HERE and len(addresses) > 1:
                continue
            raise refusal(section, host, port, error) from error


def free_port(host: str) -> int:
    """A port that is free at this moment on every address of `host`, for `port: 0`."""
    _addresses("engine", host, 0)
    probes = bind_tcp(host, 0)
    port = int(probes[0].getsockname()[1])
    close_all(probes)
    return port


def refusal(section: str, host: str, port: int, error: OSError) -> StartError:
    """The error for a bind that failed."""
    match error.errno:
        case errno.EADDRINUSE:
            protocol = "UDP " if "UDP" in (error.strerror or "") else ""
            return StartError(
                f"{protocol}port {port} on {host} is already in use; "
                f"stop what listens there, or choose another with --set {section}.port=PORT."
            )
        case errno.EACCES:
            return StartError(
                f"port {port} cannot be opened by this user; "
                f"choose one from 1024 up with --set {section}.port=PORT."
            )
        case errno.EADDRNOTAVAIL:
            return StartError(f"{section}.host is {host}, which is not an address of this machine.")
    return StartError(f"{section}.host {host} port {port} cannot be listened on: {error.strerror or error}.")


def _addresses(section: str, host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    try:
        return resolve(host, port)
    except OSError as error:
        raise StartError(f"{section}.host is {host!r}, an unknown name: {error.strerror}.") from error
