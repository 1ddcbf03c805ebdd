"""How fast an event reaches all watchers: real WebSocket clients on loopback, one of which never reads.

    .venv/bin/python -m scripts.bench_fanout [--watchers 500] [--channels 4] [--seconds 20] [--json FILE]

The server runs in its own process; the watchers are spread over `--clients` processes. Each channel emits two
interims and, every third second, a final. Latency is from just before `emit` to the client's read, both on
this machine's monotonic clock. It includes the time of the client processes, so it is an upper bound.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import resource
import socket
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from webrtc_host.app import build_app, serve
from webrtc_host.config import DataConfig, LimitsConfig, MediaConfig, MediaProcessConfig
from webrtc_host.events import Event, SegmentFinal, SegmentInterim, SessionEnded, TimedWord
from webrtc_host.keys import REGISTRY, SUBSCRIBERS

NOWHERE = "http://127.0.0.1:9"
INTERIMS_PER_S = 2.0
FINAL_EVERY = 6  # interims
WORDS = "alpha one proceed to gate seven and hold there until bravo two has passed over".split()
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Load:
    watchers: int = 500
    channels: int = 4
    seconds: float = 20.0
    clients: int = 2
    queue: int = 200  # limits.watcher_queue: small, so that the client that never reads is closed


@dataclass(frozen=True, slots=True)
class Figures:
    watchers: int
    channels: int
    events: int
    events_per_s: float
    deliveries: int
    finals_missing: int  # of finals x reading watchers; must be 0
    final_p50_ms: float
    final_p95_ms: float
    final_p99_ms: float
    interim_p50_ms: float
    interim_p95_ms: float
    server_cpu: float  # of one core
    server_rss_mb_before: float  # before the first watcher connected
    server_rss_mb_watched: float
    server_rss_mb_after: float
    never_reading_closed: int


def run(load: Load) -> Figures:
    """Start everything, measure, end everything."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=_server, args=(load, theirs), daemon=True)
    server.start()
    theirs.close()  # then the pipe ends if the server ends
    port = int(ours.recv())
    share = [load.watchers // load.clients + (n < load.watchers % load.clients) for n in range(load.clients)]
    pipes, clients = [], []
    with socket.create_connection(("127.0.0.1", port)) as never_reading:
        never_reading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        never_reading.sendall(HANDSHAKE.format(port=port).encode())
        for count in share:
            near, far = spawn.Pipe()
            clients.append(spawn.Process(target=_clients, args=(port, count, far), daemon=True))
            clients[-1].start()
            far.close()
            pipes.append(near)
        for pipe in pipes:
            pipe.recv()  # all watchers of this process are connected
        ours.send("go")
        counts: dict[str, Any] = ours.recv()
        parts = [pipe.recv() for pipe in pipes]
    ours.send("end")
    for process in (*clients, server):
        process.join(30)
    return _figures(load, counts, parts)


def _figures(load: Load, counts: dict[str, Any], parts: list[dict[str, Any]]) -> Figures:
    finals = np.concatenate([np.asarray(part["final_ms"]) for part in parts])
    interims = np.concatenate([np.asarray(part["interim_ms"]) for part in parts])
    p50, p95, p99 = np.percentile(finals, [50, 95, 99])
    interim_p50, interim_p95 = np.percentile(interims, [50, 95])
    return Figures(
        watchers=load.watchers,
        channels=load.channels,
        events=counts["events"],
        events_per_s=round(counts["events"] / load.seconds, 1),
        deliveries=len(finals) + len(interims),
        finals_missing=counts["finals"] * load.watchers - len(finals),
        final_p50_ms=round(float(p50), 1),
        final_p95_ms=round(float(p95), 1),
        final_p99_ms=round(float(p99), 1),
        interim_p50_ms=round(float(interim_p50), 1),
        interim_p95_ms=round(float(interim_p95), 1),
        server_cpu=round(counts["cpu_s"] / load.seconds, 2),
        server_rss_mb_before=counts["rss_before"],
        server_rss_mb_watched=counts["rss_watched"],
        server_rss_mb_after=counts["rss_after"],
        never_reading_closed=counts["overflowed"],
    )


def _server(load: Load, pipe: Connection) -> None:
    asyncio.run(_serve(load, pipe))


async def _serve(load: Load, pipe: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = MediaProcessConfig(
            media=MediaConfig(port=0),
            limits=LimitsConfig(
                watchers=load.watchers + 10,
                watcher_queue=load.queue,
                requests_per_s=100_000,  # all clients have one address
                connections_per_address=load.watchers + 10,
                connections=load.watchers + 10,
            ),
            data=DataConfig(dir=Path(folder)),
            engine_url=NOWHERE,
        )
        app = build_app(config)
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(app, "127.0.0.1", 0, stop=stop, on_listening=pipe.send))
        rss_before = _rss_mb()
        await asyncio.to_thread(pipe.recv)
        log = app[REGISTRY].current().log
        counts: dict[str, Any] = {
            "rss_before": rss_before,
            "rss_watched": _rss_mb(),
            "finals": 0,
            "events": 0,
        }
        cpu_s, loop = time.process_time(), asyncio.get_running_loop()
        began_s, step_s = loop.time(), 1 / (INTERIMS_PER_S * load.channels)
        for number in range(int(load.seconds / step_s)):
            await asyncio.sleep(max(0.0, began_s + number * step_s - loop.time()))
            channel, revision = f"C{number % load.channels + 1:02d}", number // load.channels
            event = _event(channel, number, revision)
            counts["finals"] += isinstance(event, SegmentFinal)
            counts["events"] += 1
            log.emit(event)
        counts["cpu_s"] = time.process_time() - cpu_s
        await asyncio.sleep(1.0)
        log.emit(SessionEnded(reason="measured"))
        statistics = app[SUBSCRIBERS].statistics()
        counts |= {"rss_after": _rss_mb(), "overflowed": statistics.overflowed}
        pipe.send(counts)
        await asyncio.to_thread(pipe.recv)
        stop.set()
        await serving


def _event(channel: str, number: int, revision: int) -> Event:
    """A final after FINAL_EVERY - 1 interims. Its monotonic time of emission travels in `language`."""
    utterance, text, sent_ns = f"u_{revision // FINAL_EVERY}", " ".join(WORDS), str(time.monotonic_ns())
    if revision % FINAL_EVERY == FINAL_EVERY - 1:
        return SegmentFinal(
            channel=channel,
            utterance=utterance,
            segment=f"g_{number + 1}",
            start_ms=0,
            end_ms=0,
            text=text,
            language=sent_ns,
            words=tuple(TimedWord(word, 0, 400, 0.93) for word in WORDS),
        )
    return SegmentInterim(
        channel=channel,
        utterance=utterance,
        revision=revision,
        start_ms=0,
        end_ms=0,
        text=text,
        language=sent_ns,
    )


def _clients(port: int, count: int, pipe: Connection) -> None:
    asyncio.run(_watch_all(port, count, pipe))


async def _watch_all(port: int, count: int, pipe: Connection) -> None:
    latencies: dict[str, list[float]] = {"final_ms": [], "interim_ms": []}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        url = f"http://127.0.0.1:{port}/ws"
        sockets = [await http.ws_connect(url, compress=0) for _ in range(count)]
        pipe.send("connected")
        await asyncio.gather(*(_read(one, latencies) for one in sockets))
        pipe.send(latencies)


async def _read(one: aiohttp.ClientWebSocketResponse, latencies: dict[str, list[float]]) -> None:
    async for message in one:
        now_ns = time.monotonic_ns()
        text: str = message.data
        if '"type":"session.ended"' in text:
            await one.close()
        elif '"language":"' in text:
            # Not parsed as JSON: with 500 watchers in two processes this would measure the parser.
            sent_ns = int(text.rpartition('"language":"')[2].partition('"')[0])
            name = "final_ms" if '"type":"segment.final"' in text else "interim_ms"
            latencies[name].append((now_ns - sent_ns) / 1e6)


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 1e6, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    load = Load()
    parser.add_argument("--watchers", type=int, default=load.watchers)
    parser.add_argument("--channels", type=int, default=load.channels)
    parser.add_argument("--seconds", type=float, default=load.seconds)
    parser.add_argument("--clients", type=int, default=load.clients)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    figures = run(Load(options.watchers, options.channels, options.seconds, options.clients))
    about = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(about)
    for name, value in asdict(figures).items():
        print(f"{name:22} {value}")
    if options.json:
        options.json.write_text(json.dumps({"about": about, **asdict(figures)}, indent=2), encoding="utf-8")
    sys.exit(figures.finals_missing != 0)


if __name__ == "__main__":
    main()
