"""Kill the server again and again while speech arrives, and check that no text is missing or doubled.

  python scripts/kill_test.py --channels 4 --rounds 5
  python scripts/kill_test.py --channels 16 --rounds 50 --json kill-test.json --markdown kill-test.md

Starts a real `host-stt serve` with the starter model on a free port, lets espeak-ng speak on every channel,
and kills (-9) the media process, the engine, or both at random times. A phrase counts as received if its last
packet was sent `--margin-ms` before the kill. Exit status 1 if a phrase is missing, doubled or more than 300
ms off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.kill_run import Plan, run  # noqa: E402


def main() -> int:
    options = _options()
    plan = Plan(
        channels=options.channels,
        rounds=options.rounds,
        seed=options.seed,
        margin_ms=options.margin_ms,
        options=tuple(part for value in options.set for part in ("--set", value)),
    )
    with tempfile.TemporaryDirectory(prefix="kill-test-") as folder:
        where = Path(options.keep) if options.keep else Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        report = asyncio.run(run(where, plan, _say))
    _say(json.dumps(report, indent=2, ensure_ascii=False))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    if options.markdown:
        Path(options.markdown).write_text(_markdown(report))
    is_clean = not (report["missing"] or report["doubled"] or report["off_by_more_than_300_ms"])
    return 0 if is_clean else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--margin-ms", type=int, default=300)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for the server")
    parser.add_argument("--keep", help="folder for the server's data; kept")
    parser.add_argument("--json", help="write the report there")
    parser.add_argument("--markdown", help="write the report there, as a table")
    return parser.parse_args()


def _markdown(report: dict[str, Any]) -> str:
    rows = [(k.replace("_", " "), v) for k, v in report.items() if not isinstance(v, dict | list)]
    lines = ["| what | figure |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    kills = ", ".join(f"{target} {count}" for target, count in sorted(report["kills"].items()))
    return "\n".join([*lines, f"| kills | {kills} |", ""])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
