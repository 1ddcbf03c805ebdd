"""A desk that listens, made of aiortc: it offers audio lines, and keeps the packets of each line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from webrtc_host.media.opus import Codec
from webrtc_host.transport.tap import Tap, WirePacket


@dataclass(frozen=True, slots=True)
class Heard:
    sequence: int
    timestamp: int
    payload: bytes


class ListeningClient:
    def __init__(self, lines: int) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for _ in range(lines):
            self.pc.addTransceiver("audio", direction="recvonly")
        self.heard: dict[str, list[Heard]] = {}
        self.answer: dict[str, Any] = {}

    async def offer(self) -> dict[str, Any]:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return {"sdp": self.pc.localDescription.sdp, "type": "offer"}

    async def connect(self, http: aiohttp.ClientSession, url: str, **fields: Any) -> dict[str, Any]:
        """Send the offer and apply the answer. `fields`: further fields of the body."""
        async with http.post(f"{url}/api/listening", json={**await self.offer(), **fields}) as response:
            self.answer = await response.json()
            assert response.status == 200, self.answer
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer["sdp"], "answer"))
        channels = {line["mid"]: line["channel"] for line in self.answer["lines"]}
        for transceiver in self.pc.getTransceivers():
            self._keep(transceiver.receiver, channels[transceiver.mid])
        return self.answer

    def _keep(self, receiver: Any, channel: str) -> None:
        heard = self.heard.setdefault(channel, [])

        def take(_: Codec, packet: WirePacket) -> None:
            heard.append(Heard(packet.sequence_number, packet.timestamp, packet.payload))

        Tap(receiver, take)

    async def listen(self, http: aiohttp.ClientSession, url: str, *channels: str) -> None:
        path = f"{url}/api/listening/{self.answer['listener']}"
        async with http.put(path, json={"channels": channels}) as response:
            assert response.status == 200, await response.text()

    @property
    def is_connected(self) -> bool:
        return self.pc.connectionState == "connected"

    async def close(self) -> None:
        await self.pc.close()
