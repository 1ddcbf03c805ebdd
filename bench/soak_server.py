"""The 8082 process without speech detection and engine, with a report of its resources, for soak tests.

    python -m bench.soak_server --folder DIR [--connect-timeout SECONDS]

Prints its port, then serves. `GET /soak` returns memory, file descriptors, threads, tasks, and errors so far.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import threading
from pathlib import Path

import psutil
from aiohttp import web

from bench.offer_fuzz import NoSpeech
from webrtc_host.app import build_app, serve
from webrtc_host.config import DataConfig, LimitsConfig, MediaConfig, MediaProcessConfig
from webrtc_host.keys import REGISTRY
from webrtc_host.seams import Block
from webrtc_host.session.channel import Channel


class Counting(NoSpeech):
    samples = 0

    def feed(self, block: Block) -> None:
        Counting.samples += len(block.samples)


def counting(_: Channel) -> Counting:
    return Counting()


class Errors(logging.Handler):
    """Counts errors in the log and exceptions that no task handled."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        print(self.format(record), flush=True)


def report_of(app: web.Application, errors: Errors) -> dict[str, float]:
    gc.collect()
    process = psutil.Process()
    return {
        "rss_mb": process.memory_info().rss / 1e6,
        "fds": process.num_fds(),
        "threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
        "connections": len(app[REGISTRY].connections),
        "samples": Counting.samples,
        "errors": errors.count,
        "cpu_s": sum(process.cpu_times()[:2]),
    }


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--connect-timeout", type=float, default=20.0)
    chosen = parser.parse_args()
    config = MediaProcessConfig(
        media=MediaConfig(connect_timeout_s=chosen.connect_timeout),
        data=DataConfig(dir=chosen.folder),
        limits=LimitsConfig(channels_per_process=1024),
        engine_url="http://127.0.0.1:9",
    )
    errors = Errors()
    logging.getLogger().addHandler(errors)
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: logging.getLogger("bench").error("out of a task: %s", context)
    )
    app = build_app(config, make_pipeline=counting)

    async def report(_: web.Request) -> web.Response:
        return web.json_response(report_of(app, errors))

    app.router.add_get("/soak", report)
    await serve(app, "127.0.0.1", 0, on_listening=lambda port: print(port, flush=True))


if __name__ == "__main__":
    asyncio.run(main())
