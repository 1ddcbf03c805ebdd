"""The processes of `scripts/bench_listening.py`: a server without an engine, microphones, and desks.

Each function that a process starts with takes the pipe to the script. Times are of this machine's monotonic
clock, which all processes share.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, clock

from tests.support.desk import a_config, silent
from tests.support.polling import until
from tests.support.rtp import encode
from tests.support.speech import say, silence
from webrtc_host.app import build_app, serve
from webrtc_host.keys import LISTENING
from webrtc_host.seams import OpusPacket
from webrtc_host.transport.aiortc_settings import fit_aiortc
from webrtc_host.transport.direct_path import HEADER
from webrtc_host.transport.rtp_out import RtpExit, RtpLine, SilentTrack
from webrtc_host.transport.sdp_lines import attribute, sections_of

PACKET_S = 0.02
PACKET_SAMPLES = 320
TEXT = "alpha one proceed to gate seven and hold there until bravo two has passed over"
PayloadOf = Callable[[int, int], bytes]
"""(channel, number of the packet) -> the Opus packet."""


# The server


def run_server(pipe: Connection) -> None:
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = a_config(Path(folder), archive={"enabled": False})
        app = build_app(config, make_pipeline=silent)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(app, "127.0.0.1", 0, stop=stop, on_listening=pipe.send))
        while await asyncio.to_thread(pipe.recv) == "cpu":
            usage = resource.getrusage(resource.RUSAGE_SELF)
            pipe.send(usage.ru_utime + usage.ru_stime)
        pipe.send(app[LISTENING].statistics()["dropped"])
        stop.set()
        await serving


# The microphones


def run_microphones(port: int, channels: int, seconds: float, pipe: Connection) -> None:
    asyncio.run(_send_speech(port, channels, seconds, pipe))


async def _send_speech(port: int, channels: int, seconds: float, pipe: Connection) -> None:
    said = encode(np.concatenate([say(TEXT), silence(1.0)]))
    microphones = await Microphones.connected(port, channels)
    pipe.send("begins")
    pipe.send(await microphones.send(round(seconds / PACKET_S), lambda _, number: said[number % len(said)]))
    await microphones.close()


class Microphones:
    """One peer connection with a line for each channel, fed with packets that are encoded already."""

    def __init__(self, pc: RTCPeerConnection) -> None:
        self._pc = pc
        self._lines = [RtpLine(transceiver.sender, 96) for transceiver in pc.getTransceivers()]
        self._out = RtpExit(pc.getTransceivers()[0].sender.transport)

    @classmethod
    async def connected(cls, port: int, channels: int) -> Microphones:
        fit_aiortc()
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for _ in range(channels):
            pc.addTransceiver(SilentTrack(), direction="sendonly")
        await pc.setLocalDescription(await pc.createOffer())
        body = {"sdp": pc.localDescription.sdp, "type": "offer"}
        url = f"http://127.0.0.1:{port}/offer"
        async with aiohttp.ClientSession() as http, http.post(url, json=body) as got:
            answer = await got.json()
        await pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        made = cls(pc)
        await until(lambda: made._out.is_ready)
        await asyncio.sleep(0.5)  # the server's side of the handshake
        return made

    async def send(self, count: int, payload_of: PayloadOf) -> list[list[float]]:
        """Send `count` packets on each channel, in real time. Returns [channel][packet] -> its time."""
        sent_s: list[list[float]] = [[] for _ in self._lines]
        begin_s = time.monotonic()
        for number in range(count):
            for channel, line in enumerate(self._lines):
                due_s = begin_s + (number + channel / len(self._lines)) * PACKET_S
                # Also when it is late: the loop has to answer ICE, or the connection ends.
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                start = number * PACKET_SAMPLES
                packet = OpusPacket(start, PACKET_SAMPLES, payload_of(channel, number))
                data = line.write(packet, clock.current_ntp_time())
                sent_s[channel].append(time.monotonic())
                self._out.send(data)
        return sent_s

    async def close(self) -> None:
        await self._pc.close()


# The desks


def run_desks(port: int, channels: int, count: int, pipe: Connection) -> None:
    asyncio.run(_listen(port, channels, count, pipe))


async def _listen(port: int, channels: int, count: int, pipe: Connection) -> None:
    fit_aiortc()
    async with aiohttp.ClientSession() as http:
        desks = [await _Desk.connected(http, port, channels) for _ in range(count)]
        pipe.send("connected")
        await asyncio.to_thread(pipe.recv)
        pipe.send([desk.heard for desk in desks])
        for desk in desks:
            await desk.pc.close()


class _Desk:
    """Notes when packets arrive, and decodes nothing: a desk is a browser, whose cost is not the server's."""

    def __init__(self, pc: RTCPeerConnection) -> None:
        self.pc = pc
        self.heard: dict[int, list[tuple[int, float]]] = {}
        self._channels: dict[int, int] = {}  # SSRC -> channel

    @classmethod
    async def connected(cls, http: aiohttp.ClientSession, port: int, channels: int) -> _Desk:
        desk = cls(RTCPeerConnection(RTCConfiguration(iceServers=[])))
        for _ in range(channels):
            desk.pc.addTransceiver("audio", direction="recvonly")
        await desk.pc.setLocalDescription(await desk.pc.createOffer())
        body = {
            "sdp": desk.pc.localDescription.sdp,
            "type": "offer",
            "listen": [f"C{number:02}" for number in range(1, channels + 1)],
        }
        async with http.post(f"http://127.0.0.1:{port}/api/listening", json=body) as got:
            answer = await got.json()
            assert got.status == 200, answer
        for channel, section in enumerate(sections_of(answer["sdp"])[1:]):
            desk._channels[int((attribute(section, "ssrc") or "").split()[0])] = channel
        await desk.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        desk._note_packets()
        await until(lambda: desk.pc.connectionState == "connected")
        return desk

    def _note_packets(self) -> None:
        ice: Any = self.pc.getTransceivers()[0].receiver.transport.transport
        pass_on = ice._connection.data_received

        def take(data: bytes, component: int) -> None:
            if len(data) > HEADER.size and 128 <= data[0] <= 191:
                _, _, _, timestamp, ssrc = HEADER.unpack_from(data)
                channel = self._channels.get(ssrc)
                if channel is not None:
                    self.heard.setdefault(channel, []).append((timestamp, time.monotonic()))
                    return
            pass_on(data, component)

        ice._connection.data_received = take
