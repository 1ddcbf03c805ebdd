"""The 8082 process without speech detection and engine, to measure the cost of the media path.

    python -m bench.media_server --receiver ours|stock --folder DIR [--archive]

Prints its port, then serves. `GET /bench` returns CPU seconds, received samples and the event loop's lag
since the last request. `stock` reads tracks like every aiortc example: own sockets, `recv()`, PyAV's
resampler.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import psutil
from aiohttp import web
from aiortc.mediastreams import MediaStreamError

from webrtc_host.app import build_app, serve
from webrtc_host.config import ArchiveConfig, DataConfig, LimitsConfig, MediaConfig, MediaProcessConfig
from webrtc_host.seams import Block, BlockKind
from webrtc_host.session.channel import Channel
from webrtc_host.transport import peer
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.track import TrackFeed

PROBE_S = 0.02


class Counting:
    """A pipeline that counts the samples that reach it."""

    samples = 0
    lost = 0

    def __init__(self, channel: Channel) -> None: ...

    def start(self) -> None: ...

    def feed(self, block: Block) -> None:
        if block.kind is BlockKind.AUDIO:
            Counting.samples += len(block.samples)
        else:
            Counting.lost += len(block.samples)

    async def close(self) -> None: ...

    def set_language(self, language: str) -> None: ...

    async def force_end(self) -> None: ...

    @property
    def pause_ms(self) -> int:
        return 0


class StockFeed(TrackFeed):
    """Like the aiortc examples: one frame at a time from `recv`, through a resampler."""

    def __init__(
        self, receiver: Any, channel: Channel, config: MediaConfig, on_finished: Callable[..., None]
    ) -> None:
        handle = receiver._handle_rtp_packet
        super().__init__(receiver, channel, config, on_finished)
        receiver._handle_rtp_packet = handle

    async def _wait_for_end(self) -> None:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        try:
            while True:
                frame: Any = await self.receiver.track.recv()
                for out in resampler.resample(frame):
                    Counting.samples += len(out.to_ndarray()[0])
        except MediaStreamError:
            self._end()


class Probe:
    """Measures how late the event loop wakes a sleeping task."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    async def run(self) -> None:
        while True:
            due = time.perf_counter() + PROBE_S
            await asyncio.sleep(PROBE_S)
            self.late_s.append(max(0.0, time.perf_counter() - due))

    async def report(self, _: web.Request) -> web.Response:
        late = sorted(self.late_s) or [0.0]
        self.late_s = []
        figures = {
            "wall_s": time.perf_counter(),
            "cpu_s": time.process_time(),
            "samples": Counting.samples,
            "lost": Counting.lost,
            "lag_p50_ms": 1000 * late[len(late) // 2],
            "lag_p99_ms": 1000 * late[int(len(late) * 0.99)],
            "lag_max_ms": 1000 * late[-1],
            "rss_mb": psutil.Process().memory_info().rss / 1e6,
        }
        return web.json_response(figures)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--receiver", choices=("ours", "stock"), default="ours")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--archive", action="store_true", help="store the audio too")
    parser.add_argument("--core", type=int)
    chosen = parser.parse_args()
    if chosen.core is not None:
        os.sched_setaffinity(0, {chosen.core})
    if chosen.receiver == "stock":
        peer.TrackFeed = StockFeed  # type: ignore[attr-defined]
        OnePort.adopt = lambda *_: None  # type: ignore[method-assign]
    config = MediaProcessConfig(
        data=DataConfig(dir=chosen.folder),
        archive=ArchiveConfig(enabled=chosen.archive),
        limits=LimitsConfig(channels_per_process=1024),
        engine_url="http://127.0.0.1:9",
    )
    app = build_app(config, make_pipeline=Counting)
    probe = Probe()
    app.router.add_get("/bench", probe.report)
    task = asyncio.create_task(probe.run())
    await serve(app, "127.0.0.1", 0, on_listening=lambda port: print(port, flush=True))
    task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
