"""Send malformed HTTP and WebSocket bytes to a real server, both ports, and report the results.

`.venv/bin/python -m scripts.fuzz_http --seconds 600`; exit status 1 if there was a failure. `--seed` and the
number in a failure's text reproduce that request (`--only`). All traffic stays on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from bench.http_fuzz import Findings, case, engine_target, media_target, run


def report(findings: Findings, seconds: float, seed: int) -> str:
    """As Markdown."""
    rows: dict[str, Counter[str]] = {}
    for row, count in findings.answers.items():
        kind, _, answer = row.rpartition(": ")
        rows.setdefault(kind, Counter())[answer] += count
    table = "\n".join(
        f"| {kind} | {sum(counts.values())} | {', '.join(f'{a} × {n}' for a, n in sorted(counts.items()))} |"
        for kind, counts in sorted(rows.items())
    )
    figures = "\n".join(f"| {name} | {value} |" for name, value in findings.figures.items())
    return "\n".join(
        (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
            f"{findings.requests} requests in {seconds:.0f} s, seed {seed}",
            f"failures: {findings.kinds.total()}, of {len(findings.kinds)} kinds",
            f"\n| figure | |\n|---|---|\n{figures}\n",
            f"| port, kind of request | answers | statuses |\n|---|---|---|\n{table}",
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long requests are sent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="print the request with this number as bytes and end")
    parser.add_argument("--first", type=int, default=0, help="number of the first request")
    parser.add_argument("--no-document", action="store_true", help="no requests from the OpenAPI document")
    arguments = parser.parse_args()
    if arguments.only is not None:
        targets = (media_target(8082, "SESSION"), engine_target(8081))
        sys.stdout.buffer.write(b"".join(case(targets, arguments.seed, arguments.only)[1].pieces))
        return 0
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-http-") as folder:
        findings = asyncio.run(
            run(
                Path(folder),
                arguments.seconds,
                arguments.seed,
                with_schema=not arguments.no_document,
                first=arguments.first,
            )
        )
    for failure in findings.failures[:60]:
        print(f"x {failure}")
    print(report(findings, time.monotonic() - began_s, arguments.seed))
    return 1 if findings.failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
