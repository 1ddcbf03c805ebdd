"""Measure the delay of saving each event before it is sent, and the effect of ten thousand reconnects.

    .venv/bin/python -m scripts.bench_record [--seconds 10] [--rates 20,200,1000] [--url URL] [--folder DIR]
    .venv/bin/python -m scripts.bench_record --reconnects 10000

Added latency is from `emit` until watchers get the event, on the event loop's clock. Finals have 15 words
with their times, about 1.6 kB each. The reconnects are real WebSockets on loopback, 500 at a time. Each has a
`since` 100 events before the oldest one in memory. One more watcher stays connected and measures live events.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import platform
import random
import resource
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import numpy as np

from webrtc_host.app import build_app, serve
from webrtc_host.config import DataConfig, LimitsConfig, MediaConfig, MediaProcessConfig, StoreSettings
from webrtc_host.events import Event, EventSink, SegmentFinal, SessionStarted, TimedWord
from webrtc_host.keys import RECORD, REGISTRY
from webrtc_host.transcript.event_log import LoggedEvent
from webrtc_host.transcript.saved_log import SavedLog
from webrtc_host.transcript.store import Store, StoreConfig

NOWHERE = "http://127.0.0.1:9"
WORDS = "alpha one proceed to gate seven and hold there until bravo two has passed over".split()
AT_ONCE = 500
BACK = 100
HELD = 200
PATIENCE_S = 60.0
"""A client stops when it gets nothing, or is refused, for this long."""
OUTSTANDING = 5000
"""Events that wait for the disk in the run at maximum speed."""


@dataclass
class Written:
    """One run: a session whose events are saved, and the delay of each event."""

    store: Store
    log: SavedLog = field(init=False)
    emitted_s: deque[float] = field(default_factory=deque)
    added_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = SavedLog(
            f"s_{time.monotonic_ns()}",
            capacity=100,
            now_ms=lambda: 0,
            listener=self._on_event,
            journal=self.store.journal,
        )
        self.store.journal.add(self.log)
        self.emit(SessionStarted(name="bench", t0_wall=datetime(2026, 11, 21, 6, 10, tzinfo=UTC)))

    def emit(self, event: Event) -> None:
        self.emitted_s.append(time.perf_counter())
        self.log.emit(event)

    def final(self, number: int) -> None:
        text = " ".join(WORDS)
        self.emit(
            SegmentFinal(
                channel=f"C{number % 16 + 1:02d}",
                utterance=f"u_{number}",
                segment=f"g_{self.log.session}{number}",
                start_ms=number * 10,
                end_ms=number * 10 + 4500,
                text=text,
                raw=text,
                words=tuple(TimedWord(word, at * 300, at * 300 + 250, 0.93) for at, word in enumerate(WORDS)),
            )
        )

    def _on_event(self, event: LoggedEvent) -> None:
        self.added_ms.append((time.perf_counter() - self.emitted_s.popleft()) * 1000)


async def at_rate(store: Store, rate: float, seconds: float) -> str:
    written = Written(store)
    before = store.statistics()
    began_s = time.perf_counter()
    number = 0
    while (elapsed_s := time.perf_counter() - began_s) < seconds:
        due = int(elapsed_s * rate)
        while number < due:
            number += 1
            written.final(number)
        await asyncio.sleep(0.002)
    await written.log.settled()
    after = store.statistics()
    groups = after["groups"] - before["groups"]
    p50, p95, p99 = np.percentile(written.added_ms, [50, 95, 99])
    return f"| {rate:.0f} a second | {p50:.1f} / {p95:.1f} / {p99:.1f} | {number / groups:.1f} | {number} |"


async def at_maximum_speed(store: Store, seconds: float) -> str:
    written = Written(store)
    before = store.statistics()
    began_s = time.perf_counter()
    number = 0
    while time.perf_counter() - began_s < seconds:
        while len(written.emitted_s) < OUTSTANDING:
            number += 1
            written.final(number)
        await asyncio.sleep(0.001)
    await written.log.settled()
    took_s = time.perf_counter() - began_s
    groups = store.statistics()["groups"] - before["groups"]
    p50, p95, p99 = np.percentile(written.added_ms, [50, 95, 99])
    rate = number / took_s
    return (
        f"| maximum speed: {rate:.0f} a second | {p50:.0f} / {p95:.0f} / {p99:.0f} "
        f"| {number / groups:.0f} | {number} |"
    )


async def write(arguments: argparse.Namespace, folder: Path) -> None:
    store = Store(StoreConfig(folder, arguments.url))
    await store.open()
    print("| finals | added latency p50 / p95 / p99 ms | events in a transaction | events |")
    print("|---|---|---|---|")
    for rate in (float(rate) for rate in arguments.rates.split(",")):
        print(await at_rate(store, rate, arguments.seconds), flush=True)
    print(await at_maximum_speed(store, arguments.seconds), flush=True)
    await store.close()


def run_server(folder: str, url: str, pipe: Connection) -> None:
    asyncio.run(_serve(Path(folder), url, pipe))


async def _serve(folder: Path, url: str, pipe: Connection) -> None:
    """Serve a session with 1,000 stored events, and emit a final with its time every 50 ms."""
    config = MediaProcessConfig(
        media=MediaConfig(port=0),
        limits=LimitsConfig(watchers=1000, events_in_memory=HELD),
        data=DataConfig(dir=folder),
        store=StoreSettings(url=url),
        engine_url=NOWHERE,
    )
    app, stop = build_app(config), asyncio.Event()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, stop=stop, on_listening=pipe.send))
    await asyncio.to_thread(pipe.recv)
    log = app[REGISTRY].current().log
    for number in range(1000):
        _emit(log, number)
    pipe.send(await log.settled())
    number, before_mb = 1000, _rss_mb()
    while not pipe.poll():
        number += 1
        _emit(log, number, made_ns=time.monotonic_ns())
        await asyncio.sleep(0.05)
    figures = app[RECORD].store.statistics() | {"rss_before_mb": before_mb, "rss_max_mb": _rss_mb()}
    stop.set()
    await serving
    pipe.send(figures)


def _emit(log: EventSink, number: int, made_ns: int | None = None) -> None:
    """made_ns: the monotonic time of emission; it travels in `language`, where the clients find it."""
    log.emit(
        SegmentFinal(
            channel="C01",
            utterance=f"u_{number}",
            segment=f"g_{number}",
            start_ms=number,
            end_ms=number + 1,
            text=" ".join(WORDS),
            language=None if made_ns is None else str(made_ns),
        )
    )


@dataclass
class Storm:
    """The client side of the reconnects."""

    url: str
    head: int
    reconnected: int = 0
    tried_again: Counter[str] = field(default_factory=Counter)  # by the error at the client
    not_served: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    live_ms: list[float] = field(default_factory=list)

    async def reconnect_until_served(self, http: aiohttp.ClientSession) -> None:
        """Reconnect as a page does: after a refusal it tries again."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                await self._reconnect_once(http)
                return
            except aiohttp.WSServerHandshakeError as error:
                reason = f"status {error.status}"
                again_s = float((error.headers or {}).get("Retry-After", 1))
            except (aiohttp.ClientError, TimeoutError, TypeError) as error:
                reason, again_s = f"{type(error).__name__}: {error}", 1.0
            if time.monotonic() > until_s:
                self.not_served[reason] += 1
                return
            self.tried_again[reason] += 1
            await asyncio.sleep(again_s * random.uniform(1, 2))

    async def _reconnect_once(self, http: aiohttp.ClientSession) -> None:
        since = self.head - HELD - BACK
        async with http.ws_connect(self.url, params={"since": str(since)}) as socket:
            got = [(await socket.receive_json(timeout=PATIENCE_S))["seq"] for _ in range(BACK)]
        self.reconnected += 1
        self.wrong += got != list(range(since + 1, since + BACK + 1))

    async def stay(self, http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(self.url) as socket:
            async for message in socket:
                body = json.loads(message.data)
                if "language" in body:
                    self.live_ms.append((time.monotonic_ns() - int(body["language"])) / 1e6)


async def storm(port: int, head: int, count: int) -> Storm:
    seen = Storm(f"http://127.0.0.1:{port}/ws", head)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(http: aiohttp.ClientSession) -> None:
        async with turns:
            await seen.reconnect_until_served(http)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        staying = asyncio.create_task(seen.stay(http))
        await asyncio.gather(*(one(http) for _ in range(count)))
        staying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await staying
    return seen


def reconnect(arguments: argparse.Namespace, folder: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=run_server, args=(str(folder), arguments.url, theirs)
    )
    server.start()
    port = ours.recv()
    ours.send("begin")
    head = ours.recv()
    began_s = time.perf_counter()
    seen = asyncio.run(storm(port, head, arguments.reconnects))
    took_s = time.perf_counter() - began_s
    ours.send("stop")
    figures = ours.recv()
    server.join()
    p50, p95, p99 = np.percentile(seen.live_ms, [50, 95, 99])
    not_served = seen.not_served.total()
    print(f"reconnected {seen.reconnected}, not served {not_served}, wrong {seen.wrong}, in {took_s:.1f} s")
    for reason, count in seen.not_served.most_common():
        print(f"  not served: {count} x {reason}")
    for reason, count in seen.tried_again.most_common():
        print(f"  tried again: {count} x {reason}")
    print(f"events replayed {seen.reconnected * BACK}, {seen.reconnected * BACK / took_s:.0f} a second")
    print(f"live final to another watcher: p50 {p50:.0f} / p95 {p95:.0f} / p99 {p99:.0f} ms")
    print(f"server memory {figures['rss_before_mb']:.0f} -> at most {figures['rss_max_mb']:.0f} MB")
    print(f"reads refused {figures['reads_refused']:.0f}, longest commit {figures['commit_ms_max']:.0f} ms")


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each row")
    parser.add_argument("--rates", default="20,200,1000", help="finals a second")
    parser.add_argument("--url", default="", help="store.url")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: a temporary folder")
    parser.add_argument("--reconnects", type=int, default=0, help="measure so many reconnecting watchers")
    arguments = parser.parse_args()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {load}, {arguments.url or 'SQLite'}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.reconnects:
            reconnect(arguments, Path(folder))
        else:
            asyncio.run(write(arguments, Path(folder)))


if __name__ == "__main__":
    main()
