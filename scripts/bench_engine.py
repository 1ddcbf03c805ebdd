"""How many channels does this engine carry? Measures 8081 under synthetic load, and beside faster-whisper.

  python scripts/bench_engine.py --model starter --channels 4 8 16 --talk 1.0 --interval 1.0 --seconds 30
  python scripts/bench_engine.py --model random:tiny --short --sweep
  python scripts/bench_engine.py --model random:large-v3-turbo --windows 1 --channels 0
  python scripts/bench_engine.py --overhead

Random-weight models have the true architecture and say nothing of accuracy: their tokens are fixed at 3.5 per
second, retries and guards are off. All sides get the same sound, beam 1 and the same mallopt; faster-whisper
pads every window to 30 s, so ours is measured that way too; ours also times the words, theirs does not. Needs
espeak-ng. Results go to --json and, as a table, to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import aiohttp  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402

from bench import random_model  # noqa: E402
from bench.engine_load import Load, Tally, run_load, send_all  # noqa: E402
from bench.one_by_one import seconds_for  # noqa: E402
from bench.overhead import round_trips  # noqa: E402
from host_stt.contract import SAMPLE_RATE, Float32Array, Priority  # noqa: E402
from host_stt.models import STARTER_FOLDER  # noqa: E402
from tests.support.speech import say  # noqa: E402
from training.grammar import draw_phrase  # noqa: E402

TOKENS_PER_S = 3.5
ROUNDS = 400  # of the overhead
FINAL_P95_S = 0.5
"""What "holds" means: no final lost or shed, and 95 of 100 answered within this."""


@dataclass(frozen=True, slots=True)
class Subject:
    name: str
    folder: Path
    is_short: bool
    tokens_per_s: float | None


def main() -> int:
    arguments = _arguments()
    if arguments.overhead:
        return _overhead(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        subject = _subject(arguments, Path(scratch))
        clips = _clips(arguments.seed)
        report: dict[str, Any] = {"about": _about(arguments, subject), "cases": []}
        if not arguments.no_peers:
            report["throughput"] = asyncio.run(_throughput(subject, clips, arguments))
        for channels in filter(None, _channel_counts(arguments)):
            case = asyncio.run(_case(subject, clips, channels, arguments))
            report["cases"].append(case)
            if arguments.sweep and not case["holds"]:
                break
    print(_table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="starter", help="starter, random:SIZE or a folder")
    parser.add_argument("--short", action="store_true", help="windows shorter than 30 s (starter: always)")
    parser.add_argument("--channels", type=int, nargs="+", default=[16], help="0: no load, only throughput")
    parser.add_argument("--sweep", action="store_true", help="1, 2, 4, ... channels until it no longer holds")
    parser.add_argument("--talk", type=float, default=1.0, help="share of time each channel speaks")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between interims")
    parser.add_argument("--seconds", type=float, default=30.0, help="per case")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="for all sides; with 1, processor seconds hold on a busy box too",
    )
    parser.add_argument("--windows", type=int, default=32, help="finals of the throughput comparison")
    parser.add_argument("--no-peers", action="store_true", help="leave faster-whisper's own ways out")
    parser.add_argument("--overhead", action="store_true", help="only what /v1/windows costs by itself")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _channel_counts(arguments: argparse.Namespace) -> list[int]:
    return [1, 2, 4, 8, 12, 16, 24, 32, 48, 64] if arguments.sweep else arguments.channels


def _subject(arguments: argparse.Namespace, scratch: Path) -> Subject:
    if arguments.model == "starter":
        return Subject("starter", STARTER_FOLDER, True, None)
    if arguments.model.startswith("random:"):
        size = arguments.model.removeprefix("random:")
        return Subject(size, random_model.make(size, scratch), arguments.short, TOKENS_PER_S)
    return Subject(arguments.model, Path(arguments.model), arguments.short, None)


def _clips(seed: int) -> list[Float32Array]:
    """Twenty utterances of 4 to 7 s: grammar phrases one after the other."""
    rng = random.Random(seed)
    clips = []
    for _ in range(20):
        parts: list[Float32Array] = []
        while sum(map(len, parts)) < 4 * SAMPLE_RATE:
            parts += [say(draw_phrase(rng, "en").text), np.zeros(3200, np.float32)]
        clips.append(np.concatenate(parts)[: 7 * SAMPLE_RATE])
    return clips


# --- the engine under load --------------------------------------------------------------------------


class _Engine:
    """8081 in a process of its own."""

    def __init__(self, subject: Subject, threads: int) -> None:
        settings = {
            "cpu_threads": threads,
            "hang_s": 600,
            "folder": str(subject.folder),
            "name": subject.name,
            "short": subject.is_short,
            "tokens_per_s": subject.tokens_per_s,
        }
        command = [sys.executable, "-m", "bench.engine_process", json.dumps(settings)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().split()[1]}"

    async def ready(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                async with http.get(f"{self.url}/ready") as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.2)

    async def figures(self) -> dict[str, float]:
        """The samples of /metrics by name and labels."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {k: float(v) for k, _, v in (ln.rpartition(" ") for ln in lines if not ln.startswith("#"))}

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


async def _case(
    subject: Subject, clips: list[Float32Array], channels: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    engine = _Engine(subject, arguments.threads)
    try:
        await engine.ready()
        before = await engine.figures()
        began, began_cpu = time.monotonic(), _cpu_s(engine)
        load = Load(channels, arguments.talk, arguments.interval, arguments.seconds, arguments.seed)
        tally = await run_load(engine.url, load, clips)
        took_s, cpu_s = time.monotonic() - began, _cpu_s(engine) - began_cpu
        after = await engine.figures()
        peak_mb = _peak_mb(engine.process.pid)
    finally:
        engine.end()
    spent = {name: after[name] - before.get(name, 0.0) for name in after}
    return {
        "channels": channels,
        "final_ms": _percentiles(tally.latencies_s[Priority.FINAL]),
        "interim_ms": _percentiles(tally.latencies_s[Priority.INTERIM]),
        "finals_asked": tally.asked[Priority.FINAL],
        "interims_asked": tally.asked[Priority.INTERIM],
        "interims_shed": tally.errors.get("interim shed", 0),
        "errors": tally.errors,
        "rows_per_call": {p.value: _rows_per_call(spent, p) for p in (Priority.FINAL, Priority.INTERIM)},
        "busy_share": round(spent["host_stt_engine_busy_seconds_total"] / took_s, 3),
        "cores_used": round(cpu_s / took_s, 2),
        "peak_mb": peak_mb,
        "holds": _holds(tally),
    }


def _holds(tally: Tally) -> bool:
    finals = tally.latencies_s[Priority.FINAL]
    is_whole = not tally.unanswered_finals and not any(key.startswith("final") for key in tally.errors)
    return bool(finals) and is_whole and float(np.percentile(finals, 95)) <= FINAL_P95_S


def _peak_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 // 1_000_000 for line in lines if line.startswith("VmHWM"))


def _rows_per_call(spent: dict[str, float], priority: Priority) -> float:
    name = "host_stt_engine_batch_windows"
    calls = spent.get(f'{name}_count{{priority="{priority.value}"}}', 0.0)
    rows = spent.get(f'{name}_sum{{priority="{priority.value}"}}', 0.0)
    return round(rows / calls, 2) if calls else 0.0


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"n": 0}
    p50, p95, p99 = (round(1000 * float(x)) for x in np.percentile(seconds, [50, 95, 99]))
    return {"n": len(seconds), "p50": p50, "p95": p95, "p99": p99}


# --- beside faster-whisper --------------------------------------------------------------------------


async def _throughput(
    subject: Subject, clips: list[Float32Array], arguments: argparse.Namespace
) -> dict[str, Any]:
    """The same finals of 16 channels as fast as each can: ours in batches, theirs one by one."""
    windows = (clips * (1 + arguments.windows // len(clips)))[: arguments.windows]
    threads = arguments.threads or len(psutil.Process().cpu_affinity())
    names = ("ours", "ours at 30 s", "transcribe", "batched pipeline")
    ways: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(3):  # interleaved, so that other work on the machine hits all of them
        ways["ours"].append(await _ours(subject, windows, threads))
        ways["ours at 30 s"].append(await _ours(replace(subject, is_short=False), windows, threads))
        for name, batched in (("transcribe", False), ("batched pipeline", True)):
            took = await asyncio.to_thread(
                seconds_for,
                subject.folder,
                windows,
                batched=batched,
                tokens_per_s=subject.tokens_per_s,
                threads=threads,
            )
            ways[name].append(took)
    middle = {name: median(t for t, _ in took) for name, took in ways.items()}
    # On a box that others use too, the processor's time is what can be compared.
    cpu = {name: median(t for _, t in took) for name, took in ways.items()}
    return {
        "windows": len(windows),
        "seconds": {name: [round(t, 3) for t, _ in took] for name, took in ways.items()},
        "cpu_seconds": {name: [round(t, 3) for _, t in took] for name, took in ways.items()},
        "ours_is_times_as_fast": {name: round(took / middle["ours"], 2) for name, took in middle.items()},
        "ours_takes_times_less_cpu": {name: round(took / cpu["ours"], 2) for name, took in cpu.items()},
    }


async def _ours(subject: Subject, windows: list[Float32Array], threads: int) -> tuple[float, float]:
    """(seconds, processor seconds)."""
    engine = _Engine(subject, threads)
    try:
        await engine.ready()
        await send_all(engine.url, windows[:1])
        began = _cpu_s(engine)
        took_s = await send_all(engine.url, windows)
        return took_s, _cpu_s(engine) - began
    finally:
        engine.end()


def _cpu_s(engine: _Engine) -> float:
    spent = psutil.Process(engine.process.pid).cpu_times()
    return float(spent.user + spent.system)


# --- the way there and back ------------------------------------------------------------------------


def _overhead(arguments: argparse.Namespace) -> int:
    took = asyncio.run(round_trips(ROUNDS))
    report: dict[str, Any] = {
        "about": {"command": " ".join(["python", *sys.argv]), **_machine()},
        "round_trip_ms": {
            name: {f"p{p}": round(1000 * float(np.percentile(seconds, p)), 3) for p in (50, 95, 99)}
            for name, seconds in took.items()
        },
    }
    ways = report["round_trip_ms"]
    added = {p: round(ways["windows"][p] - ways["raw socket"][p], 3) for p in ("p50", "p95")}
    report["added_ms"] = added
    for key, value in report["about"].items():
        print(f"{key}: {value}")
    for name, figures in ways.items():
        print(f"{name}: {figures} ms over {ROUNDS} rounds of 320 kB")
    print(f"added: {added} ms (p95 to stay within 1)")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


# --- words ------------------------------------------------------------------------------------------


def _about(arguments: argparse.Namespace, subject: Subject) -> dict[str, Any]:
    return {
        "command": " ".join(["python", *sys.argv]),
        **_machine(),
        "model": subject.name,
        "short_windows": subject.is_short,
        "tokens_per_s": f"{subject.tokens_per_s}, retries and guards off"
        if subject.tokens_per_s
        else "as the model writes",
        "threads": arguments.threads or "as the engine chooses",
        "talk": arguments.talk,
        "interval_s": arguments.interval,
        "seconds_per_case": arguments.seconds,
    }


def _machine() -> dict[str, Any]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{_processor()}, {psutil.cpu_count()} cores, Linux {platform.release().split('-')[0]}",
        "load_average_at_start": psutil.getloadavg()[0],
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((ln.partition(":")[2].strip() for ln in lines if ln.startswith("model name")), "unknown")


def _table(report: dict[str, Any]) -> str:
    rows = [f"{key}: {value}" for key, value in report["about"].items()]
    if "throughput" in report:
        through = report["throughput"]
        rows.append(f"seconds for {through['windows']} finals, three times each: {through['seconds']}")
        rows.append(f"processor seconds: {through['cpu_seconds']}")
        rows.append(f"ours is so many times as fast: {through['ours_is_times_as_fast']}")
        rows.append(f"ours takes so many times less processor: {through['ours_takes_times_less_cpu']}")
    if report["cases"]:
        rows.append(
            "channels | final p50/p95/p99 ms (n/asked) | interim p50/p95/p99 ms (n/asked) | "
            "interims shed | rows per call final/interim | busy | cores used | peak MB | holds"
        )
    for case in report["cases"]:
        rows.append(_line(case))
    return "\n".join(rows)


def _line(case: dict[str, Any]) -> str:
    final, interim, rows = case["final_ms"], case["interim_ms"], case["rows_per_call"]
    cells = (
        case["channels"],
        f"{_triple(final)} ({final['n']}/{case['finals_asked']})",
        f"{_triple(interim)} ({interim['n']}/{case['interims_asked']})",
        case["interims_shed"],
        f"{rows['final']} / {rows['interim']}",
        f"{case['busy_share']:.0%}",
        case["cores_used"],
        case["peak_mb"],
        f"{'yes' if case['holds'] else 'no'} {case['errors'] or ''}",
    )
    return " | ".join(map(str, cells))


def _triple(figures: dict[str, float]) -> str:
    return "/".join(str(figures.get(key, "-")) for key in ("p50", "p95", "p99"))


if __name__ == "__main__":
    sys.exit(main())
