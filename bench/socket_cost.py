"""Measure the server's cost of audio over WebSockets, by encoding: CPU of all threads, channels in real time.

    python -m bench.socket_cost [--channels 16] [--seconds 10]

Without speech detection and engine, with the archive. Prints rows for docs/benchmarks/sockets.md.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import time
from collections.abc import Sequence

import aiohttp
import av
import numpy as np

from bench.media_soak import a_server, sample, speech_packets

KINDS = (
    ("PCM s16, 16 kHz, frames of 20 ms", "pcm_s16le", 16_000, 20),
    ("PCM s16, 16 kHz, frames of 100 ms", "pcm_s16le", 16_000, 100),
    ("PCM s16, 48 kHz, frames of 20 ms", "pcm_s16le", 48_000, 20),
    ("µ-law, 8 kHz, frames of 20 ms", "mulaw", 8_000, 20),
    ("Opus packets of 20 ms", "opus", 48_000, 20),
    ("WebM, pieces of 250 ms", "webm", 48_000, 250),
)


def frames_of(encoding: str, rate: int, frame_ms: int, seconds: float) -> list[bytes]:
    """The frames that one channel sends, one for each `frame_ms`."""
    count = round(seconds * 1000 / frame_ms)
    if encoding == "opus":
        packets = speech_packets()
        return [packets[n % len(packets)] for n in range(count)]
    if encoding == "webm":
        data = _webm(seconds)
        size = len(data) // count + 1
        return [data[at : at + size] for at in range(0, len(data), size)]
    width = 2 if encoding == "pcm_s16le" else 1
    return [os.urandom(rate * frame_ms // 1000 * width)] * count


def _webm(seconds: float) -> bytes:
    out = io.BytesIO()
    noise = (2000 * np.random.default_rng(5).standard_normal(int(48_000 * seconds))).astype(np.int16)
    with av.open(out, "w", format="webm", options={"cluster_time_limit": "250"}) as container:
        stream = container.add_stream("libopus", rate=48_000)
        stream.layout, stream.bit_rate = "mono", 32_000
        frame = av.AudioFrame.from_ndarray(noise[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


async def cost(encoding: str, rate: int, frame_ms: int, channels: int, seconds: float) -> tuple[float, float]:
    """(milliseconds of CPU for a second of a channel's audio, share of the audio that arrived)."""
    frames = frames_of(encoding, rate, frame_ms, seconds)
    async with a_server() as url, aiohttp.ClientSession() as http:
        sockets = []
        for number in range(channels):
            sockets.append(await http.ws_connect(f"{url}/ws/pcm/C{number + 1:02d}"))
            await sockets[-1].send_json({"encoding": encoding, "sample_rate": rate})
            await sockets[-1].receive_json()
        began_s = time.monotonic()
        before = await sample(http, url, began_s)
        await asyncio.gather(*(_speak(socket, frames, frame_ms) for socket in sockets))
        after = await sample(http, url, began_s)
        audio_s = (after["samples"] - before["samples"]) / 16_000
    return 1000 * (after["cpu_s"] - before["cpu_s"]) / audio_s, audio_s / (channels * seconds)


async def _speak(socket: aiohttp.ClientWebSocketResponse, frames: Sequence[bytes], frame_ms: int) -> None:
    began_s = time.monotonic()
    for number, frame in enumerate(frames):
        await asyncio.sleep(max(0.0, began_s + number * frame_ms / 1000 - time.monotonic()))
        await socket.send_bytes(frame)
    await socket.send_json({"type": "stop"})
    await socket.receive()
    await socket.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    print(f"{chosen.channels} channels, {chosen.seconds:.0f} s each, load {os.getloadavg()[0]:.1f}")
    print("| | ms of CPU for a second of audio | share that arrived |\n|---|---|---|")
    for name, encoding, rate, frame_ms in KINDS:
        ms, share = await cost(encoding, rate, frame_ms, chosen.channels, chosen.seconds)
        print(f"| {name} | {ms:.2f} | {share:.3f} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
