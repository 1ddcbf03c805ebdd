"""A `host-stt` command that ends by itself, in a process forked from one that has its modules loaded already.

Loading the modules takes most of the second that a refused command runs, and many refusals are tested. A few
tests start the command as a new process, to show that it prints the same.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.server import environment

_CONTEXT = multiprocessing.get_context("forkserver")
_LOADED = ("main", "serve", "engine", "transcribe")
_CONTEXT.set_forkserver_preload([f"host_stt_cli.{name}" for name in _LOADED])


def run(*arguments: str, cwd: Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """As tests.support.server.run. After timeout_s, ends the process and raises TimeoutExpired."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = _CONTEXT.Process(target=_command, args=(arguments, cwd, environment(), out, err))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout_s)
        said = (path.read_text(encoding="utf-8") for path in (out, err))
        return subprocess.CompletedProcess(arguments, process.exitcode, *said)


def _command(arguments: tuple[str, ...], cwd: Path, environ: dict[str, str], out: Path, err: Path) -> None:
    for number, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    from host_stt_cli.main import main

    main(list(arguments), prog_name="host-stt")
