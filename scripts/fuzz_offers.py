"""Send malformed offers to the real endpoints on loopback and report the results.

`.venv/bin/python -m scripts.fuzz_offers --offers 10000`; exit status 1 if there was a failure. `--seed` and
the number in a failure's text reproduce that offer (`--only`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.offer_fuzz import Findings, fuzz, seeds
from bench.offer_mutations import mutate
from webrtc_host.config import DataConfig, LimitsConfig, MediaProcessConfig

OFFERS = Path(__file__).parent.parent / "tests" / "support" / "offers"
SLOPE_KB_MAX = 2.0
"""Allowed growth of memory for each offer; a leaked peer connection takes 200 kB."""


def config(folder: Path) -> MediaProcessConfig:
    """A configuration without a low request limit, which would refuse offers before they are handled."""
    limits = LimitsConfig(requests_per_s=100_000)
    return MediaProcessConfig(data=DataConfig(dir=folder), limits=limits, engine_url="http://127.0.0.1:9")


async def show(seed: int, number: int) -> str:
    rng = random.Random(f"{seed}:{number}")
    return mutate(rng.choice(await seeds(OFFERS)), rng)


def report(findings: Findings, offers: int, seed: int, seconds: float) -> str:
    rows = "\n".join(f"| {answer} | {count} |" for answer, count in sorted(findings.answers.items()))
    first, last = findings.rss_mb[0][1], findings.rss_mb[-1][1]
    lines = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        f"{offers} offers, seed {seed}, {seconds:.0f} s ({seconds / offers * 1000:.1f} ms each)",
        f"\n| answer | times |\n|---|---|\n{rows}\n",
        f"failures: {len(findings.failures)}",
        f"left over: {dict(findings.left_over) or 'nothing'}",
        f"memory: {first:.1f} MB at first, {last:.1f} MB at the end; "
        f"{findings.rss_slope_kb():+.2f} kB for each offer over the second half",
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offers", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="print the offer with this number and end")
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(asyncio.run(show(arguments.seed, arguments.only)))
        return 0
    began_s = time.monotonic()

    def progress(number: int, findings: Findings) -> None:
        print(
            f"{number} offers, {len(findings.failures)} failures, {findings.rss_mb[-1][1]:.1f} MB", flush=True
        )

    with tempfile.TemporaryDirectory() as folder:
        findings = asyncio.run(
            fuzz(
                config(Path(folder)),
                OFFERS,
                offers=arguments.offers,
                seed=arguments.seed,
                on_progress=progress,
            )
        )
    for failure in findings.failures[:20]:
        print(f"x {failure}")
    print(report(findings, arguments.offers, arguments.seed, time.monotonic() - began_s))
    is_flat = arguments.offers < 1000 or findings.rss_slope_kb() < SLOPE_KB_MAX
    return 0 if findings.is_clean and is_flat else 1


if __name__ == "__main__":
    raise SystemExit(main())
