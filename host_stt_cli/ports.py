"""Whether an address can be listened on, asked before anything is started; each refusal is one sentence."""

from __future__ import annotations

import errno
import socket

from host_stt_cli.errors import StartError
from webrtc_host.media.listening import bind, udp_address


def check_free(section: str, host: str, port: int, *, with_udp: bool = False) -> None:
    """Raise StartError unless `section`.host and .port can be bound now. Port 0 asks for any free one.

    with_udp: the same number must be free for UDP as well.
    """
    for family, kind, protocol, _, address in _addresses(section, host, port):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # as the servers do: TIME_WAIT is no hindrance
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(address)
                probe.listen(1)
            except OSError as error:
                raise refusal(section, host, port, error) from error
        if with_udp and port:
            try:
                bind(family, socket.SOCK_DGRAM, udp_address(family, address[0]), port).close()
            except OSError as error:
                raise refusal(section, host, port, error) from error


def free_port(host: str) -> int:
    """A port that was free a moment ago, for `port: 0`."""
    family, kind, protocol, _, address = _addresses("engine", host, 0)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])


def refusal(section: str, host: str, port: int, error: OSError) -> StartError:
    """The sentence for a bind that failed."""
    match error.errno:
        case errno.EADDRINUSE:
            protocol = "UDP " if "UDP" in (error.strerror or "") else ""
            return StartError(
                f"{protocol}port {port} on {host} is already in use; "
                f"stop what listens there, or choose another with --set {section}.port=PORT."
            )
        case errno.EACCES:
            return StartError(
                f"port {port} may not be opened by this user; "
                f"choose one from 1024 up with --set {section}.port=PORT."
            )
        case errno.EADDRNOTAVAIL:
            return StartError(f"{section}.host is {host}, which is no address of this machine.")
    return StartError(f"{section}.host {host} port {port} cannot be listened on: {error.strerror or error}.")


_Address = tuple[
    socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]
]


def _addresses(section: str, host: str, port: int) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(
            f"{section}.host is {host!r}, a name that is not known: {error.strerror}."
        ) from error
    return found  # type: ignore[return-value]  # the stub allows (int, bytes) too
