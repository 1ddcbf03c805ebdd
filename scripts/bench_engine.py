"""How many channels can this engine handle? Measures 8081 under synthetic load, and compares faster-whisper.

  python scripts/bench_engine.py --model starter --channels 4 8 16 --talk 1.0 0.3 --interval 1.0 --seconds 30
  python scripts/bench_engine.py --model random:tiny --short --sweep
  python scripts/bench_engine.py --model random:large-v3-turbo --windows 1 --rounds 1 --channels 0
  python scripts/bench_engine.py --model starter --channels 8 16 --file --no-peers
  python scripts/bench_engine.py --overhead

Random-weight models have the real architecture but no accuracy: their token rate is fixed at 3.5 per second,
and retries and guards are off. All sides get the same audio, beam 1 and the same mallopt. Needs espeak-ng.
Results go to --json and, as a table, to standard output. The parts are in bench/: engine_case (load),
engine_peers (faster-whisper), overhead.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from bench import random_model  # noqa: E402
from bench.engine_case import Subject, run_case  # noqa: E402
from bench.engine_load import Load  # noqa: E402
from bench.engine_peers import throughput  # noqa: E402
from bench.engine_report import machine, table  # noqa: E402
from bench.overhead import round_trips  # noqa: E402
from host_stt.contract import SAMPLE_RATE, Float32Array  # noqa: E402
from host_stt.models import STARTER_FOLDER  # noqa: E402
from tests.support.speech import say  # noqa: E402
from training.grammar import draw_phrase  # noqa: E402

TOKENS_PER_S = 3.5
ROUNDS = 400  # of the overhead
SWEEP = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)


def main() -> int:
    arguments = _arguments()
    if arguments.overhead:
        report = _overhead()
    else:
        with tempfile.TemporaryDirectory() as scratch:
            subject = _subject(arguments, arguments.models or Path(scratch))
            report = asyncio.run(_measure(subject, arguments))
        print(table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="starter", help="starter, random:SIZE or a folder")
    add("--models", type=Path, help="folder for random models; default: made each time in a temporary folder")
    add("--short", action="store_true", help="windows shorter than 30 s (starter: always)")
    add("--channels", type=int, nargs="+", default=[16], help="0: no load, only throughput")
    add("--sweep", action="store_true", help="1, 2, 4, ... channels until the engine is too slow")
    add("--talk", type=float, nargs="+", default=[1.0], help="share of time each channel speaks")
    add("--interval", type=float, default=1.0, help="seconds between interims")
    add("--seconds", type=float, default=30.0, help="per case")
    add("--file", action="store_true", help="each case again while a long recording is transcribed")
    add(
        "--threads",
        type=int,
        default=0,
        help="for all sides; 1 gives valid CPU seconds on a busy machine",
    )
    add("--windows", type=int, default=32, help="number of finals in the throughput comparison")
    add("--rounds", type=int, default=3, help="of the throughput comparison; medians are compared")
    add("--no-peers", action="store_true", help="without faster-whisper")
    add("--overhead", action="store_true", help="measure only the overhead of /v1/windows")
    add("--seed", type=int, default=1)
    add("--json", type=Path)
    return parser.parse_args()


def _subject(arguments: argparse.Namespace, models: Path) -> Subject:
    if arguments.model == "starter":
        return Subject("starter", STARTER_FOLDER, True, None)
    if arguments.model.startswith("random:"):
        size = arguments.model.removeprefix("random:")
        return Subject(size, random_model.make(size, models), arguments.short, TOKENS_PER_S)
    return Subject(arguments.model, Path(arguments.model), arguments.short, None)


def _clips(seed: int) -> list[Float32Array]:
    """Twenty utterances of 4 to 7 s, made of phrases of the grammar."""
    rng = random.Random(seed)
    clips = []
    for _ in range(20):
        parts: list[Float32Array] = []
        while sum(map(len, parts)) < 4 * SAMPLE_RATE:
            parts += [say(draw_phrase(rng, "en").text), np.zeros(3200, np.float32)]
        clips.append(np.concatenate(parts)[: 7 * SAMPLE_RATE])
    return clips


async def _measure(subject: Subject, arguments: argparse.Namespace) -> dict[str, Any]:
    clips = _clips(arguments.seed)
    report: dict[str, Any] = {"about": _about(arguments, subject), "cases": []}
    if not arguments.no_peers:
        report["throughput"] = await throughput(
            subject,
            clips,
            windows=arguments.windows,
            rounds=arguments.rounds,
            threads=arguments.threads,
        )
    for talk in arguments.talk:
        await _cases(subject, clips, talk, arguments, report["cases"])
    return report


async def _cases(
    subject: Subject,
    clips: list[Float32Array],
    talk: float,
    arguments: argparse.Namespace,
    cases: list[dict[str, Any]],
) -> None:
    for channels in filter(None, SWEEP if arguments.sweep else arguments.channels):
        load = Load(channels, talk, arguments.interval, arguments.seconds, arguments.seed)
        for with_file in (False, True) if arguments.file else (False,):
            case = await run_case(subject, clips, load, threads=arguments.threads, with_file=with_file)
            cases.append(case)
        if arguments.sweep and not case["holds"]:
            return


def _overhead() -> dict[str, Any]:
    took = asyncio.run(round_trips(ROUNDS))
    report: dict[str, Any] = {
        "about": {"command": _command(), **machine()},
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
    return report


def _about(arguments: argparse.Namespace, subject: Subject) -> dict[str, Any]:
    fixed = f"{subject.tokens_per_s}, on all sides; retries and guards off on all sides"
    return {
        "command": _command(),
        **machine(),
        "model": subject.name + (" (random weights)" if subject.tokens_per_s else ""),
        "short_windows": subject.is_short,
        "tokens_per_s": fixed if subject.tokens_per_s else "as the model generates them",
        "all_sides": "beam 1, the same windows, the same mallopt, int8; only ours computes word times",
        "threads": arguments.threads or "as the engine chooses",
        "interval_s": arguments.interval,
        "seconds_per_case": arguments.seconds,
    }


def _command() -> str:
    words = sys.argv[:]
    if "--models" in words:  # leave out a folder of the machine that ran it
        at = words.index("--models")
        del words[at : at + 2]
    return " ".join(["python", *words])


if __name__ == "__main__":
    sys.exit(main())
