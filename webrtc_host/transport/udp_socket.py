"""One UDP socket for the packets of all peers. The event loop reads it, or a thread while the loop is busy.

This module holds the socket, the packets that wait, and their counters; `one_port.py` handles the packets.
Reading in the loop, several packets at a time, costs least. A packet that comes alone is read at once. When
packets come closer than `GATHER_S`, they are read together, once in that time. The system's buffer is small
(by default on Linux: 0.6 s of 16 channels), so when the loop has not read for 20 ms, a thread reads the
packets into a bounded queue, and the loop takes them from there later.
Invariant: packets are passed on in the order of arrival, in the loop, with the address they were sent to.
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from webrtc_host.transport import packet_filter

logger = logging.getLogger(__name__)

Address = tuple[str, int]

WATCH_S = 0.02  # 200 channels with 50 packets a second fill Linux' default buffer in 25 ms
WAITING_MAX = 65_536  # 5 s of 256 channels, about 20 MB; beyond it the newest packets are dropped and counted
GATHER_S = 0.01  # fewer wake-ups of the loop, for a delay of at most 10 ms
BATCH = 64  # packets per turn of the loop, about 5 ms of work, so that other tasks get their turns
RESCUE_BATCHES = 64  # per WATCH_S: 200,000 packets a second; more would make the loop wait for the lock
DATAGRAM_MAX = 2048  # WebRTC packets have at most about 1200 bytes
BUFFER_BYTES = 4 * 1024 * 1024
_CONTROL_BYTES = 64
_IP_PKTINFO = getattr(
    socket, "IP_PKTINFO", 26 if sys.platform == "darwin" else 8
)  # named from Python 3.12 on
_SO_RCVBUFFORCE = 33  # Linux, for root only: a larger buffer than net.core.rmem_max
_SO_MEMINFO = 55  # Linux: nine 32-bit figures; the last counts packets dropped by a full buffer
_MEMINFO_BYTES = 36


class Packet(NamedTuple):
    data: bytes
    source: Address
    own: str | None
    """The address of this machine that it was sent to, where the socket listens on several."""


@dataclass
class UdpFigures:
    """Packets of one socket."""

    packets: int = 0
    rescued: int = 0  # read by the thread
    dropped: int = 0  # the queue was full
    unsent: int = 0  # the system did not accept them


class UdpSocket:
    """A bound UDP socket with its reader in the loop and its reader in a thread."""

    def __init__(self, sock: socket.socket, take: Callable[[list[Packet]], None]) -> None:
        """sock: bound. take: called in the loop, with up to BATCH packets."""
        self.sock = sock
        self.family = sock.family
        self.figures = UdpFigures()
        self._take = take
        self._waiting: deque[Packet] = deque()
        self._lock = threading.Lock()  # held while reading, so that packets keep their order
        self._turns = 0  # of the loop; the thread sees by it that the loop is not blocked
        self._is_scheduled = False  # the loop will call `_readable`
        self._is_gathering = False  # True: a timer reads; False: the loop reads when the socket is readable
        self._timer: asyncio.Handle | None = None
        self._read_s = -math.inf  # time of the last read
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run_thread, name="udp reader", daemon=True)
        self._source_controls: dict[str, list[tuple[int, int, bytes]]] = {}
        own = sock.getsockname()[0]
        self._is_wildcard = own in ("0.0.0.0", "::")
        sock.setblocking(False)
        _enlarge(sock)
        if self._is_wildcard:
            self._ask_for_destinations()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self.sock, self._readable)
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._loop.remove_reader(self.sock)
        if self._timer is not None:
            self._timer.cancel()
        self.sock.close()

    def send(self, data: bytes, to: Address, own: str | None = None) -> None:
        """own: the address to send from, as it was in a packet received there; None: the system chooses.

        Without it a machine with several addresses may reply from another one than the packet was sent to,
        and the peer discards the reply. What the system does not accept now is lost, as on any network.
        """
        try:
            if own is None or not self._is_wildcard:
                self.sock.sendto(data, to)
            else:
                self.sock.sendmsg([data], self._source_control(own), 0, to)
        except OSError as error:  # buffer full, unreachable, forbidden: UDP promises no delivery
            self.figures.unsent += 1
            logger.debug("x %d bytes to %s: %s", len(data), to, error)

    def block(self, addresses: Iterable[Address]) -> None:
        """Let the system drop packets from these addresses, and from no others."""
        is_ipv6 = self.family == socket.AF_INET6
        packet_filter.block(self.sock, [a for a in addresses if (":" in a[0]) == is_ipv6])

    @property
    def is_gathering(self) -> bool:
        """Whether a timer fetches packets together, because they follow closely."""
        return self._is_gathering

    @property
    def is_watched(self) -> bool:
        """Whether the thread runs that reads while the event loop is busy."""
        return self._thread.is_alive()

    def statistics(self) -> dict[str, int]:
        figures = self.figures
        return {
            "packets": figures.packets,
            "rescued": figures.rescued,
            "dropped": figures.dropped + self._lost_by_system(),
            "unsent": figures.unsent,
            "waiting": len(self._waiting),
        }

    def _readable(self) -> None:
        """In the loop: the socket has packets, or the thread has read some."""
        is_more = self._pass_on_batch()
        now_s = self._loop.time()
        if is_more:
            self._schedule()
        elif not self._is_gathering and now_s - self._read_s < GATHER_S:
            self._is_gathering = True
            self._loop.remove_reader(self.sock)
            self._timer = self._loop.call_later(GATHER_S, self._gather)
        self._read_s = now_s

    def _gather(self) -> None:
        """In the loop, by the timer: read what came since. When nothing came, wait for the socket again."""
        before = self.figures.packets
        if self._pass_on_batch():
            self._timer = self._loop.call_soon(self._gather)
        elif self.figures.packets > before:
            self._timer = self._loop.call_later(GATHER_S, self._gather)
        else:
            self._is_gathering, self._timer = False, None
            self._loop.add_reader(self.sock, self._readable)

    def _pass_on_batch(self) -> bool:
        """Pass on packets that wait, else packets from the socket, up to BATCH. True: there may be more."""
        self._turns += 1
        self._is_scheduled = False
        with self._lock:
            waiting = self._waiting
            batch = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
            if not waiting and len(batch) < BATCH:
                batch += self._read(BATCH - len(batch))
        self.figures.packets += len(batch)
        if batch:
            self._take(batch)
        return len(batch) == BATCH

    def _run_thread(self) -> None:
        """The thread: while the loop does not read, keep the system's buffer empty."""
        seen = -1
        while not self._stopped.wait(WATCH_S):
            if self._turns != seen:
                seen = self._turns
                continue
            with self._lock:
                self._read_in_thread()

    def _read_in_thread(self) -> None:
        for _ in range(RESCUE_BATCHES):
            packets = self._read(BATCH)
            room = WAITING_MAX - len(self._waiting)
            self._waiting.extend(packets[:room])
            self.figures.rescued += min(room, len(packets))
            self.figures.dropped += max(0, len(packets) - room)
            if len(packets) < BATCH:
                break
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._readable)
            except RuntimeError:  # the event loop has ended, so the thread ends too
                self._stopped.set()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._readable)

    def _read(self, count: int) -> list[Packet]:
        packets: list[Packet] = []
        read = self._read_one_of_many if self._is_wildcard else self._read_one
        while len(packets) < count:
            try:
                packets.append(read())
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:  # for example "connection refused" for an earlier packet of ours
                logger.debug("x the UDP socket reports: %s", error)
                break
        return packets

    def _read_one(self) -> Packet:
        data, source = self.sock.recvfrom(DATAGRAM_MAX)
        return Packet(data, source[:2], None)

    def _read_one_of_many(self) -> Packet:
        data, control, _, source = self.sock.recvmsg(DATAGRAM_MAX, _CONTROL_BYTES)
        return Packet(data, source[:2], _destination(control))

    def _ask_for_destinations(self) -> None:
        if self.family == socket.AF_INET6:
            self.sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            self.sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)

    def _source_control(self, own: str) -> list[tuple[int, int, bytes]]:
        """The control message that sets `own` as the source address."""
        found = self._source_controls.get(own)
        if found is None:
            packed = socket.inet_pton(self.family, own)
            if self.family == socket.AF_INET6:
                found = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed + struct.pack("@I", 0))]
            else:  # struct in_pktinfo: interface (0: by route), sender, unused
                found = [(socket.IPPROTO_IP, _IP_PKTINFO, struct.pack("@I4s4s", 0, packed, bytes(4)))]
            self._source_controls[own] = found
        return found

    def _lost_by_system(self) -> int:
        try:
            figures = self.sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES)
            return int(struct.unpack("=9I", figures)[8])
        except (OSError, struct.error):  # not Linux: the system has no such counter
            return 0


def _destination(control: list[tuple[int, int, bytes]]) -> str | None:
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return socket.inet_ntop(socket.AF_INET, data[8:12])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return socket.inet_ntop(socket.AF_INET6, data[:16])
    return None


def _enlarge(sock: socket.socket) -> None:
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            return
        except OSError:
            continue
