"""The inputs of one connection: its sources, and the channels that they hold.

It admits a source (limits, sessions, takeovers), and closes what is open. `conversation.py` says when.
Invariants: a source is open with all its channels, or nothing of it is; after `close` or `release` every
channel is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable

from webrtc_host.doors.socket_start import check_start
from webrtc_host.errors import RequestError
from webrtc_host.glossary.entries import MisheardTerm
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.connection import Connection
from webrtc_host.session.resume import Claim, Refusal
from webrtc_host.session.takeover import take_over_dead
from webrtc_host.wires.caller import Caller
from webrtc_host.wires.messages import STOPPED, Audio, Open, Opened, Result
from webrtc_host.wires.result_pump import Deliver, ResultPump
from webrtc_host.wires.site import Site, Traits
from webrtc_host.wires.source import Source, channel_spec

logger = logging.getLogger(__name__)

SOURCES_MAX = 64
"""Sources of one connection; as many as a session has channels."""


class Inputs:
    def __init__(
        self,
        site: Site,
        traits: Traits,
        caller: Caller,
        *,
        end: Callable[[str], Awaitable[int]],
        release: Callable[[str], None],
        deliver: Deliver,
    ) -> None:
        """end, release: as of `session.connection.Connection`. deliver: see `ResultPump`."""
        self._site = site
        self._traits = traits
        self._caller = caller
        self._end = end
        self._release = release
        self._deliver = deliver
        self._places = contextlib.ExitStack()  # of containers
        self._frames = 0
        self._bytes = 0
        self.sources: dict[str, Source] = {}
        self.connection: Connection | None = None
        self.pump: ResultPump | None = None

    @property
    def open_sources(self) -> list[Source]:
        return [source for source in self.sources.values() if not source.is_closed]

    @property
    def is_byte_stream(self) -> bool:
        """Whether binary messages are pieces of one stream of bytes, so that they may be joined."""
        return len(self.sources) == 1 and all(source.is_byte_stream for source in self.sources.values())

    async def take(self, audio: Audio) -> None:
        """Decode and place audio; waits while it comes faster than real time."""
        source = self.sources.get(audio.source)
        if source is None or source.is_closed:
            raise RequestError("no_start", "audio came for a source that is not open", 400)
        limit = self._traits.frame_bytes
        if len(audio.data) > limit:
            message = f"a frame of {len(audio.data)} bytes; {limit} at most, send smaller ones"
            raise RequestError("too_large", message, 413)
        self._frames += 1
        self._bytes += len(audio.data)
        await source.write(audio.data)

    async def open(self, start: Open) -> Opened:
        """Admit a source. Raises RequestError; then the inputs are as before."""
        registry = self._site.registry
        if start.source in self.sources or len(self.sources) >= SOURCES_MAX:
            raise RequestError("bad_field", f"{start.source!r} is open already, or one too many", 422)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._site.room_for(start.format))
            session = registry.get_live(start.session)
            check_start(start.start_sample, session.now_sample())
            named = [spec.channel for spec in start.streams if spec.channel is not None]
            channels = [registry.channel(session, channel) for channel in named]
            claim = await self._claimed(start.resume, channels)
            for channel in channels:
                await take_over_dead(registry, channel)
            opened = self._connect(start, [channel_spec(spec) for spec in start.streams], claim)
            self._places.push(stack.pop_all())
        return opened

    def _connect(self, start: Open, specs: list[ChannelSpec], claim: Claim | None) -> Opened:
        """Get the channels and open them: all, or none. Without an await, so that no end comes between."""
        connection, is_first = self.connection, self.connection is None
        if connection is None:
            connection = self._connected(start, specs, claim)
            channels = connection.channels
        else:
            channels = self._site.registry.extend(connection, specs)
        try:
            source = self._opened(start, channels, connection)
        except BaseException:
            self._undo(connection, channels, is_first=is_first)
            raise
        self.connection = connection
        self.sources[start.source] = source
        session = connection.session
        ids = [channel.id for channel in channels]
        self._caller.note_feed(session.id, ids, f"{self._traits.door} {connection.id}")
        encoding = start.format.encoding.value
        logger.info("socket %s opened: %s feeds %s", connection.id[:6], encoding, ", ".join(ids))
        named = {spec.name: channel.id for spec, channel in zip(start.streams, channels, strict=True)}
        return Opened(start.source, session.id, connection.id, named, session.now_ms())

    def _connected(self, start: Open, specs: list[ChannelSpec], claim: Claim | None) -> Connection:
        registry, tokens = self._site.registry, self._site.tokens
        connection = registry.connect(
            *(registry.get_live(start.session), self._traits.door, specs, self._end, self._release),
            by=self._caller.name,
            on_disconnect=None if tokens is None else tokens.closed,
        )
        if claim is not None and tokens is not None:
            tokens.give(connection, claim)
        return connection

    def _opened(self, start: Open, channels: tuple[Channel, ...], connection: Connection) -> Source:
        subscribers = self._site.subscribers
        if self.pump is None and self._traits.has_results and subscribers is not None:
            self.pump = ResultPump(subscribers, connection.session, self._caller.key, self._deliver)
        source = Source.opened(start, channels, self._site.feed_config)
        if self.pump is not None:
            self.pump.add(source, connection.id)
        return source

    def _undo(self, connection: Connection, channels: Iterable[Channel], *, is_first: bool) -> None:
        for channel in channels:
            channel.detach("refused")
            self._site.registry.release_channel(connection, channel)
        if is_first:
            self._site.registry.disconnect(connection)
            if self.pump is not None:
                self.pump.close()
                self.pump = None

    async def _claimed(self, resume: str | None, channels: list[Channel]) -> Claim | None:
        """What a resume token allows. An earlier connection of the same client gives up the channel."""
        if resume is None or self._site.tokens is None or len(channels) != 1:
            return None
        claim, channel = self._site.tokens.find(resume), channels[0]
        if isinstance(claim, Refusal) or claim.session != channel.session.id:
            return None
        holder = self._site.registry.holder_of(channel)
        if claim.channels != (channel.id,):
            return None
        if holder is not None and holder.id == claim.connection:
            await self._site.registry.take_over(holder)
        return claim

    def set_terms(self, terms: tuple[str, ...], misheard: tuple[MisheardTerm, ...] = ()) -> None:
        """The terms that the channels expect from now on."""
        if self.connection is not None:
            for channel in self.connection.channels:
                channel.claim(self.connection, ChannelSpec(channel.id, terms=terms, misheard=misheard))

    def set_language(self, language: str) -> None:
        """The language that the channels have from now on."""
        if self.connection is not None:
            for channel in self.connection.channels:
                channel.claim(self.connection, ChannelSpec(channel.id, language=language))
                if channel.pipeline is not None:
                    channel.pipeline.set_language(language)

    async def finish(self) -> None:
        """No more audio comes: decode what is left."""
        for source in self.open_sources:
            await source.finish()

    async def close_source(self, source: Source) -> None:
        """Finish the last words of one source, and free its channels."""
        await source.finish()
        await source.drain(is_readable=True)
        await source.close(STOPPED)
        if self.connection is not None:
            for stream in source.streams:
                self._site.registry.release_channel(self.connection, stream.channel)

    def on_tick(self) -> None:
        for source in self.open_sources:
            source.on_tick()

    def hurry(self) -> None:
        """The connection ends, so audio no longer waits for real time."""
        for source in self.sources.values():
            source.hurry()

    def release(self, reason: str) -> bool:
        """Detach from the channels at once. False: there was nothing left to detach from."""
        attached = [source for source in self.open_sources if not source.is_detached]
        if self.connection is None or not attached:
            return False
        for source in attached:
            source.detach(reason)
        self._site.registry.disconnect(self.connection)
        return True

    async def close(self, reason: str, *, is_readable: bool) -> int | None:
        """Decode the rest, finish the last words of all channels, and free them.

        is_readable: False after an error. Returns the seq of the last event; None when nothing was open.
        """
        if self.connection is None:
            return None
        left = self.open_sources
        for source in left:
            await source.drain(is_readable=is_readable)
        seqs = await asyncio.gather(*(source.close(reason) for source in left))
        self._site.registry.disconnect(self.connection)
        self._count()
        logger.info("socket %s closed (%s)", self.connection.id[:6], reason)
        return max((seq for seq in seqs if seq is not None), default=self.connection.session.log.head_seq)

    def free(self) -> None:
        """Free the places of containers, and drop everything that refers back to the conversation.

        Without it, an ended conversation and its HTTP connection would wait for Python's cycle collector.
        """
        self._places.close()
        self._end, self._release, self._deliver = _end_nothing, _release_nothing, _deliver_nothing
        self.sources.clear()
        self.connection = self.pump = None

    def _count(self) -> None:
        totals, sources = self._site.totals, self.sources.values()
        totals["frames"] += self._frames
        totals["bytes"] += self._bytes
        totals["audio_ms"] += sum(source.audio_ms for source in sources)
        totals["slowed"] += sum(source.waits for source in sources)


async def _end_nothing(reason: str) -> int:
    return 0


def _release_nothing(reason: str) -> None:
    return None


async def _deliver_nothing(results: list[Result]) -> None:
    return None
