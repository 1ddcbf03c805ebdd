"""One peer connection: negotiate, watch it, feed its channels, and leave nothing behind.

Owns an aiortc connection with its tracks and time-outs. aiortc never gives up on a client that does not come
(still `connecting` after 46 s) and notices a vanished one after 31 s, so the watch is ours. Which channels it
may feed is the registry's; what the audio becomes is the channels'.
Invariant: `end` runs once, however many ask for it; after it no task, thread or socket of this peer is left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)

from webrtc_host.channel import Connection
from webrtc_host.config import MediaConfig
from webrtc_host.errors import RequestError
from webrtc_host.media import sdp
from webrtc_host.media.aiortc_settings import fit_aiortc
from webrtc_host.media.ice_servers import issue
from webrtc_host.media.track import TrackFeed
from webrtc_host.sessions import Session, SessionRegistry

logger = logging.getLogger(__name__)

DATA_CHANNEL = "transcript"
TICK_S = 0.25
CLOSE_TIMEOUT_S = 5.0  # aiortc's own close has been seen to hang in DTLS (its issues 413, 1143)
VANISHED_AFTER_S = 5.0  # a peer that closed while its packets came said goodbye; else consent ran out

DrainDataChannel = Callable[[], Awaitable[None]]
"""Returns when what the desk had to say has left, or cannot; takes a second at most."""
AttachDataChannel = Callable[[RTCDataChannel, Session, tuple[str, ...]], DrainDataChannel | None]
"""Hands the client's `transcript` channel to the desk: (channel, session, ids of the channels it carries)."""


class Peer:
    def __init__(self, registry: SessionRegistry, config: MediaConfig, attach: AttachDataChannel) -> None:
        fit_aiortc()
        self._registry = registry
        self._config = config
        self._attach = attach
        self._drain_data: DrainDataChannel | None = None
        self._connection: Connection | None = None
        self._feeds: list[TrackFeed] = []
        self._closing: dict[TrackFeed, asyncio.Task[int]] = {}  # those whose channel is closed or closing
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch_task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[int] | None = None
        self._pc = RTCPeerConnection(
            RTCConfiguration(
                # Never aiortc's default, which is a public STUN server.
                iceServers=[
                    RTCIceServer(list(s.urls), s.username or None, s.credential or None)
                    for s in issue(config.ice_servers, time.time())
                ],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )

    async def answer(self, offer: str, connection: Connection) -> str:
        """Negotiate and begin to wait for the client. Returns the answer with all candidates in it.

        Raises RequestError 422 when aiortc cannot use the offer; the caller then calls `end`.
        """
        self._connection = connection
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", self._on_data_channel)
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp.prepare_offer(offer), "offer"))
            self._assign_tracks(connection)
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except Exception as error:
            # aiortc refuses with any kind of error: assertions, key errors, its own. The text names no audio.
            logger.info("an offer was refused: %r", error)
            reason = str(error) or type(error).__name__
            raise RequestError("unusable_sdp", f"the offer cannot be used: {reason[:200]}", 422) from error
        self._watch_task = asyncio.create_task(self._watch(), name=f"watch {connection.id}")
        return sdp.announce(self._pc.localDescription.sdp, self._config.announce)

    async def end(self, reason: str) -> int:
        """Drain, flush the last words, close. Returns the seq of the last event of its channels."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(reason), name=f"end peer ({reason})")
        return await asyncio.shield(self._ending)

    def _assign_tracks(self, connection: Connection) -> None:
        """Audio lines feed the connection's channels in order; video is declined."""
        channels = iter(connection.channels)
        for transceiver in self._pc.getTransceivers():
            if transceiver.kind == "audio":
                feed = TrackFeed(transceiver.receiver, next(channels), self._config, self._on_track_over)
                self._feeds.append(feed)
            else:
                transceiver.direction = "inactive"

    def _on_state(self) -> None:
        state = self._pc.connectionState
        logger.debug("= %s %s", self._name, state)
        if self._ending is not None:
            return
        if state == "connected":
            for feed in self._feeds:
                feed.start()
        elif state == "failed":
            self._spawn(self._end_quietly("ice_failed"))
        elif state == "closed":
            self._spawn(self._end_quietly(self._farewell()))

    def _farewell(self) -> str:
        """Why a peer that is closed closed."""
        vanished = all(feed.is_silent_for(VANISHED_AFTER_S) for feed in self._feeds)
        return "connection_lost" if vanished else "peer_closed"

    def _on_data_channel(self, channel: RTCDataChannel) -> None:
        if self._connection is None or channel.label != DATA_CHANNEL:
            return
        ids = tuple(c.id for c in self._connection.channels)
        try:
            self._drain_data = self._attach(channel, self._connection.session, ids)
        except Exception:
            logger.exception("%s: the data channel could not be attached", self._name)

    def _on_track_over(self, feed: TrackFeed, reason: str) -> None:
        if feed.receiver.transport.state == "closed":  # not the track alone: the whole peer is gone
            self._spawn(self._end_quietly(self._farewell()))
        else:
            self._spawn(self._end_track(feed, reason))

    async def _end_track(self, feed: TrackFeed, reason: str) -> None:
        """One track is over: its channel closes, the others go on; with the last one the peer ends."""
        await self._close_channel(feed, reason)
        if all(other.is_over for other in self._feeds):
            await self._end_quietly(reason)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._config.connect_timeout_s
        while self._ending is None:
            await asyncio.sleep(min(TICK_S, self._config.connect_timeout_s))
            for feed in self._feeds:
                feed.on_tick()
            if self._pc.connectionState in ("new", "connecting") and loop.time() > give_up_s:
                logger.info("%s: no connection within %.0f s", self._name, self._config.connect_timeout_s)
                self._spawn(self._end_quietly("connect_timeout"))
                return

    async def _end_quietly(self, reason: str) -> None:
        await self.end(reason)

    async def _end(self, reason: str) -> int:
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.wait({self._watch_task})
        seqs = await asyncio.gather(*(self._drain(feed, reason) for feed in self._feeds))
        # Only now: the last words reach the client over its data channel.
        for step in (self._drain_data, self._pc.close, self._stop_receivers):
            try:
                if step is not None:
                    await asyncio.wait_for(step(), CLOSE_TIMEOUT_S)
            except Exception:
                logger.exception("%s: the peer connection did not close cleanly", self._name)
        if self._connection is not None:
            self._registry.disconnect(self._connection)
        logger.info("%s closed (%s)", self._name, reason)
        return max(seqs, default=self._head_seq())

    async def _drain(self, feed: TrackFeed, reason: str) -> int:
        try:
            await feed.stop()
        except Exception:
            logger.exception("%s: the track did not stop cleanly", feed.name)
        return await self._close_channel(feed, reason)

    async def _stop_receivers(self) -> None:
        """Once more: a receiver whose handshake ended while we closed has begun after its stop."""
        for feed in self._feeds:
            await feed.receiver.stop()

    async def _close_channel(self, feed: TrackFeed, reason: str) -> int:
        """Once per track, whoever asks: a channel that was closed may be another connection's by now."""
        if feed not in self._closing:
            self._closing[feed] = asyncio.create_task(self._close_once(feed, reason))
        return await asyncio.shield(self._closing[feed])

    async def _close_once(self, feed: TrackFeed, reason: str) -> int:
        try:
            return await feed.channel.close(reason)
        except Exception:
            logger.exception("%s: the channel did not close cleanly", feed.name)
            return self._head_seq()

    def _head_seq(self) -> int:
        return 0 if self._connection is None else self._connection.session.log.head_seq

    @property
    def _name(self) -> str:
        return "a peer" if self._connection is None else f"connection {self._connection.id[:6]}"

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
