"""Measure the time from a spoken word to its alert, with simulated channels and the starter model.

`python -m scripts.bench_alerts [--channels 16] [--talk 0.25] [--seconds 120] [--rules 50]`. A real server
transcribes the bundled radio phrases. Each rule waits for a word of them; the other rules find nothing, and
are only searched. The end of a word is the engine's time for it in the final; the alert is timed at its
arrival here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.browser.live import LiveServer

WORDS = (
    *("gate", "entrance", "radio", "position", "medic", "smoke", "dock", "checkpoint", "lights", "report"),
    *("child", "platform", "road", "tree", "bridge", "fuel", "units", "camera", "minutes", "base"),
)
"""Words of the bundled phrases."""
COOLDOWN_S = 5


@dataclass
class Found:
    """What was seen: by id of the alert, when it arrived, and the word and line that confirmed it."""

    t0_s: float = 0.0
    arrived_s: dict[str, float] = field(default_factory=dict)
    provisional: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    lines: dict[str, tuple[str, str]] = field(default_factory=dict)  # alert -> (segment, words)
    finals: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take(self, event: dict[str, Any], at_s: float) -> None:
        match event["type"]:
            case "session.started":
                self.t0_s = datetime.fromisoformat(event["t0_wall"]).timestamp()
            case "segment.final":
                self.finals[event["segment"]] = event
            case "alert.raised":
                self.arrived_s[event["alert"]] = at_s
                if event.get("is_provisional"):
                    self.provisional.add(event["alert"])
                else:
                    self.lines[event["alert"]] = (event["segment"], event["matched"])
            case "alert.confirmed":
                self.lines[event["alert"]] = (event["segment"], event["matched"])
            case "alert.withdrawn":
                self.withdrawn.add(event["alert"])

    def latencies_s(self) -> list[float]:
        found = []
        for alert, (segment, matched) in self.lines.items():
            spoken_ms = _end_of(self.finals[segment], matched)
            if spoken_ms is not None and alert in self.arrived_s:
                found.append(self.arrived_s[alert] - self.t0_s - spoken_ms / 1000)
        return sorted(found)


def _end_of(final: dict[str, Any], matched: str) -> int | None:
    for word in final.get("words", ()):
        if matched.lower() in word["text"].lower():
            return int(word["end_ms"])
    return None


def rules(count: int) -> list[dict[str, Any]]:
    """One rule for each word; up to `count` with rules that find nothing, half of them patterns."""
    found: list[dict[str, Any]] = [
        {"name": f"word {word}", "when": "terms", "terms": [word], "cooldown_s": COOLDOWN_S} for word in WORDS
    ]
    for number in range(count - len(found)):
        name = f"never {number}"
        if number % 2:
            found.append({"name": name, "when": "pattern", "pattern": rf"code {number}[0-9]+ (red|blue)$"})
        else:
            terms = [f"zulu{number}x{n}" for n in range(10)]
            found.append({"name": name, "when": "terms", "terms": terms})
    return found[:count]


async def measure(server: LiveServer, chosen: argparse.Namespace) -> Found:
    found = Found()
    async with aiohttp.ClientSession(server.url) as client:
        async with client.put("/api/alerts/rules", json={"rules": rules(chosen.rules)}) as response:
            assert response.status == 200, await response.text()
        start = {"channels": chosen.channels, "talk": chosen.talk, "seconds": chosen.seconds}
        async with client.post("/api/simulation", json=start) as response:
            session = (await response.json())["session"]
        async with client.ws_connect(f"/ws?session={session}&since=0") as socket:
            async for message in socket:
                event = json.loads(message.data)
                found.take(event, time.time())
                if event["type"] == "session.ended":
                    break
        async with client.get("/metrics") as response:
            print(_of_server((await response.text()).splitlines()))
    return found


def _of_server(lines: Sequence[str]) -> str:
    names = ("host_stt_alert_latency_seconds_bucket", "host_stt_alert_latency_seconds_count")
    named = ("host_stt_alerts_raised", "host_stt_alerts_suppressed", "host_stt_alerts_dropped")
    return "\n".join(line for line in lines if line.startswith((*names, *named)))


def share(values: Sequence[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--talk", type=float, default=0.25)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rules", type=int, default=50)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LiveServer(Path(folder)).running() as server:
        psutil.cpu_percent()
        found = asyncio.run(measure(server, chosen))
        busy = psutil.cpu_percent()
    latencies = found.latencies_s()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, busy {busy:.0f} %")
    print(f"load average {' '.join(f'{one:.1f}' for one in os.getloadavg())}")
    print(
        f"{chosen.channels} channels, talk {chosen.talk}, {chosen.seconds} s, {chosen.rules} rules: "
        f"{len(found.arrived_s)} alerts, {len(found.provisional)} of them provisional, "
        f"{len(found.withdrawn)} withdrawn, {len(latencies)} timed"
    )
    if latencies:
        p50, p95 = share(latencies, 0.5), share(latencies, 0.95)
        print(f"spoken word to alert: p50 {p50:.2f} s, p95 {p95:.2f} s, at most {latencies[-1]:.2f} s")


if __name__ == "__main__":
    main()
