"""Check the unmodified clients of other services against a real server, and print a table.

    .venv/bin/python -m scripts.check_clients [--model starter] [--only deepgram_sdk ...] [--json FILE]
    .venv/bin/python -m scripts.check_clients --url http://HOST:8082 --token TOKEN
    .venv/bin/python -m scripts.check_clients --plugins FOLDER/bin/python --only whisperlive_client

Without --url it starts `host-stt serve` with the model, on free ports of loopback. The exit status is 1 when
a client did not get what it should. Each client is a module in `bench/clients`, with a function `check`, and
one line in CHECKS. The plugins of agent frameworks and WhisperLive need an environment of their own
(bench/plugins/requirements.txt); without --plugins they are left out. Results: docs/benchmarks/clients.md.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import socket
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from bench.clients.place import Check, Outcome, Place, talk_of
from bench.one_group import use_one_group
from tests.support.base_model import find_base_model
from tests.support.server import Server

CHECKS = (
    "agent_plugins",
    "assemblyai_sdk",
    "deepgram_sdk",
    "openai_files",
    "openai_realtime",
    "pipecat_browser",
    "speechmatics_sdk",
    "whisperlive_client",
    "wyoming_client",
)
NEED_PLUGINS = ("agent_plugins", "whisperlive_client")
"""Modules of `bench.clients`. They are loaded when they run, so that one client may be missing."""
CLIPS = (0, 1, 2, 6)
PAUSES_S = (0.5, 1.5)


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _arguments(arguments)
    warnings.simplefilter("ignore", DeprecationWarning)  # of the clients' libraries
    with ExitStack() as stack:
        url, wyoming = (chosen.url, chosen.wyoming) if chosen.url else _started(stack, chosen.model)
        place = Place(url, chosen.token, talk_of(CLIPS, PAUSES_S), chosen.plugins, wyoming)
        names = chosen.only or [name for name in CHECKS if chosen.plugins or name not in NEED_PLUGINS]
        outcomes = asyncio.run(_checked(place, names))
    print(_table(outcomes))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(one) for one in outcomes], indent=2), encoding="utf-8")
    return 0 if all(one.is_good for one in outcomes) else 1


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="starter", help="starter, base, or a folder")
    parser.add_argument("--url", default="", help="of a running server, in place of --model")
    parser.add_argument("--token", default="", help="of the running server")
    parser.add_argument("--wyoming", default="", help="host:port of the running server's Wyoming door")
    parser.add_argument("--only", nargs="+", choices=CHECKS, help="only these clients")
    parser.add_argument("--plugins", default="", help="the Python of the environment of the plugins")
    parser.add_argument("--json", type=Path, help="write the outcomes to this file too")
    return parser.parse_args(arguments)


def _started(stack: ExitStack, model: str) -> tuple[str, str]:
    """Start a server that ends with the stack. Returns its address and that of its Wyoming door."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="check-clients-")))
    name = str(find_base_model()) if model == "base" else model
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--set", "doors.wyoming.enabled=true", "--set", f"doors.wyoming.port={port}")
    server = stack.enter_context(Server(folder, *options, model=name)).wait_ready()
    use_one_group(server.process.pid)
    return server.url, f"127.0.0.1:{port}"


async def _checked(place: Place, names: Iterable[str]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for name in names:
        check: Check = importlib.import_module(f"bench.clients.{name}").check
        try:
            outcomes += await check(place)
        except Exception as error:
            traceback.print_exc()
            outcomes.append(Outcome(name, "all", False, f"{type(error).__name__}: {error}"))
    return outcomes


def _table(outcomes: Sequence[Outcome]) -> str:
    rows = [("client", "what", "", "figure")]
    rows += [(one.client, one.what, "ok" if one.is_good else "FAILED", one.figure) for one in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]))
        for row in rows
    )


if __name__ == "__main__":
    raise SystemExit(main())
