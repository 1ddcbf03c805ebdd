"""Drops packets of given addresses in the system, before they reach the socket: for peers that were cut off.

A sender that was cut off may continue to send. Its packets would fill the buffer that all peers share, and
the process would read each of them for nothing. Linux only: a classic BPF program on the socket, which needs
no privileges. On other systems nothing is dropped here, and the packets are read and discarded. The caller
decides which addresses are blocked, and for how long.
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Iterable, Iterator

logger = logging.getLogger(__name__)

ADDRESSES_MAX = 64  # the newest ones; a program may have 4096 steps, and an IPv6 address takes 11
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_WORD, _HALF, _IF_EQUAL, _RETURN = 0x20, 0x28, 0x15, 0x06  # loads from an offset; compares with a constant
_NETWORK = 0xFFF00000  # SKF_NET_OFF: offsets from here count from the IP header, others from the UDP header
_SOURCE_PORT = 0
_ALL, _NOTHING = 0xFFFFFFFF, 0

Step = tuple[int, int, int, int]  # code, steps to skip if true, if false, operand


def block(sock: socket.socket, addresses: Iterable[tuple[str, int]]) -> bool:
    """Drop packets from these addresses from now on, and from no others. False when it is not possible."""
    if sys.platform != "linux":
        return False
    steps = list(program(sock.family, list(addresses)[-ADDRESSES_MAX:]))
    try:
        if len(steps) == 1:
            sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        else:
            code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
            head = struct.pack("@HP", len(steps), ctypes.addressof(code))
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
    except FileNotFoundError:  # there was no filter to detach
        return True
    except OSError as error:
        logger.info(
            "packets of cut-off peers are read and discarded: the socket accepts no filter (%s)", error
        )
        return False
    return True


def program(family: int, addresses: Iterable[tuple[str, int]]) -> Iterator[Step]:
    """A program that accepts nothing of a packet from one of these sources, and all of any other."""
    offset = 8 if family == socket.AF_INET6 else 12  # of the source address in the IP header
    for host, port in addresses:
        packed = socket.inet_pton(family, host.partition("%")[0])
        words = struct.unpack(f"!{len(packed) // 4}I", packed)
        left = 2 * len(words) + 3  # steps left for this address
        for number, word in enumerate(words):
            left -= 2
            yield (_WORD, 0, 0, _NETWORK + offset + 4 * number)
            yield (_IF_EQUAL, 0, left, word)
        yield (_HALF, 0, 0, _SOURCE_PORT)
        yield (_IF_EQUAL, 0, 1, port)
        yield (_RETURN, 0, 0, _NOTHING)
    yield (_RETURN, 0, 0, _ALL)
