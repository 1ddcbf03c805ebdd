"""The real `host-stt serve`, with an engine process that fails according to a plan.

`python -m tests.support.faulty serve PLAN OPTION…`: the real `serve`; its engine process runs this file too.
PLAN is a file of faults (host_stt.engines.fake.FakeFault), one for each decode of finals, the next one
first. The file stays when an engine process ends. After its last line every window is decoded without a
fault, with the text "alpha bravo" repeated.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from host_stt.contract import Answer, Window
from host_stt.engines.fake import FakeEngine, FakeFault, script_of
from host_stt.server import serve
from host_stt_cli import logs
from host_stt_cli import serve as serve_command
from host_stt_cli.engine_process import Backoff, EngineProcess, end_with_parent
from host_stt_cli.engine_watch import until_silent
from host_stt_cli.handover import from_line
from tests.support.engine_process import fake_backend

QUICK = Backoff(first_s=0.1, max_s=0.5)


class PlannedEngine(FakeEngine):
    def __init__(self, plan: Path) -> None:
        super().__init__(script_of("alpha bravo " * 400))
        self._plan = plan

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        if windows[0].channel != "warm-up" and windows[0].priority.is_final:
            faults = self._plan.read_text(encoding="ascii").split()
            self._plan.write_text("\n".join(faults[1:]), encoding="ascii")
            self.suffer(FakeFault(faults[0]) if faults else FakeFault.NONE)
        return super().decode(windows)


def engine(plan: Path) -> None:
    settings, level = from_line(sys.stdin.buffer.readline())
    end_with_parent(sys.stdin.fileno())
    logs.set_up("engine", level, "")
    os._exit(asyncio.run(serve(settings, fake_backend(PlannedEngine(plan)))))


def main(mode: str, plan: str, *options: str) -> None:
    if mode == "engine":
        engine(Path(plan))
    command = (sys.executable, "-m", "tests.support.faulty", "engine", plan)
    module = sys.modules["host_stt_cli.serve"]
    for name, stand_in in (
        ("EngineProcess", functools.partial(EngineProcess, command=command, backoff=QUICK)),
        ("until_silent", functools.partial(until_silent, every_s=0.5, patience_s=1.5)),
    ):
        setattr(module, name, stand_in)
    serve_command.serve.main(list(options), prog_name="host-stt serve")


if __name__ == "__main__":
    main(*sys.argv[1:])
