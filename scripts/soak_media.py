"""Let channels speak for a long time, then open and close many connections, and check for growth.

`.venv/bin/python -m scripts.soak_media --minutes 30 --channels 16 --cycles 1000`; either may be 0. Exit
status 1 if memory, tasks, threads or file descriptors grow, or if the server logged an error. Results:
docs/benchmarks/hardening.md.
"""

from __future__ import annotations

import argparse
import asyncio

from bench.media_soak import Sample, Soaked, cycles, report_line, soak


def show(figures: Sample) -> None:
    shown = ("at_s", "rss_mb", "fds", "threads", "tasks", "connections", "errors")
    print("  ".join(f"{name} {figures[name]:.1f}".removesuffix(".0") for name in shown), flush=True)


async def run(minutes: float, channels: int, count: int) -> list[Soaked]:
    done = []
    if minutes:
        done.append(await soak(minutes * 60, channels, every_s=max(1.0, minutes * 60 / 120), on_sample=show))
    if count:
        done.append(await cycles(count, every=max(4, count // 25), on_sample=show))
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--cycles", type=int, default=1000)
    chosen = parser.parse_args()
    done = asyncio.run(run(chosen.minutes, chosen.channels, chosen.cycles))
    problems = []
    for soaked in done:
        print(report_line(soaked))
        problems += soaked.problems()
    for problem in problems:
        print(f"x {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
