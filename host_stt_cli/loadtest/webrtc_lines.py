"""Channels over WebRTC, by `/offer` or WHIP: real ICE, DTLS and SRTP from aiortc, with packets made in
advance.

aiortc's own sender would encode each frame again and use a task for each packet. Here a packet is a header of
twelve bytes and its Opus data, given to the connection's own encryption. That is five to ten times cheaper,
so sixty-four channels can run on the same machine as the tested server.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin

import aiohttp
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from host_stt_cli.loadtest.plan import Load
from host_stt_cli.loadtest.sending import LineError
from host_stt_cli.loadtest.sounds import FRAME, Voice
from webrtc_host.transport.aiortc_settings import fit_aiortc

CONNECT_S = 30.0
CLOSE_S = 5.0
HEADER = struct.Struct("!BBHLL")


class _Unheard(MediaStreamTrack):
    """Stands for a microphone in the offer; it never produces a frame, because packets are sent directly."""

    kind = "audio"

    async def recv(self) -> Any:
        await asyncio.Event().wait()
        raise MediaStreamError


class _Stream:
    """The RTP stream of one channel."""

    def __init__(self, sender: Any, voice: Voice, rng: random.Random) -> None:
        self._transport = sender.transport
        self._ssrc = sender._ssrc
        self._voice = voice
        self._sequence, self._time = rng.randrange(1 << 16), rng.randrange(1 << 32)
        self._is_first = True

    def packet(self, frame: int, payload_type: int) -> bytes:
        marker = 0x80 if self._is_first else 0
        self._is_first = False
        sequence = (self._sequence + frame) & 0xFFFF
        moment = (self._time + frame * FRAME) & 0xFFFFFFFF
        return HEADER.pack(0x80, marker | payload_type, sequence, moment, self._ssrc) + self._voice.packet(
            frame
        )

    async def send(self, packet: bytes) -> None:
        await self._transport._send_rtp(packet)


class WebRtcLines:
    """One peer connection; channels[n] sends voices[n]."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: str,
        session: str,
        channels: Sequence[str],
        voices: Sequence[Voice],
        load: Load,
        language: str,
    ) -> None:
        fit_aiortc()
        self.channels: Sequence[str] = list(channels)
        self._http, self._base, self._session, self._language = http, base, session, language
        self._voices = voices
        self._load = load
        self._rng = random.Random(f"{load.seed}/{channels[0]}")
        self._pc: RTCPeerConnection | None = None
        self._streams: list[_Stream] = []
        self._payload_type = 0
        self._answer: dict[str, Any] = {}
        self._delayed: set[asyncio.Task[None]] = set()
        self.lost = self.failed = 0

    async def open(self) -> None:
        pc = self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        is_connected = asyncio.get_running_loop().create_future()

        @pc.on("connectionstatechange")
        def changed() -> None:
            if pc.connectionState in ("connected", "failed", "closed") and not is_connected.done():
                is_connected.set_result(pc.connectionState)

        senders = [pc.addTransceiver(_Unheard(), direction="sendonly").sender for _ in self.channels]
        await pc.setLocalDescription(await pc.createOffer())
        await pc.setRemoteDescription(RTCSessionDescription(await self._signal(), "answer"))
        try:
            state = await asyncio.wait_for(is_connected, CONNECT_S)
        except TimeoutError:
            state = f"not connected within {CONNECT_S:g} s"
        if state != "connected":
            raise LineError(f"{', '.join(self.channels)}: the peer connection is {state}")
        self._payload_type = _opus(pc)
        self._streams = [
            _Stream(sender, voice, self._rng) for sender, voice in zip(senders, self._voices, strict=True)
        ]

    async def send(self, frame: int) -> None:
        for stream in self._streams:
            if self._rng.random() < self._load.loss:
                self.lost += 1
                continue
            packet = stream.packet(frame, self._payload_type)
            if self._load.jitter_ms:
                task = asyncio.create_task(self._later(stream, packet))
                self._delayed.add(task)
                task.add_done_callback(self._delayed.discard)
            else:
                await self._now(stream, packet)

    async def _later(self, stream: _Stream, packet: bytes) -> None:
        await asyncio.sleep(self._rng.random() * self._load.jitter_ms / 1000)
        await self._now(stream, packet)

    async def _now(self, stream: _Stream, packet: bytes) -> None:
        try:
            await stream.send(packet)
        except ConnectionError:
            self.failed += 1  # the connection is closing, which another part of the test has started

    async def reconnect(self) -> None:
        await self._close()
        await self.open()

    async def hang_up(self) -> None:
        if self._pc is not None and self._streams:
            try:
                async with self._http.delete(self._resource()):
                    pass
            except (aiohttp.ClientError, TimeoutError):
                self.failed += 1  # the server has closed the connection already
        await self._close()

    async def _close(self) -> None:
        self._streams = []
        for task in self._delayed:
            task.cancel()
        if self._pc is not None:
            # aiortc waits for ever for a sender that was cancelled before it started.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pc.close(), CLOSE_S)

    async def _signal(self) -> str:
        """Send the offer; returns the SDP of the answer. Raises LineError."""
        assert self._pc is not None
        body: dict[str, Any] = {
            "sdp": self._pc.localDescription.sdp,
            "type": "offer",
            "session": self._session,
        }
        if "resume" in self._answer:
            body["resume"] = self._answer["resume"]
        else:
            body["channels"] = [{"channel": c, "language": self._language} for c in self.channels]
        async with self._http.post(f"{self._base}/offer", json=body) as response:
            self._answer = await _body(response)
        return str(self._answer["sdp"])

    def _resource(self) -> str:
        return f"{self._base}/offer/{self._answer['connection']}"


class WhipLines(WebRtcLines):
    """The same over WHIP: one connection for each channel."""

    _location = ""

    async def _signal(self) -> str:
        assert self._pc is not None
        query = {"session": self._session, "language": self._language}
        headers = {"Content-Type": "application/sdp"}
        url = f"{self._base}/whip/{self.channels[0]}"
        sdp = self._pc.localDescription.sdp
        async with self._http.post(url, params=query, data=sdp, headers=headers) as response:
            if response.status != 201:
                await _body(response)
            self._location = urljoin(str(response.url), response.headers.get("Location", ""))
            return await response.text()

    def _resource(self) -> str:
        return self._location


async def _body(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The JSON body of a 200 response. Raises LineError with the server's sentence."""
    try:
        body = await response.json()
    except (ValueError, aiohttp.ClientError):
        body = {}
    if response.status == 200 and isinstance(body, dict):
        return body
    said = body.get("error", {}).get("message", "") if isinstance(body, dict) else ""
    raise LineError(f"{response.method} {response.url.path} got the response {response.status}: {said}")


def _opus(pc: RTCPeerConnection) -> int:
    codecs = pc.getTransceivers()[0]._codecs
    return next(codec.payloadType or 0 for codec in codecs if codec.mimeType.lower() == "audio/opus")
