"""Kill the server again and again while jobs are transcribed, and check that no text is missing or doubled.

  python scripts/jobs_kill_test.py --jobs 20 --kills 4
  python scripts/jobs_kill_test.py --jobs 200 --kills 20 --json jobs.json
  python scripts/jobs_kill_test.py --jobs 40 --kills 6 --postgresql
  python scripts/jobs_kill_test.py --jobs 40 --kills 6 --procrastinate
  python scripts/jobs_kill_test.py --jobs 40 --kills 6 --procrastinate --server 1

Starts a real `host-stt serve` with the starter model on a free port, submits recordings that espeak-ng
speaks, and kills (-9) the media process, the engine, or both at random times. The text of each job is
compared with that of the same recording in an undisturbed run. Exit status 1 if a job did not complete, or a
segment is missing or doubled. --postgresql needs its programs; a server is started for the test.
--procrastinate: the jobs are in procrastinate's queue on PostgreSQL, and `host-stt job worker` processes are
killed; with --server, this share of the kills hits the server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import jobs_worker_kills  # noqa: E402
from bench.jobs_kill_run import Plan, as_json, is_clean, run  # noqa: E402
from tests.support import postgres  # noqa: E402


def main() -> int:
    options = _options()
    sets = list(options.set)
    if options.postgresql:
        sets.append(f"store.url={postgres.a_database()}")
    plan = Plan(
        jobs=options.jobs,
        kills=options.kills,
        workers=options.workers,
        seed=options.seed,
        options=tuple(part for value in sets for part in ("--set", value)),
    )
    with tempfile.TemporaryDirectory(prefix="jobs-kill-test-") as folder:
        if options.procrastinate:
            url, share = postgres.a_database(), options.server
            running = jobs_worker_kills.run(Path(folder), plan, url, _say, server_share=share)
        else:
            running = run(Path(folder), plan, _say)
        report = asyncio.run(running)
    _say(as_json(report))
    if options.json:
        Path(options.json).write_text(as_json(report) + "\n")
    return 0 if is_clean(report) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true", help="the record in PostgreSQL")
    parser.add_argument("--procrastinate", action="store_true", help="workers from procrastinate's queue")
    parser.add_argument("--server", type=float, default=0.0, metavar="SHARE", help="of the kills: 0 to 1")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for the server")
    parser.add_argument("--json", help="write the report there")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
