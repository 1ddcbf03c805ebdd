"""Real aiortc clients, a log and a pipeline that keep lists, and an application with the inputs alone."""

from __future__ import annotations

import asyncio
import fractions
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import av
import numpy as np
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import is_rtcp
from numpy.typing import NDArray

from host_stt.contract import RequestError, error_body
from webrtc_host.config import LimitsConfig
from webrtc_host.events import Event
from webrtc_host.http.routes import add_routes
from webrtc_host.seams import Block, BlockKind, EventType, OpusPacket
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.transcript.event_codec import wire_fields
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transport.aiortc_settings import fit_aiortc

FRAME = 960  # 20 ms at 48 kHz

fit_aiortc()  # on a machine without a network the clients must find an address too


class ListLog(SavedLog):
    """The session's log in memory, which also keeps the fields of every event that was emitted."""

    def __init__(
        self, session: str = "s_1", now_ms: Callable[[], int] = lambda: 0, head_seq: int = 0
    ) -> None:
        super().__init__(session, capacity=100_000, now_ms=now_ms, head_seq=head_seq)
        self.events: list[tuple[EventType, str | None, dict[str, Any]]] = []

    def emit(self, event: Event) -> int | None:
        self.events.append((event.kind, event.channel, wire_fields(event)))
        return super().emit(event)

    def of(self, kind: EventType, channel: str | None = None) -> list[dict[str, Any]]:
        return [f for k, c, f in self.events if k is kind and channel in (None, c)]


class BlockRecorder:
    """A pipeline that stores its blocks in a list."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.blocks: list[Block] = []
        self.is_closed = False
        self.on_feed: Callable[[Block], None] = lambda block: None

    def start(self) -> None: ...

    def feed(self, block: Block) -> None:
        self.on_feed(block)
        self.blocks.append(block)

    async def close(self) -> None:
        self.is_closed = True

    async def force_end(self) -> None:
        return None

    def set_language(self, language: str) -> None:
        return None

    @property
    def pause_ms(self) -> int:
        return 0

    def audio(self) -> NDArray[np.float32]:
        """All audio from the first sample on, with silence in the gaps."""
        first = self.blocks[0].start_sample
        whole = np.zeros(self.blocks[-1].end_sample - first, np.float32)
        for block in self.blocks:
            whole[block.start_sample - first : block.end_sample - first] = block.samples
        return whole

    def samples_of(self, kind: BlockKind) -> int:
        return sum(len(block.samples) for block in self.blocks if block.kind is kind)


class PacketArchive:
    """An AudioArchive that keeps packets in a list."""

    is_keeping = True

    def __init__(self) -> None:
        self.packets: list[OpusPacket] = []

    def archive_packet(self, packet: OpusPacket) -> None:
        self.packets.append(packet)

    def archive_block(self, block: Block) -> None: ...


class Rig:
    """A registry, and its sessions and pipelines in lists that tests can inspect."""

    def __init__(
        self, limits: LimitsConfig | None = None, keeper: type[BlockRecorder] = BlockRecorder, **kwargs: Any
    ) -> None:
        """keeper: the pipeline of each channel."""
        self.pipelines: list[BlockRecorder] = []
        self.logs: dict[str, ListLog] = {}
        self._keeper = keeper
        self.registry = SessionRegistry(limits or LimitsConfig(), self._log, self._pipeline, **kwargs)

    def pipeline(self, channel_id: str) -> BlockRecorder:
        return next(p for p in reversed(self.pipelines) if p.channel.id == channel_id)

    def _log(self, session_id: str, now_ms: Callable[[], int]) -> ListLog:
        return self.logs.setdefault(session_id, ListLog(session_id, now_ms))

    def _pipeline(self, channel: Channel) -> BlockRecorder:
        self.pipelines.append(self._keeper(channel))
        return self.pipelines[-1]


@web.middleware
async def plain_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Make error responses as the whole application does."""
    try:
        answer: web.StreamResponse = await handler(request)
        return answer
    except RequestError as error:
        headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
        return web.json_response(error_body(error.code, error.message), status=error.status, headers=headers)


def app_of(*services: object) -> web.Application:
    """An application with the routes of these services, without roles and limits."""
    app = web.Application(middlewares=[plain_errors])
    add_routes(app, *services)
    return app


class SampleTrack(MediaStreamTrack):
    """48 kHz mono audio, sent in real time, then silence. `is_held` stops packets and RTP time."""

    kind = "audio"

    def __init__(self, sound: NDArray[np.int16]) -> None:
        super().__init__()
        self.sound = sound
        self.is_held = asyncio.Event()
        self._sent = 0
        self._next_s: float | None = None

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        while self.is_held.is_set():
            await asyncio.sleep(0.02)
            self._next_s = None
        self._next_s = loop.time() if self._next_s is None else self._next_s + 0.02
        await asyncio.sleep(max(0.0, self._next_s - loop.time()))
        piece = np.zeros(FRAME, np.int16)
        part = self.sound[self._sent : self._sent + FRAME]
        piece[: len(part)] = part
        frame = av.AudioFrame.from_ndarray(piece[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = 48_000
        frame.pts = self._sent
        frame.time_base = fractions.Fraction(1, 48_000)
        self._sent += FRAME
        return frame


class Client:
    """A client in place of a browser: it offers tracks and applies the answer."""

    def __init__(self, tracks: Sequence[MediaStreamTrack], data_channel: str | None = "transcript") -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for track in tracks:
            self.pc.addTransceiver(track, direction="sendonly")
        self.data = self.pc.createDataChannel(data_channel) if data_channel else None
        self.answer: dict[str, Any] = {}

    async def offer(self) -> dict[str, Any]:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return {"sdp": self.pc.localDescription.sdp, "type": "offer"}

    async def connect(self, http: Any, **fields: Any) -> dict[str, Any]:
        async with http.post("/offer", json={**await self.offer(), **fields}) as response:
            self.answer = await response.json()
            assert response.status == 200, self.answer
        await self.apply_answer()
        return self.answer

    async def apply_answer(self) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer["sdp"], "answer"))

    def cut_network(self) -> None:
        """Send no packets any more, and no message about it, as when the cable is unplugged."""
        transport: Any = self.pc.getSenders()[0].transport.transport

        async def send(data: bytes) -> None:
            return None

        transport._send = send
        for protocol in transport._connection._protocols:
            protocol.datagram_received = lambda *_: None
            protocol.send_stun = lambda *_: None

    async def close(self) -> None:
        await self.pc.close()


def drop_packets(client: Client, is_lost: Callable[[int], bool]) -> None:
    """Drop each RTP packet of the client for whose number (from 0) `is_lost` returns True."""
    transport: Any = client.pc.getSenders()[0].transport
    send, count = transport._send_rtp, itertools.count()

    async def lossy(data: bytes) -> None:
        if is_rtcp(data) or not is_lost(next(count)):
            await send(data)

    transport._send_rtp = lossy


def tone_bursts(hertz: float, onsets_s: Sequence[float], seconds: float) -> NDArray[np.int16]:
    """48 kHz: silence with 200 ms of a tone at each onset."""
    t = np.arange(int(48_000 * seconds)) / 48_000
    is_on = np.zeros(len(t), bool)
    for onset_s in onsets_s:
        is_on |= (t >= onset_s) & (t < onset_s + 0.2)
    return (12_000 * np.sin(2 * np.pi * hertz * t) * is_on).astype(np.int16)


def onsets_of(samples: NDArray[np.float32], level: float = 0.08) -> list[float]:
    """The times in seconds (at 16 kHz) where audio begins after 100 ms of silence."""
    loud = np.flatnonzero(np.abs(samples) > level)
    begins = np.flatnonzero(np.diff(loud, prepend=-10_000) > 1_600)
    return [float(loud[i]) / 16_000 for i in begins]


def pitch_of(samples: NDArray[np.float32]) -> float:
    """Hertz of the strongest line of the spectrum."""
    spectrum = np.abs(np.fft.rfft(samples))
    return float(spectrum.argmax() * 16_000 / len(samples))
