"""Run 8081 in a separate process, for tests of crashes.

`python -m tests.support.engine_process JSON`: keys of EngineConfig, plus `fault` and `fault_on_call`
(then the fake engine is used, whose text is "one two three") and `decode_s`. Prints `port N` once it
listens.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from host_stt.config import EngineConfig
from host_stt.engines.fake import FakeEngine, FakeFault, script_of
from host_stt.errors import StartError
from host_stt.models import STARTER_FOLDER, ResolvedModel
from host_stt.server import serve
from host_stt.service import Backend

ROOT = Path(__file__).parents[2]


def fake_backend(engine: FakeEngine) -> Backend:
    model = ResolvedModel(STARTER_FOLDER, "fake", "a test asked for it")
    return Backend(lambda config, on_progress, on_measuring: model, lambda config, model: engine)


@contextmanager
def running(**settings: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """(process, its address) of an engine process on a free port; killed at the end if it still runs."""
    command = [sys.executable, "-m", "tests.support.engine_process", json.dumps({"port": 0, **settings})]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("port "):
            raise RuntimeError(f"the engine did not start: {line}{process.communicate(timeout=10)}")
        yield process, f"http://127.0.0.1:{line.split()[1]}"
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def _print_port(port: int) -> None:
    sys.stdout.write(f"port {port}\n")
    sys.stdout.flush()


def main(settings: dict[str, Any]) -> int:
    fault = FakeFault(settings.pop("fault", "none"))
    fault_on_call = settings.pop("fault_on_call", 0)
    decode_s = settings.pop("decode_s", 0.0)
    is_fake = fault is not FakeFault.NONE or decode_s
    engine = FakeEngine(
        script_of("one two three"), fault=fault, fault_on_call=fault_on_call, decode_s=decode_s
    )
    logging.basicConfig(level=logging.INFO)
    try:
        return asyncio.run(
            serve(
                EngineConfig(**settings),
                fake_backend(engine) if is_fake else None,
                on_port=_print_port,
            )
        )
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
