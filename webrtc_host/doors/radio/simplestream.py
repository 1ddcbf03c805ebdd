"""The UDP port for live audio of trunk-recorder's plugin simplestream: text while a call is on the air.

Off by default, because the datagrams carry no key; an address that is not allowed is not read. Each call of a
talkgroup opens the talkgroup's channel and closes it when the call ends or nothing more comes. Datagrams have
no time, so audio is placed where it arrives (`socket_feed`). Invariants: at most `STREAMS_MAX` calls, each
with at most `SLICES_MAX` datagrams, are in memory; a datagram that cannot be read is counted and dropped.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from host_stt.contract import Float32Array
from host_stt_common.callers import plain_address, plain_network
from host_stt_common.pages import is_address
from webrtc_host.config import MediaConfig
from webrtc_host.doors.radio.slices import BadSlice, Slice, SliceEvent, read_slice
from webrtc_host.doors.radio.talkgroups import Talkgroups
from webrtc_host.doors.socket_audio import ToSixteen
from webrtc_host.doors.socket_feed import TICKS_PER_SAMPLE, FeedConfig, SocketFeed
from webrtc_host.errors import RequestError
from webrtc_host.events import Talker
from webrtc_host.media.resample import Piece
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.settings.radio import SimplestreamConfig

logger = logging.getLogger(__name__)

STREAMS_MAX = 64
SLICES_MAX = 500
"""Of one call; trunk-recorder sends 50 in a second."""
TICK_S = 0.25
WARN_EVERY_S = 10.0
Key = tuple[str, int]
"""(short name of the system, talkgroup)."""


class SimplestreamPort(asyncio.DatagramProtocol):
    """The port. `running` is a start step; with `port` 0 it does nothing."""

    def __init__(
        self,
        registry: SessionRegistry,
        talkgroups: Talkgroups,
        config: SimplestreamConfig,
        media: MediaConfig | None = None,
    ) -> None:
        """media: when a channel has no signal; None: the defaults."""
        self._registry, self._talkgroups, self._config = registry, talkgroups, config
        self._media = media or MediaConfig()
        self._allowed = tuple(plain_network(network) for network in config.allow)
        self._streams: dict[Key, _Stream] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._warned_s = float("-inf")
        self.totals = {"datagrams": 0, "malformed": 0, "refused": 0, "unknown": 0, "dropped": 0, "calls": 0}

    @property
    def port(self) -> int | None:
        """The UDP port; None while it is not open."""
        if self._transport is None:
            return None
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def statistics(self) -> dict[str, float]:
        return {**self.totals, "streams": len(self._streams)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        if self._config.port:
            await self.open(self._config.host, self._config.port)
        try:
            yield
        finally:
            await self.close()

    async def open(self, host: str, port: int) -> None:
        """Raises OSError when the port is in use. port 0: the system chooses."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, port))
        logger.info("simplestream: listening on UDP %s:%s", host, self.port)

    async def close(self) -> None:
        """Take no more datagrams, and transcribe what has come. A second call does nothing."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        for stream in list(self._streams.values()):
            await self._registry.end_connection(stream.connection, "server_stopping")
        if self._ending:
            await asyncio.wait(set(self._ending))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.totals["datagrams"] += 1
        if not self._is_allowed(addr[0]):
            self.totals["refused"] += 1
            self._warn("%s sends audio and is not in radio.simplestream.allow", addr[0])
            return
        try:
            slice_ = read_slice(data, lambda talkgroup: self._talkgroups.find(None, talkgroup) is not None)
            self._take(slice_)
        except BadSlice as error:
            self.totals["malformed"] += 1
            self._warn("a datagram of %s was dropped: %s", addr[0], error)
        except RequestError as error:
            self.totals["unknown"] += 1
            self._warn("a datagram of %s was dropped: %s", addr[0], error.message)
        except Exception:
            logger.exception("a datagram of %s caused an error", addr[0])

    def error_received(self, exc: Exception) -> None:
        self._warn("the port of simplestream: %s", exc)

    def _is_allowed(self, address: str) -> bool:
        address = plain_address(address.partition("%")[0])
        if not is_address(address):
            return False
        parsed = ipaddress.ip_address(address)
        return any(parsed in network for network in self._allowed if network.version == parsed.version)

    def _take(self, slice_: Slice) -> None:
        """Raises RequestError when there is no channel for the audio."""
        key = (slice_.system or "", slice_.talkgroup)
        stream = self._streams.get(key)
        if stream is None:
            if slice_.event is SliceEvent.CALL_END:
                return
            stream = self._begin(key, slice_)
        if not stream.put(slice_):
            self.totals["dropped"] += 1

    def _begin(self, key: Key, slice_: Slice) -> _Stream:
        systems = None if slice_.system is None else (slice_.system,)
        self._talkgroups.check(systems, slice_.talkgroup)
        if len(self._streams) >= STREAMS_MAX:
            raise RequestError("too_many_streams", f"{STREAMS_MAX} calls are on the air already", 429)
        session = self._registry.current()
        spec = self._talkgroups.channel_of(session, systems, slice_.talkgroup, slice_.label)
        stream = _Stream(self._registry, session, spec, self._media, self._config.hang_s)
        self._streams[key] = stream
        self.totals["calls"] += 1
        task = asyncio.create_task(self._follow(key, stream), name=f"simplestream {key[0]} {key[1]}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return stream

    async def _follow(self, key: Key, stream: _Stream) -> None:
        try:
            await stream.run()
        except Exception:
            logger.exception("the stream of talkgroup %d of %r failed", key[1], key[0])
        finally:
            del self._streams[key]
            stream.leave()

    def _warn(self, text: str, *arguments: object) -> None:
        """At most one warning in `WARN_EVERY_S`; the figures count every datagram."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._warned_s >= WARN_EVERY_S:
            self._warned_s = now_s
            logger.warning(text, *arguments)


class _Stream:
    """One call that is on the air: its connection, its queue, and the place of its audio."""

    def __init__(
        self,
        registry: SessionRegistry,
        session: Session,
        spec: ChannelSpec,
        media: MediaConfig,
        hang_s: float,
    ) -> None:
        """Raises RequestError when another connection feeds the channel."""
        self._registry, self._hang_s = registry, hang_s
        self._slices: asyncio.Queue[Slice | None] = asyncio.Queue(SLICES_MAX)
        self.connection: Connection = registry.connect(session, DoorKind.SIMPLESTREAM, [spec], self._end)
        self._channel = self.connection.channels[0]
        self._channel.open()
        no_signal_samples = media.no_signal_samples(self._channel.id)
        self._feed = SocketFeed(self._channel, FeedConfig(no_signal_samples=no_signal_samples))
        self._rate = 0
        self._resampler: ToSixteen | None = None
        self._samples = 0  # at 16 kHz
        self._reason = "stopped"
        self._is_over = asyncio.Event()

    def put(self, slice_: Slice) -> bool:
        """False: the queue is full, and the slice is dropped."""
        try:
            self._slices.put_nowait(slice_)
        except asyncio.QueueFull:
            return False
        return True

    async def run(self) -> None:
        """Until the call ends. The channel is then still open (`leave`)."""
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        while True:
            try:
                async with asyncio.timeout(TICK_S):
                    slice_ = await self._slices.get()
            except TimeoutError:
                self._feed.on_tick()
                if loop.time() - heard_s > self._hang_s:
                    break
                continue
            if slice_ is None or slice_.event is SliceEvent.CALL_END:
                break
            heard_s = loop.time()
            await self._feed_slice(slice_)
        await self._finish()

    def leave(self) -> None:
        """Free the channel at once; its last words are transcribed in the background."""
        if self._channel.connection is self.connection:
            self._channel.talkers.end(self._channel.session.now_ms())
            self._channel.detach(self._reason)
        self._registry.disconnect(self.connection)
        self._is_over.set()

    async def _feed_slice(self, slice_: Slice) -> None:
        if len(slice_.samples) == 0:
            return
        self._note_talker(slice_)
        if self._resampler is None or slice_.rate != self._rate:
            await self._flush_resampler()
            self._resampler, self._rate = ToSixteen(slice_.rate), slice_.rate
        await self._put(self._resampler.feed(slice_.samples))

    def _note_talker(self, slice_: Slice) -> None:
        talkers = self._channel.talkers
        if slice_.source is None or (talkers.now is not None and talkers.now.id == slice_.source):
            return
        talkers.begin(Talker(slice_.source, self._channel.session.now_ms(), slice_.source_label))

    async def _flush_resampler(self) -> None:
        if self._resampler is not None:
            await self._put(self._resampler.flush())

    async def _put(self, samples: Float32Array) -> None:
        if len(samples):
            at, self._samples = self._samples, self._samples + len(samples)
            await self._feed.put(Piece(at * TICKS_PER_SAMPLE, samples))

    async def _finish(self) -> None:
        self._feed.hurry()
        while not self._slices.empty():  # what had come when the server stopped
            slice_ = self._slices.get_nowait()
            if slice_ is not None:
                await self._feed_slice(slice_)
        await self._flush_resampler()
        self._feed.flush()

    async def _end(self, reason: str) -> int:
        """Called by the registry when the session ends or the server stops. Returns the last seq."""
        self._reason = reason
        self._feed.hurry()
        if self._slices.full():
            self._slices.get_nowait()
        self._slices.put_nowait(None)
        await self._is_over.wait()
        await self._channel.wait_detached()
        return self._channel.session.log.head_seq
