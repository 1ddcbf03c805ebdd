"""Soak test: many channels for a long time, or many connections one after the other; checks the server for
growth.

Contains the clients, the samples and their slopes. The server is a separate process, so the clients' memory
does not count. Flat means: in the second half of the run, memory grows by less than `FLAT_MB` (a straight
line through the samples), and nothing else grows.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from bench.media_cost import Sender
from webrtc_host.media.libopus import OpusEncoder
from webrtc_host.transport.aiortc_settings import fit_aiortc

FLAT_MB = 5.0
COUNTED = ("fds", "threads", "tasks")
SLACK = 3
"""Allowed growth of each count: one more HTTP connection, threads of the event loop's pool."""
CONNECT_S = 60.0
LATE_S = 0.5
NAMED_FROM, NAMED = 33, 32
"""Channels that `cycles` names. An offer without a name takes the lowest free channel and reserves it for a
while.
"""
Sample = dict[str, float]


@dataclass(frozen=True, slots=True)
class Soaked:
    what: str
    seconds: float
    channels: int
    cycles: int
    samples: list[Sample]  # in order; the first ones belong to the warm-up
    reconnected: int = 0  # clients that lost their connection during the run

    def half(self) -> list[Sample]:
        return self.samples[len(self.samples) // 2 :]

    def gained(self, name: str) -> float:
        """Growth by a straight line through the second half."""
        values = [sample[name] for sample in self.half()]
        if len(values) < 3:
            return 0.0
        at = np.arange(len(values))
        return float(np.polyfit(at, values, 1)[0] * at[-1])

    def problems(self) -> list[str]:
        found = []
        if len(self.samples) < 2:
            return [f"{len(self.samples)} samples are too few to judge"]
        if self.gained("rss_mb") > FLAT_MB:
            found.append(f"memory grows: {self.gained('rss_mb'):+.1f} MB over the second half")
        half = self.half()
        quarter = max(1, len(half) // 2)
        for name in COUNTED:
            before, after = (max(s[name] for s in part) for part in (half[:quarter], half[-quarter:]))
            if after > before + SLACK:
                found.append(f"{name} grow from {before:.0f} to {after:.0f}")
        if self.samples[-1]["errors"]:
            found.append(f"{self.samples[-1]['errors']:.0f} errors in the server's log")
        return found

    def audio_share(self) -> float:
        """Share of the expected audio that arrived in the second half."""
        half = self.half()
        wall = half[-1]["at_s"] - half[0]["at_s"]
        return (half[-1]["samples"] - half[0]["samples"]) / 16_000 / (wall * self.channels)


@asynccontextmanager
async def a_server(*options: str) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("-m", "bench.soak_server", "--folder", folder, *options)
        server = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert server.stdout is not None
        echo: asyncio.Task[None] | None = None
        try:
            port = int(await server.stdout.readline())
            echo = asyncio.create_task(_echo(server.stdout))
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            await server.wait()
            if echo is not None:
                await echo


async def _echo(lines: asyncio.StreamReader) -> None:
    async for line in lines:
        print(f"server: {line.decode().rstrip()}", file=sys.stderr)


async def sample(http: aiohttp.ClientSession, url: str, began_s: float) -> Sample:
    async with http.get(f"{url}/soak") as response:
        return {**(await response.json()), "at_s": time.monotonic() - began_s}


def speech_packets(count: int = 250) -> list[bytes]:
    """Five seconds of a signal like a voice, as Opus packets of 20 ms."""
    rng = np.random.default_rng(7)
    t = np.arange(count * 320) / 16_000
    loudness = 0.2 * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t))
    voice = loudness * (np.sin(2 * np.pi * 150 * t) + 0.3 * rng.standard_normal(len(t)))
    encoder = OpusEncoder()
    return [encoder.encode(piece) for piece in voice.astype(np.float32).reshape(-1, 320)]


async def soak(
    seconds: float, channels: int, *, every_s: float, on_sample: Callable[[Sample], None] = lambda _: None
) -> Soaked:
    """Run half of the channels over WebRTC, and a quarter each over sockets with Opus packets and with
    PCM.
    """
    fit_aiortc()
    packets = speech_packets()
    began_s = time.monotonic()
    samples: list[Sample] = []
    async with a_server() as url, aiohttp.ClientSession() as http:
        by_socket = channels // 4
        senders = [Sender(packets, 31 * n) for n in range(channels - 2 * by_socket)]
        async with http.post(f"{url}/sessions/create", json={"name": "soak"}) as response:
            session = (await response.json())["session_id"]
        for sender in senders:
            await sender.connect(http, url, session)
        sockets = [await _socket(http, url, channels - n, "opus", session) for n in range(by_socket)]
        for n in range(by_socket):
            sockets.append(await _socket(http, url, channels - by_socket - n, "pcm_s16le", session))
        began_s = time.monotonic()  # connecting may take long on a busy machine
        lost: list[Sender] = []

        async def again(sender: Sender) -> None:
            """Reconnect a client that lost its connection because the machine was too busy for the client."""
            lost.append(sender)
            await sender.close()
            senders[senders.index(sender)] = fresh = Sender(packets, 31 * len(lost))
            await fresh.connect(http, url, session)

        ticking = asyncio.create_task(_speak(senders, sockets, packets, by_socket, again))
        while time.monotonic() - began_s < seconds:
            await asyncio.sleep(every_s)
            if ticking.done():
                ticking.result()
            samples.append(await sample(http, url, began_s))
            on_sample(samples[-1])
        ticking.cancel()
        await asyncio.wait({ticking})
        for socket in sockets:
            await socket.close()
        await asyncio.gather(*(sender.close() for sender in senders))
    return Soaked("channels that stay", time.monotonic() - began_s, channels, 0, samples, len(lost))


async def _socket(
    http: aiohttp.ClientSession, url: str, number: int, encoding: str, session: str | None = None
) -> aiohttp.ClientWebSocketResponse:
    socket = await http.ws_connect(f"{url}/ws/pcm/C{number:02d}")
    await socket.send_json({"encoding": encoding, "sample_rate": 16_000, "session": session})
    answer = await socket.receive_json()
    assert answer["type"] == "started", answer
    return socket


async def _speak(
    senders: Sequence[Sender],
    sockets: Sequence[aiohttp.ClientWebSocketResponse],
    packets: Sequence[bytes],
    opus_sockets: int,
    again: Callable[[Sender], Awaitable[None]],
) -> None:
    """Send a packet of each channel every 20 ms, without end. Packets that are too late are skipped."""
    began_s, number, pcm = time.monotonic(), 0, bytes(640)
    while True:
        for sender in list(senders):
            try:
                sender.send()
            except (AttributeError, OSError):  # its transport is gone
                await again(sender)
        for index, socket in enumerate(sockets):
            await socket.send_bytes(packets[number % len(packets)] if index < opus_sockets else pcm)
        number += 1
        late_s = time.monotonic() - began_s - number * 0.02
        if late_s > LATE_S:
            began_s += late_s
        await asyncio.sleep(max(0.0, -late_s))


async def cycles(count: int, *, every: int, on_sample: Callable[[Sample], None] = lambda _: None) -> Soaked:
    """Open and close connections of four kinds in turn; see `_cycle`."""
    fit_aiortc()
    packets = speech_packets(50)
    began_s = time.monotonic()
    samples: list[Sample] = []
    async with a_server("--connect-timeout", "2") as url, aiohttp.ClientSession() as http:
        for number in range(count):
            await _cycle(http, url, number, packets)
            if (number + 1) % every == 0:
                await _until_free(http, url, began_s)
                samples.append(await sample(http, url, began_s))
                on_sample(samples[-1])
    return Soaked("connections that come and go", time.monotonic() - began_s, 0, count, samples)


async def _until_free(http: aiohttp.ClientSession, url: str, began_s: float) -> None:
    async with asyncio.timeout(CONNECT_S):
        while (await sample(http, url, began_s))["connections"]:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.2)


async def _cycle(http: aiohttp.ClientSession, url: str, number: int, packets: Sequence[bytes]) -> None:
    match number % 4:
        case 0:
            await _publish(http, url, number, is_whip=False, connects=number % 8 == 0)
        case 1:
            await _publish(http, url, number, is_whip=True, connects=number % 8 == 1)
        case 2:
            await _over_socket(http, url, number, "opus", packets)
        case _:
            await _over_socket(http, url, number, "webm", [b"no container"])


async def _publish(
    http: aiohttp.ClientSession, url: str, number: int, *, is_whip: bool, connects: bool
) -> None:
    """Send an offer and abandon it, or connect and let the client close the connection."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    pc.addTransceiver("audio", direction="sendonly")
    await pc.setLocalDescription(await pc.createOffer())
    if is_whip:
        path, headers = f"/whip/C{NAMED_FROM + number % NAMED}", {"Content-Type": "application/sdp"}
        async with http.post(url + path, data=pc.localDescription.sdp, headers=headers) as response:
            answer, location = await response.text(), response.headers.get("Location", "")
            assert response.status == 201, answer
    else:
        body = {"sdp": pc.localDescription.sdp, "type": "offer"}
        async with http.post(f"{url}/offer", json=body) as response:
            answer, location = (await response.json())["sdp"], ""
    if connects:
        await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(CONNECT_S):
            while pc.connectionState != "connected":  # noqa: ASYNC110  # its event has no future to wait on
                await asyncio.sleep(0.01)
    await pc.close()
    if location:
        async with http.delete(url + location) as response:
            assert response.status == 200


async def _over_socket(
    http: aiohttp.ClientSession, url: str, number: int, encoding: str, frames: Sequence[bytes]
) -> None:
    socket = await _socket(http, url, NAMED_FROM + number % NAMED, encoding)
    for frame in frames[:10]:
        await socket.send_bytes(frame)
    if number % 8 < 4:
        await socket.send_str(json.dumps({"type": "stop"}))
        await socket.receive()
    await socket.close()


def report_line(soaked: Soaked) -> str:
    """One row of a table in docs/benchmarks/hardening.md."""
    if not soaked.samples:
        return f"{soaked.what}: no samples"
    first, last = soaked.half()[0], soaked.samples[-1]
    counts = ", ".join(f"{name} {first[name]:.0f} → {last[name]:.0f}" for name in COUNTED)
    share = f", {soaked.audio_share():.3f} of the audio arrived" if soaked.channels else ""
    size = f"{soaked.channels} channels" if soaked.channels else f"{soaked.cycles} connections"
    return (
        f"{soaked.what}: {size}, {soaked.seconds / 60:.1f} min, load {os.getloadavg()[0]:.1f}{share}"
        f"{f', {soaked.reconnected} clients reconnected' if soaked.reconnected else ''}\n"
        f"  second half: memory {first['rss_mb']:.1f} → {last['rss_mb']:.1f} MB "
        f"({soaked.gained('rss_mb'):+.2f} MB by the slope), {counts}, errors {last['errors']:.0f}"
    )
