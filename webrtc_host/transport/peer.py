"""One peer connection: negotiates, watches the connection, feeds its channels, and cleans up at the end.

This module holds an aiortc connection with its tracks and time limits; `peer_data_channel` has its data
channel. aiortc never gives up on a client that does not come (it was still `connecting` after 46 s), and
notices a vanished client only after 31 s, so this module watches the connection itself. `session.registry`
decides which channels the peer may feed.
Invariant: `end` runs once, however often it is called; after it, no task, thread or socket of the peer is
left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Coroutine, Mapping
from typing import Any

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)

from webrtc_host.config import MediaConfig
from webrtc_host.errors import RequestError
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transport.aiortc_settings import fit_aiortc
from webrtc_host.transport.ice_servers import issue
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.peer_data_channel import DATA_CHANNEL, AttachDataChannel, PeerDataChannel
from webrtc_host.transport.sdp import Offer, Use
from webrtc_host.transport.sdp_answer import answer_of, for_aiortc, section_of
from webrtc_host.transport.sdp_transport import Transport
from webrtc_host.transport.tap import Tap
from webrtc_host.transport.track import TrackFeed
from webrtc_host.transport.trickle import Fragment, add_candidates

logger = logging.getLogger(__name__)

TICK_S = 0.25
CLOSE_TIMEOUT_S = 5.0  # aiortc's own close has been seen to hang in DTLS (its issues 413, 1143)
VANISHED_AFTER_S = 5.0  # a close without packets for so long is a lost connection (ICE consent expired)


class Peer:
    """One WebRTC client: its aiortc connection, its tracks, and the channels that they feed."""

    def __init__(
        self,
        registry: SessionRegistry,
        config: MediaConfig,
        attach: AttachDataChannel,
        port: OnePort | None = None,
        *,
        data_channel: str | None = DATA_CHANNEL,
    ) -> None:
        """port: the one port for its packets; None: aioice's own sockets. attach, data_channel: see
        `PeerDataChannel`.
        """
        fit_aiortc()
        self._port = port
        self._registry = registry
        self._config = config
        self._data_channel = PeerDataChannel(attach, data_channel)
        self._connection: Connection | None = None
        self._feeds: list[TrackFeed] = []
        self.mids: dict[str, Channel] = {}  # the channel of each audio line, by mid
        self.ignored: dict[str, Tap] = {}  # audio lines without a channel: counted and discarded
        self.former: dict[str, str] = {}  # ended audio lines: id of the channel that the line fed, by mid
        self._slots: dict[str, tuple[str, ...]] = {}  # every audio line that aiortc knows, in its order
        self._transport: Transport | None = None  # the client's, from its newest offer
        self._closing: dict[TrackFeed, asyncio.Task[int]] = {}  # feeds whose channel is closed or closing
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch_task: asyncio.Task[None] | None = None
        self._is_released = False
        self._ending: asyncio.Task[int] | None = None
        self._pc = RTCPeerConnection(
            RTCConfiguration(
                # aiortc's default is a public STUN server; this server contacts only configured ones.
                iceServers=[
                    RTCIceServer(list(s.urls), s.username or None, s.credential or None)
                    for s in issue(config.ice_servers, time.time())
                ],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )

    async def answer(self, offer: Offer, connection: Connection, ignored: Collection[str] = ()) -> str:
        """Negotiate, and wait for the client from now on. Returns the answer with all candidates.

        ignored: mids of audio lines that feed no channel.

        Raises RequestError 422 when aiortc cannot use the offer although it was checked. The caller then
        calls `end`.
        """
        self._connection = connection
        self._pc.on("connectionstatechange", self._on_state)
        self._pc.on("datachannel", lambda channel: self._data_channel.take(channel, connection))
        try:
            await self._take_offer(offer)
            self._assign_tracks(connection, ignored)
            if self._port is not None:
                declined = len(offer.of(Use.IDLE))
                self._port.adopt(self._pc, lambda: self._spawn(self._end_quietly("flood")), declined)
            answer = await self._make_answer(offer)
        except Exception as error:
            logger.warning("aiortc refused an offer that had passed the checks: %r", error)
            raise _unusable() from error
        self._watch_task = asyncio.create_task(self._watch(), name=f"watch {connection.id}")
        return answer

    async def answer_again(
        self,
        offer: Offer,
        specs: Mapping[str, ChannelSpec],
        ignored: Collection[str] = (),
    ) -> str:
        """Answer a later offer of the same connection. specs: by mid, for the new lines that send.

        Raises RequestError: 409 while the connection is not up or another offer is being answered, 422 for
        too many lines in total, or when aiortc cannot use this offer.
        """
        connection = self._connection
        if connection is None or self._ending is not None or self._pc.connectionState != "connected":
            raise RequestError("not_connected", "the connection is not up; make a new one", 409)
        self._check_slots(offer)
        if self._pc.signalingState != "stable":
            raise RequestError("offer_in_hand", "another offer of this connection is being answered", 409)
        channels = self._registry.extend(connection, list(specs.values()))
        try:
            await self._take_offer(offer)
            answer = await self._make_answer(offer)
        except Exception as error:
            for channel in channels:
                self._registry.release_channel(connection, channel)
            logger.warning("%s: aiortc refused a checked later offer: %r", self._name, error)
            # aiortc cannot return to the state before an offer that failed half-way.
            self._spawn(self._end_quietly("renegotiation_failed"))
            raise _unusable() from error
        self._apply_offer(connection, offer, dict(zip(specs, channels, strict=True)), ignored)
        return answer

    async def _take_offer(self, offer: Offer) -> None:
        transport = offer.transport or self._transport
        if transport is None:
            raise ValueError("the offer has no transport")
        slots = self._slots | {line.mid: section_of(line) for line in offer.audio}
        description = RTCSessionDescription(for_aiortc(offer, slots, transport), "offer")
        await self._pc.setRemoteDescription(description)
        self._slots, self._transport = slots, transport

    async def _make_answer(self, offer: Offer) -> str:
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        return answer_of(offer, self._pc.localDescription.sdp)

    async def trickle(self, fragment: Fragment) -> None:
        """Add candidates that the client found after its offer."""
        await add_candidates(self._pc, fragment)

    def _check_slots(self, offer: Offer) -> None:
        """Limit the number of lines over all offers of a connection, because aiortc never removes a line."""
        most = self._registry.limits.media_lines_per_offer
        if len(self._slots.keys() | {line.mid for line in offer.audio}) > most:
            raise RequestError(
                "too_many_media_lines",
                f"this connection has had {len(self._slots)} audio lines; at most {most} are allowed: "
                "make a new connection",
                422,
            )

    def _apply_offer(
        self,
        connection: Connection,
        offer: Offer,
        new: Mapping[str, Channel],
        ignored: Collection[str],
    ) -> None:
        """Close the channels of lines that ended; start those of new lines, and of lines that send again."""
        sending = {line.mid for line in offer.audio}
        for mid in self.mids.keys() - sending:
            channel = self.mids.pop(mid)
            self.former[mid] = channel.id
            connection.drop(channel)
            for feed in self._feeds:
                if feed.channel is channel and not feed.is_finished:
                    feed.detach()
                    self._spawn(self._end_track(feed, "track_removed"))
        for transceiver in self._pc.getTransceivers():
            mid = transceiver.mid or ""
            if mid in ignored and mid not in self.ignored and mid not in self.mids:
                self.ignored[mid] = Tap(transceiver.receiver, None)
            elif mid in new:
                self._remove_former_feed(transceiver)
                self._add_feed(transceiver, new[mid]).start()

    def _remove_former_feed(self, transceiver: RTCRtpTransceiver) -> None:
        """Remove the feed that read the line before its pause: the line sends again, to a new feed."""
        for feed in [feed for feed in self._feeds if feed.receiver is transceiver.receiver]:
            feed.stop_reading()
            self._feeds.remove(feed)

    async def end(self, reason: str) -> int:
        """Drain, transcribe the last audio, close. Returns the seq of the last event of its channels."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(reason), name=f"end peer ({reason})")
        return await asyncio.shield(self._ending)

    def release(self, reason: str) -> None:
        """The client has made another connection: free the channels at once, then end this one."""
        if self._is_released or self._connection is None:
            return
        self._is_released = True
        for feed in self._feeds:
            feed.detach()
            if feed.channel.connection is self._connection:
                feed.channel.detach(reason)
        self._registry.disconnect(self._connection)
        self._spawn(self._end_quietly(reason))

    def _assign_tracks(self, connection: Connection, ignored: Collection[str]) -> None:
        """Assign the connection's channels to the lines that are taken, in order."""
        channels = iter(connection.channels)
        for transceiver in self._pc.getTransceivers():
            mid = transceiver.mid or ""
            if mid in ignored:
                self.ignored[mid] = Tap(transceiver.receiver, None)
            else:
                self._add_feed(transceiver, next(channels))

    def _add_feed(self, transceiver: RTCRtpTransceiver, channel: Channel) -> TrackFeed:
        feed = TrackFeed(transceiver.receiver, channel, self._config, self._on_track_finished)
        self._feeds.append(feed)
        self.mids[transceiver.mid or ""] = channel
        return feed

    def _on_state(self) -> None:
        state = self._pc.connectionState
        logger.debug("= %s %s", self._name, state)
        if self._ending is not None:
            return
        if state == "connected" and not self._is_released:
            for feed in self._feeds:
                feed.start()
        elif state == "failed":
            self._spawn(self._end_quietly("ice_failed"))
        elif state == "closed":
            self._spawn(self._end_quietly(self._close_reason()))

    def _close_reason(self) -> str:
        """The close reason of a peer whose connection closed without a request."""
        vanished = all(feed.is_silent_for(VANISHED_AFTER_S) for feed in self._feeds)
        return "connection_lost" if vanished else "peer_closed"

    def _on_track_finished(self, feed: TrackFeed, reason: str) -> None:
        if reason == "flood":  # one track cannot be kept from sending, so its peer is ended
            self._spawn(self._end_quietly(reason))
        elif feed.receiver.transport.state == "closed":  # the whole peer is closed, not only the track
            self._spawn(self._end_quietly(self._close_reason()))
        else:
            self._spawn(self._end_track(feed, reason))

    async def _end_track(self, feed: TrackFeed, reason: str) -> None:
        """End one track: its channel closes, the others continue; after the last one the peer ends."""
        await self._close_channel(feed, reason)
        if self._connection is not None:
            self._registry.release_channel(self._connection, feed.channel)
        if all(other.is_finished for other in self._feeds):
            await self._end_quietly(reason)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._config.connect_timeout_s
        while self._ending is None:
            await asyncio.sleep(min(TICK_S, self._config.connect_timeout_s))
            for feed in self._feeds:
                self._tick_feed(feed)
            if self._pc.connectionState in ("new", "connecting") and loop.time() > give_up_s:
                logger.info("%s: no connection within %.0f s", self._name, self._config.connect_timeout_s)
                self._spawn(self._end_quietly("connect_timeout"))
                return

    def _tick_feed(self, feed: TrackFeed) -> None:
        try:
            feed.on_tick()
        except Exception:  # the fault of one channel must not stop the watch over the others
            logger.exception("%s: the regular check of the track failed", feed.name)

    async def _end_quietly(self, reason: str) -> None:
        await self.end(reason)

    async def _end(self, reason: str) -> int:
        if self._watch_task is not None:
            self._watch_task.cancel()
            await asyncio.wait({self._watch_task})
        seqs = await asyncio.gather(*(self._drain(feed, reason) for feed in self._feeds))
        # After the channels: their last finals reach the client over its data channel.
        for step in (self._data_channel.drain, self._pc.close, self._stop_receivers):
            try:
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
        """Stop the receivers again: one whose handshake ended during the close has started after its stop."""
        for feed in self._feeds:
            await feed.receiver.stop()

    async def _close_channel(self, feed: TrackFeed, reason: str) -> int:
        """Close the feed's channel, once per feed: later the channel may belong to another connection."""
        if feed not in self._closing:
            self._closing[feed] = asyncio.create_task(self._close_once(feed, reason))
        return await asyncio.shield(self._closing[feed])

    async def _close_once(self, feed: TrackFeed, reason: str) -> int:
        try:
            if feed.channel.connection is not self._connection:  # detached: another connection feeds it
                await feed.channel.wait_detached()
                return self._head_seq()
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


def _unusable() -> RequestError:
    """The error for an offer that aiortc refuses after all checks.

    aiortc's own text does not help a client.
    """
    return RequestError(
        "unusable_sdp",
        "the offer could not be negotiated; send the local description of the client unchanged",
        422,
    )
