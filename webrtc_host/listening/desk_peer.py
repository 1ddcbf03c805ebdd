"""One desk that listens: its peer connection, the channels of its audio lines, and the packets on their way.

Each audio line of the desk's offer is for one channel. A line gets packets while the desk listens to its
channel, and costs nothing otherwise. Packets are sent in the next turn of the event loop, so that the audio's
way to the engine comes first.
Invariants: at most PACKETS_WAITING_MAX packets wait for a desk; a desk that is too slow loses packets and no
other desk does. `end` runs once; after it, no task, socket or subscription of the desk is left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
    clock,
)

from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.config import MediaConfig
from webrtc_host.errors import RequestError
from webrtc_host.listening.hub import Hub
from webrtc_host.seams import OpusPacket
from webrtc_host.transport.aiortc_settings import fit_aiortc
from webrtc_host.transport.ice_servers import issue
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.rtp_out import RtpExit, RtpLine, SilentTrack
from webrtc_host.transport.sdp import Offer
from webrtc_host.transport.sdp_answer import answer_of, for_aiortc, section_of
from webrtc_host.transport.tap import guard

logger = logging.getLogger(__name__)

PACKETS_WAITING_MAX = 1024
"""Packets that wait for one turn of the event loop: a burst of 20 of each of 50 channels."""
TCP_BYTES_WAITING_MAX = 48 * 1024
"""Over ICE-TCP, packets are dropped while more waits:

0.6 s of 16 channels. Late audio is of no use at a desk.
"""
CLOSE_TIMEOUT_S = 5.0  # aiortc's own close has been seen to hang in DTLS (its issues 413, 1143)


class DeskPeer:
    def __init__(
        self,
        hub: Hub,
        media: MediaConfig,
        port: OnePort | None,
        session: str,
        on_ended: Callable[[DeskPeer], None],
    ) -> None:
        """session: its channels are heard. on_ended: called once, when nothing of the desk is left."""
        fit_aiortc()
        self.session = session
        self.channels: frozenset[str] = frozenset()  # those that the desk listens to
        self._hub = hub
        self._media = media
        self._port = port
        self._on_ended = on_ended
        self._lines: dict[str, RtpLine] = {}  # channel -> its audio line
        self._exit: RtpExit | None = None
        self._waiting: deque[tuple[RtpLine, OpusPacket]] = deque()
        self._is_flush_due = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._give_up: asyncio.TimerHandle | None = None
        self._pc = RTCPeerConnection(
            RTCConfiguration(
                # aiortc's default is a public STUN server; this server contacts only configured ones.
                iceServers=[
                    RTCIceServer(list(s.urls), s.username or None, s.credential or None)
                    for s in issue(media.ice_servers, time.time())
                ],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
            )
        )

    @property
    def lines(self) -> Collection[str]:
        """The channels that have an audio line."""
        return self._lines.keys()

    async def answer(self, offer: Offer, channels: Mapping[str, str]) -> str:
        """Negotiate, and wait for the desk from now on. Returns the answer with all candidates.

        channels: mid of each audio line -> its channel. Raises RequestError 422 when aiortc cannot use the
        offer although it was checked. The caller then calls `end`.
        """
        self._pc.on("connectionstatechange", self._on_state)
        try:
            answer = await self._negotiate(offer, channels)
        except Exception as error:
            logger.warning("aiortc refused a desk's offer that had passed the checks: %r", error)
            message = "the offer could not be negotiated; send the local description of the client unchanged"
            raise RequestError("unusable_sdp", message, 422) from error
        loop = asyncio.get_running_loop()
        self._give_up = loop.call_later(self._media.connect_timeout_s, self._check_connected)
        return answer

    async def _negotiate(self, offer: Offer, channels: Mapping[str, str]) -> str:
        if offer.transport is None:
            raise ValueError("the offer has no transport")
        sections = {line.mid: section_of(line) for line in offer.audio}
        description = for_aiortc(offer, sections, offer.transport)
        await self._pc.setRemoteDescription(RTCSessionDescription(description, "offer"))
        payload_types = {line.mid: int(next(iter(line.usable))) for line in offer.audio}
        for transceiver in self._pc.getTransceivers():
            mid = transceiver.mid or ""
            transceiver.direction = "sendonly"
            transceiver.sender.replaceTrack(SilentTrack())
            self._lines[channels[mid]] = RtpLine(transceiver.sender, payload_types[mid])
        transport = self._pc.getTransceivers()[0].receiver.transport
        guard(transport)
        if self._port is not None:
            self._port.adopt(self._pc, lambda: self._spawn(self.end("flood")))
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        self._exit = RtpExit(transport)
        return answer_of(offer, self._pc.localDescription.sdp)

    def listen(self, channels: frozenset[str]) -> None:
        """Listen to these channels, and to no others. Each must have a line (`lines`)."""
        if self._ending is not None:
            return
        for channel in self.channels - channels:
            self._hub.remove(self, ChannelKey(self.session, channel))
        for channel in channels - self.channels:
            self._hub.add(self, ChannelKey(self.session, channel))
        self.channels = channels

    def take(self, channel: str, packet: OpusPacket) -> None:
        """Called by the hub for every packet of a channel that the desk listens to."""
        if len(self._waiting) >= PACKETS_WAITING_MAX:
            self._waiting.popleft()
            self._hub.note_dropped(1)
        self._waiting.append((self._lines[channel], packet))
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        waiting = self._waiting
        if not self._may_send():
            self._hub.note_dropped(len(waiting))
            waiting.clear()
            return
        assert self._exit is not None
        ntp_time = clock.current_ntp_time()
        while waiting:
            line, packet = waiting.popleft()
            try:
                self._exit.send(line.write(packet, ntp_time))
            except Exception:  # it costs one packet; a broken connection ends in the normal way
                self._hub.note_dropped(1)
                logger.debug("a packet could not be sent to a desk", exc_info=True)
            else:
                self._hub.note_sent(packet)

    def _may_send(self) -> bool:
        if self._exit is None or not self._exit.is_ready:
            return False
        return self._port is None or self._port.waiting_bytes(self._pc) <= TCP_BYTES_WAITING_MAX

    def _on_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._spawn(self.end(self._pc.connectionState))

    def _check_connected(self) -> None:
        if self._pc.connectionState != "connected":
            self._spawn(self.end("connect_timeout"))

    async def end(self, reason: str) -> None:
        """Close the connection. A second call waits for the same."""
        if self._ending is None:
            self.listen(frozenset())
            self._ending = asyncio.create_task(self._end(reason), name=f"end desk ({reason})")
        await asyncio.shield(self._ending)

    async def _end(self, reason: str) -> None:
        if self._give_up is not None:
            self._give_up.cancel()
        try:
            await asyncio.wait_for(self._pc.close(), CLOSE_TIMEOUT_S)
        except Exception:
            logger.exception("the peer connection of a desk did not close cleanly")
        self._waiting.clear()
        logger.info("a desk no longer listens (%s)", reason)
        self._on_ended(self)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
