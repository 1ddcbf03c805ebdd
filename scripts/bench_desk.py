"""How fast the desk draws sixteen busy channels, and whether its memory stays the same over eight hours.

    .venv/bin/python -m scripts.bench_desk [--hours 8] [--minutes 8] [--pace-s 20] [--json FILE]

Chromium without a screen (software drawing) shows the desk at 1920x1080. A stand-in server sends made-up
events of sixteen channels: a quarter of the time with speech, interims, finals with words, losses, levels.
1. First paint: five times with an empty cache.
2. Frames at the real pace, `--pace-s` seconds for each view, on a fresh page.
3. The events of `--hours` hours in `--minutes` minutes, or as fast as the page takes them. Each hour has
   40 minutes of the wall, 10 of one channel and 10 of all text. At the end of each hour, back on the wall:
   the heap after a collection, nodes and listeners.
4. Frames at the real pace again, on the page that is eight hours old.
Frame: the time between two animation frames. Work: from the start of an animation frame until its drawing was
handed over. Busy: the share of time in which the page's main thread worked. Exit status 1: the heap or the
nodes grew by more than a tenth between hour 2 and the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Browser, CDPSession, Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.desk_replay import BusyDesk, ReplayServer, Sent, levels_at  # noqa: E402
from tests.browser.chromium import chromium, page_engine  # noqa: E402

CHANNELS = 16
WALL = {"width": 1920, "height": 1080}
VIEWS = ("wall", "channels", "log")
HOUR_MS = 3_600_000
LEVELS_S = 0.1
AHEAD_MAX = 600
"""Events on their way to the page. Chromium would queue any number of them."""
GROWTH_MAX = 1.10
COUNT = """
    window.taken = 0;
    window.WebSocket = class extends WebSocket {
        constructor(...given) {
            super(...given);
            this.addEventListener("message", () => (window.taken += 1));
        }
    };
"""
FRAMES = """() => {
    const frames = window.frames_ = { gaps: [], work: [], on: true };
    let before = 0;
    const { port1, port2 } = new MessageChannel();
    let began = 0;
    port1.onmessage = () => frames.work.push(performance.now() - began);
    const frame = (now) => {
        if (!frames.on) return;
        if (before) frames.gaps.push(now - before);
        before = now;
        began = performance.now();
        port2.postMessage(0);
        requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""
FRAMES_END = "() => { frames_.on = false; return { gaps: frames_.gaps, work: frames_.work }; }"


def percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 1) if values else 0.0


class Traffic:
    """One stream of events; its session time goes on over all parts of the measurement."""

    def __init__(self, server: ReplayServer) -> None:
        self._server = server
        self._desk = BusyDesk(CHANNELS)
        self._events: Iterator[Sent] = self._desk.events()
        self._next = next(self._events)
        self._rng = random.Random(2)
        self.at_ms = 0
        self._known = 0  # events that the page had taken when it was asked last

    async def play(self, page: Page, for_ms: int, speed: float) -> None:
        """Send the events of the next `for_ms`, `speed` times as fast as they happened."""
        began, from_ms, until_ms = time.monotonic(), self.at_ms, self.at_ms + for_ms
        next_levels = began
        while self.at_ms < until_ms:
            now = time.monotonic()
            self.at_ms = min(until_ms, from_ms + round((now - began) * 1000 * speed))
            while self._next.at_ms <= self.at_ms:
                await self._server.send(self._next)
                self._next = next(self._events)
            if now >= next_levels:
                await self._server.send(levels_at(self.at_ms, self._desk.names, self._rng))
                next_levels = now + LEVELS_S
                if self._server.sent - self._known > AHEAD_MAX:
                    await self._wait_for(page)
            await asyncio.sleep(0.01)

    async def _wait_for(self, page: Page) -> None:
        """Until the page has taken most of the events."""
        while True:
            self._known = await page.evaluate("taken")
            if self._server.sent - self._known <= AHEAD_MAX // 2:
                return
            await asyncio.sleep(0.02)


class Desk:
    def __init__(self, page: Page, cdp: CDPSession) -> None:
        self.page, self._cdp = page, cdp

    @classmethod
    async def opened(cls, browser: Browser, url: str) -> Desk:
        context = await browser.new_context(viewport=WALL, locale="en-GB")  # type: ignore[arg-type]
        page = await context.new_page()
        page.set_default_timeout(120_000)
        await page.add_init_script(COUNT)
        await page.goto(f"{url}/desk")
        await page.wait_for_selector("#live[data-state=live]")
        cdp = await page.context.new_cdp_session(page)
        await cdp.send("Performance.enable")
        return cls(page, cdp)

    async def show(self, view: str) -> None:
        await self.page.evaluate(f"document.querySelector('.tabs [data-view={view}]').click()")

    async def metrics(self) -> dict[str, float]:
        found = await self._cdp.send("Performance.getMetrics")
        return {one["name"]: one["value"] for one in found["metrics"]}

    async def memory(self) -> dict[str, float]:
        for _ in range(2):  # the second one frees what finalizers released
            await self._cdp.send("HeapProfiler.collectGarbage")
        metrics = await self.metrics()
        return {
            "heap_mb": round(metrics["JSHeapUsedSize"] / 1e6, 2),
            "nodes": metrics["Nodes"],
            "listeners": metrics["JSEventListeners"],
        }

    async def frames(self, view: str, traffic: Traffic, seconds: float) -> dict[str, Any]:
        await self.show(view)
        await traffic.play(self.page, 2000, 1)
        before = await self.metrics()
        await self.page.evaluate(FRAMES)
        await traffic.play(self.page, round(seconds * 1000), 1)
        found = await self.page.evaluate(FRAMES_END)
        after = await self.metrics()
        busy = (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])
        gaps, work = found["gaps"], found["work"]
        return {
            **{"view": view, "frames": len(gaps), "frame_p50_ms": percentile(gaps, 0.5)},
            **{"frame_p95_ms": percentile(gaps, 0.95), "frame_max_ms": percentile(gaps, 1)},
            **{"work_p50_ms": percentile(work, 0.5), "work_p95_ms": percentile(work, 0.95)},
            **{"busy": round(busy, 3), "load": round(os.getloadavg()[0], 1)},
        }


async def first_paints(browser: Browser, url: str) -> list[float]:
    paints = []
    for _ in range(5):
        context = await browser.new_context(viewport=WALL)  # type: ignore[arg-type]
        page = await context.new_page()
        await page.goto(f"{url}/desk")
        await page.wait_for_selector("html[data-ready]", state="attached")
        found = "performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)"
        while not (paint := await page.evaluate(found)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        paints.append(round(paint[0]))
        await context.close()
    return paints


def told(row: dict[str, Any]) -> None:
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


async def measure(hours: int, minutes: float, pace_s: float) -> dict[str, Any]:
    result: dict[str, Any] = {"hours": hours, "cores": os.cpu_count(), "frames": [], "memory": []}
    server = ReplayServer()
    async with server.running(), chromium(executable=page_engine()) as browser:
        result["first_paint_ms"] = await first_paints(browser, server.url)
        told({"first paint (ms)": result["first_paint_ms"], "median": median(result["first_paint_ms"])})
        server.forget_watchers()
        desk, traffic = await Desk.opened(browser, server.url), Traffic(server)
        for view in VIEWS:
            result["frames"].append({"page": "fresh", **await desk.frames(view, traffic, pace_s)})
            told(result["frames"][-1])
        speed = hours * 60 / minutes
        began, sent = time.monotonic(), server.sent
        for hour in range(1, hours + 1):
            for view, part in (("wall", 40), ("channels", 10), ("log", 10)):
                await desk.show(view)
                await traffic.play(desk.page, part * HOUR_MS // 60, speed)
            await desk.show("wall")
            await traffic.play(desk.page, 1000, 1)
            result["memory"].append({"hour": hour, **await desk.memory(), "events": server.sent - sent})
            told(result["memory"][-1])
        result["replay_s"] = round(time.monotonic() - began)
        for view in VIEWS:
            aged = {"page": f"after {hours} h", **await desk.frames(view, traffic, pace_s)}
            result["frames"].append(aged)
            told(aged)
    return result


def has_grown(memory: list[dict[str, Any]]) -> bool:
    if len(memory) < 3:
        return False
    return any(memory[-1][name] > memory[1][name] * GROWTH_MAX for name in ("heap_mb", "nodes"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=8.0, help="how long the replay of the hours takes")
    parser.add_argument("--pace-s", type=float, default=20.0, help="seconds of each measurement of frames")
    parser.add_argument("--json", type=Path, help="also write the result into this file")
    options = parser.parse_args()
    found = asyncio.run(measure(options.hours, options.minutes, options.pace_s))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    is_grown = has_grown(found["memory"])
    print("the heap or the nodes grew" if is_grown else "heap and nodes: no growth above a tenth")
    sys.exit(1 if is_grown else 0)
