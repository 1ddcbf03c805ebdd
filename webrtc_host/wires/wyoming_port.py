"""The TCP port of the Wyoming protocol, for Home Assistant. `wyoming.py` is the codec.

Off by default, because the protocol has no key: only addresses of `doors.wyoming.allow` are served. Each
round, from one transcript to the next, is one conversation (`conversation.py`) with its own channel; the
connection goes on after it. Invariants: at most `connections` connections are open; of each one, at most one
event is in memory besides asyncio's buffer; after `close` no task of the port is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import WSMessage, WSMsgType

from host_stt_common.callers import caller_key, plain_address, plain_network
from host_stt_common.languages import NAMES
from host_stt_common.pages import is_address
from host_stt_common.rates import FrameRate
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import Audit
from webrtc_host.http.roles import Role
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.settings.wyoming import WyomingSettings
from webrtc_host.transcript.records import AuditLine
from webrtc_host.wires.conversation import Conversation
from webrtc_host.wires.messages import SERVER_STOPPING
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.wyoming import Program, WyomingCodec
from webrtc_host.wires.wyoming_events import LINE_BYTES_MAX, PAYLOAD_BYTES_MAX, Event, lengths_of

logger = logging.getLogger(__name__)

TRAITS = Traits(
    DoorKind.WYOMING,
    frame_bytes=PAYLOAD_BYTES_MAX,
    first_message_s=300.0,  # also between two commands of a client that keeps its connection
    idle_s=30.0,
    read_ahead_bytes=0,  # no pings wait behind the audio; and what follows belongs to the next round
)
CLOSE_S = 2.0
WARN_EVERY_S = 10.0


class WyomingPort:
    """The port. `running` is a start step; it does nothing when the port is not enabled."""

    def __init__(
        self, site: Site, settings: WyomingSettings, audit: Audit, version: str, model: Callable[[], str]
    ) -> None:
        """model: the name of the engine's model."""
        self._site, self._settings, self._audit = site, settings, audit
        self._version, self._model = version, model
        self._allowed = tuple(plain_network(network) for network in settings.allow)
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._rounds: set[Conversation] = set()
        self._is_closing = False
        self._warned_s = float("-inf")
        self.totals = {"connections": 0, "refused": 0, "rounds": 0}

    @property
    def port(self) -> int | None:
        """The TCP port; None while it is not open."""
        if self._server is None or not self._server.sockets:
            return None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def statistics(self) -> dict[str, float]:
        return {**self.totals, "open": len(self._serving)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self._settings.enabled:
            await self.open()
        try:
            yield
        finally:
            await self.close()

    async def open(self) -> None:
        """Raises OSError when the port is in use."""
        settings, self._is_closing = self._settings, False
        self._server = await asyncio.start_server(
            self._accept, settings.host, settings.port, limit=LINE_BYTES_MAX
        )
        logger.info("wyoming: listening on TCP %s:%s", settings.host, self.port)

    async def close(self) -> None:
        """Accept no more connections, and transcribe what has come. A second call does nothing."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
            self._server = None
        await asyncio.gather(*(one.end(SERVER_STOPPING) for one in list(self._rounds)))
        if self._serving:
            await asyncio.wait(set(self._serving))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.totals["connections"] += 1
        address = plain_address(str(writer.get_extra_info("peername")[0]).partition("%")[0])
        if not self._is_allowed(address):
            self._refuse(writer, "not_allowed", "this address is not in doors.wyoming.allow", address)
        elif len(self._serving) >= self._settings.connections or self._is_closing:
            most = self._settings.connections
            self._refuse(writer, "too_many", f"{most} connections are open already (doors.wyoming)", address)
        else:
            task = asyncio.create_task(self._serve(reader, writer, address), name="serve client of socket")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    def _refuse(self, writer: asyncio.StreamWriter, code: str, why: str, address: str) -> None:
        self.totals["refused"] += 1
        now_s = asyncio.get_running_loop().time()
        if now_s - self._warned_s >= WARN_EVERY_S:
            self._warned_s = now_s
            logger.warning("wyoming: %s was refused: %s", address, why)
        writer.write(Event("error", {"text": why, "code": code}).frame())
        writer.close()

    def _is_allowed(self, address: str) -> bool:
        if not is_address(address):
            return False
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._allowed if network.version == parsed.version)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        caller = WyomingCaller(address, writer, self._audit)
        try:
            with self._site.rates.socket(caller.key) as rate:
                while not self._is_closing and await self._converse(reader, writer, caller, rate):
                    self.totals["rounds"] += 1
        except Exception:
            logger.exception("a connection of the wyoming port failed")
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await writer.wait_closed()
            writer.transport.abort()  # a client that does not read its last events

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        caller: WyomingCaller,
        rate: FrameRate,
    ) -> bool:
        """One round. False: it was the last one."""
        program = Program(self._version, self._model(), tuple(NAMES))
        socket = WyomingSocket(reader, writer)
        codec = WyomingCodec(program, self._settings.channel or None)
        conversation = Conversation(self._site, TRAITS, codec, caller, rate)
        self._rounds.add(conversation)
        try:
            await conversation.run(socket)
        finally:
            self._rounds.discard(conversation)
        return socket.is_round_over


class WyomingCaller:
    """A client of the port, identified by its address; the protocol has no key."""

    def __init__(self, address: str, writer: asyncio.StreamWriter, audit: Audit) -> None:
        self._address, self._writer, self._audit = address, writer, audit
        self.key = caller_key(address)
        self.name = None
        self.transport = None  # the StreamReader stops reading when 128 KiB wait

    @property
    def is_connected(self) -> bool:
        return not self._writer.transport.is_closing()

    def note_feed(self, session: str, channels: Sequence[str], detail: str) -> None:
        line = AuditLine(DoorKind.WYOMING, self._address, "fed", session, ",".join(channels), detail)
        self._audit.write_soon(line, Role.OPERATOR.value)


class WyomingSocket:
    """The connection during one round: a `caller.FrameSocket` whose frames are events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.is_round_over = False
        """The round ended in order, so the connection may have another one."""

    async def receive(self, timeout: float | None = None) -> WSMessage:  # noqa: ASYNC109  # as of aiohttp
        try:
            async with asyncio.timeout(timeout):
                return WSMessage(WSMsgType.BINARY, await self._read(), None)
        except asyncio.IncompleteReadError as end:
            return WSMessage(WSMsgType.CLOSED if end.partial else WSMsgType.CLOSE, None, None)
        except asyncio.LimitOverrunError as error:
            message = f"the line of an event has more than {LINE_BYTES_MAX} bytes"
            raise RequestError("too_large", message, 413) from error
        except ConnectionError:
            return WSMessage(WSMsgType.CLOSED, None, None)

    async def _read(self) -> bytes:
        """One whole event."""
        line = await self._reader.readuntil(b"\n")
        rest = sum(lengths_of(line))
        return line + await self._reader.readexactly(rest) if rest else line

    async def pong(self, message: bytes = b"") -> None:
        return None

    async def send_str(self, data: str) -> None:
        await self.send_bytes(data.encode())

    async def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self, *, code: int = 1000, message: bytes = b"", drain: bool = True) -> bool:
        """The round is over; with another code than 1000 the port closes the connection."""
        self.is_round_over = code == 1000 and not self._writer.transport.is_closing()
        return True
