"""Measure the cost of receiving: many channels from one generator to a server process on its own core.

The generator makes real peer connections, then sends packets that were encoded before. Each channel sends at
its own moment of the 20 ms. The CPU figure is of all threads of the server, per second of audio and channel.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from webrtc_host.transport.aiortc_settings import fit_aiortc

PER_SESSION = 64
SUB_TICKS = 10
WARM_UP_S = 3.0
BEHIND_S_MAX = 0.3
HEADER = struct.Struct("!BBHLL")


@dataclass(frozen=True, slots=True)
class Cost:
    receiver: str
    channels: int
    ms_per_audio_s: float
    core: float  # share of one core
    received: float  # of the audio that was sent
    sent: float  # of the planned audio: less than 1 if the generator was too slow
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    rss_mb: float
    load: float


class Sender:
    """One peer connection; `send` sends its next packet."""

    def __init__(self, payloads: Sequence[bytes], offset: int) -> None:
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._payloads = payloads
        self._number = offset
        self._pair: Any = None
        self.sent = 0

    async def connect(self, http: aiohttp.ClientSession, url: str, session: str) -> None:
        self._pc.addTransceiver("audio", direction="sendonly")
        await self._pc.setLocalDescription(await self._pc.createOffer())
        body = {"sdp": self._pc.localDescription.sdp, "type": "offer", "session": session}
        async with http.post(f"{url}/offer", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
        connected = asyncio.Event()

        def on_state() -> None:
            if self._pc.connectionState == "connected":
                connected.set()

        self._pc.on("connectionstatechange", on_state)
        await self._pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        async with asyncio.timeout(30):
            await connected.wait()
        self._attach()

    def _attach(self) -> None:
        transceiver: Any = self._pc.getTransceivers()[0]
        dtls = transceiver.sender.transport
        pair = next(iter(dtls.transport._connection._nominated.values()))
        self._protect = dtls._tx_srtp.protect
        self._payload_type = transceiver._codecs[0].payloadType
        self._ssrc = transceiver.sender._ssrc
        self._pair = pair

    def send(self) -> None:
        socket = self._pair.protocol.transport
        if socket is None or socket.is_closing():
            return
        self._number += 1
        self.sent += 1
        number = self._number
        header = HEADER.pack(0x80, self._payload_type, number % 2**16, number * 960 % 2**32, self._ssrc)
        data = self._protect(header + self._payloads[number % len(self._payloads)])
        socket.sendto(data, self._pair.remote_addr)

    async def close(self) -> None:
        await self._pc.close()


async def measure(
    receiver: str, channels: int, seconds: float, payloads: Sequence[bytes], *, with_archive: bool = False
) -> Cost:
    """Measure one server process with this number of channels for this long."""
    fit_aiortc()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-m", "bench.media_server", "--receiver", receiver, "--folder", folder]
        arguments += ["--archive"] if with_archive else []
        if len(cores) > 1:
            os.sched_setaffinity(0, {cores[-1]})
            arguments += ["--core", str(cores[0])]
        server = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert server.stdout is not None
            port = int(await server.stdout.readline())
            return await _load(f"http://127.0.0.1:{port}", receiver, channels, seconds, payloads)
        finally:
            server.terminate()
            await server.communicate()  # also reads stdout to its end, so that the loop has no open pipe
            os.sched_setaffinity(0, set(cores))


async def _load(url: str, receiver: str, channels: int, seconds: float, payloads: Sequence[bytes]) -> Cost:
    async with aiohttp.ClientSession() as http:
        senders = [Sender(payloads, 37 * number) for number in range(channels)]
        session = ""
        for number, sender in enumerate(senders):
            if number % PER_SESSION == 0:
                async with http.post(f"{url}/sessions/create", json={"name": "bench"}) as response:
                    session = (await response.json())["session_id"]
            await sender.connect(http, url, session)
        stop = asyncio.Event()
        ticking = asyncio.create_task(_tick(senders, stop))
        await asyncio.sleep(WARM_UP_S)
        before, sent = await _figures(http, url), sum(sender.sent for sender in senders)
        await asyncio.sleep(seconds)
        after, sent = await _figures(http, url), sum(sender.sent for sender in senders) - sent
        load = os.getloadavg()[0]
        stop.set()
        await ticking
        await asyncio.gather(*(sender.close() for sender in senders))
    wall_s, cpu_s = after["wall_s"] - before["wall_s"], after["cpu_s"] - before["cpu_s"]
    audio_s = (after["samples"] - before["samples"]) / 16_000
    return Cost(
        receiver,
        channels,
        round(1000 * cpu_s / audio_s, 2) if audio_s else float("inf"),
        round(cpu_s / wall_s, 3),
        round(audio_s / (sent * 0.02), 3),
        sent=round(sent * 0.02 / wall_s / channels, 3),
        lag_p50_ms=round(after["lag_p50_ms"], 1),
        lag_p99_ms=round(after["lag_p99_ms"], 1),
        lag_max_ms=round(after["lag_max_ms"], 1),
        rss_mb=round(after["rss_mb"], 1),
        load=round(load, 1),
    )


async def _figures(http: aiohttp.ClientSession, url: str) -> dict[str, float]:
    async with http.get(f"{url}/bench") as response:
        figures: dict[str, float] = await response.json()
        return figures


async def _tick(senders: Sequence[Sender], stop: asyncio.Event) -> None:
    """Send a packet of each channel every 20 ms, in groups spread over that time."""
    groups = [senders[start::SUB_TICKS] for start in range(SUB_TICKS)]
    began, count = time.perf_counter(), 0
    while not stop.is_set():
        for group in groups:
            due = began + count * 0.02 / SUB_TICKS
            behind = time.perf_counter() - due
            # a generator that is late skips packets instead of sending them all at once
            if behind > BEHIND_S_MAX:
                began += behind
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            for sender in group:
                sender.send()
            count += 1
