"""The engine child, played by small Python programs: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from host_stt_cli.engine_process import Backoff, EngineCannotStartError, EngineProcess
from host_stt_cli.engine_watch import MISSES, until_silent
from host_stt_cli.ports import free_port
from tests.support.polling import until

pytestmark = pytest.mark.slow

QUICK = Backoff(first_s=0.02, max_s=0.1)
LIVE = "import sys, time; sys.stdin.readline(); time.sleep(60)"
STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
time.sleep(60)
"""


def child(code: str, *args: str, was_ready: Callable[[], bool] = lambda: False) -> EngineProcess:
    return EngineProcess(
        b'{"a": 1}', command=(sys.executable, "-c", code, *args), backoff=QUICK, was_ready=was_ready
    )


async def child_is_stubborn(engine: EngineProcess, file: Path) -> None:
    """Wait until the child ignores SIGTERM, and until the parent knows its process number.

    On a busy machine the child can write its file before the parent has its process number.
    """
    await until(lambda: file.exists() and engine.pid is not None)


async def test_the_child_reads_its_configuration_from_its_parent(tmp_path: Path) -> None:
    said = tmp_path / "said"
    code = "import sys; open(sys.argv[1], 'w').write(sys.stdin.readline()); sys.exit(2)"
    with pytest.raises(EngineCannotStartError):
        await child(code, str(said)).run()
    assert said.read_text(encoding="ascii") == '{"a": 1}\n'


async def test_a_killed_child_is_started_again() -> None:
    engine = child(LIVE)
    running = asyncio.create_task(engine.run())
    await until(lambda: engine.pid is not None)
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: engine.pid not in (None, first))
    assert engine.starts == 2
    await engine.stop()
    await running
    assert engine.pid is None


async def test_a_child_that_cannot_start_is_not_started_again() -> None:
    engine = child("import sys; sys.exit(2)")
    with pytest.raises(EngineCannotStartError):
        await engine.run()
    assert engine.starts == 1


async def test_a_child_that_was_ready_once_is_started_again_after_any_exit_status() -> None:
    engine = child("import sys; sys.exit(2)", was_ready=lambda: True)
    running = asyncio.create_task(engine.run())
    await until(lambda: engine.starts >= 3)
    await engine.stop()
    await running


async def test_a_restart_gives_the_next_child_another_configuration(tmp_path: Path) -> None:
    said = tmp_path / "said"
    code = "import sys, time; open(sys.argv[1], 'a').write(sys.stdin.readline()); time.sleep(60)"
    engine = child(code, str(said))
    running = asyncio.create_task(engine.run())
    await until(lambda: said.exists() and said.read_text(encoding="ascii") != "")
    first = engine.pid
    await engine.restart(b'{"b": 2}')
    await until(lambda: said.read_text(encoding="ascii") == '{"a": 1}\n{"b": 2}\n')
    assert engine.pid != first and engine.starts == 2
    await engine.stop()
    await running


async def test_a_restart_before_the_first_child_needs_no_child() -> None:
    engine = child(LIVE)
    await engine.restart(b"{}")
    running = asyncio.create_task(engine.run())
    await until(lambda: engine.pid is not None)
    assert engine.starts == 1
    await engine.stop()
    await running


async def test_a_child_that_does_not_end_for_a_restart_is_ended_by_force(tmp_path: Path) -> None:
    engine = child(STUBBORN, str(tmp_path / "ignores"))
    running = asyncio.create_task(engine.run())
    await child_is_stubborn(engine, tmp_path / "ignores")
    await engine.restart(b"{}", grace_s=0.1)
    await until(lambda: engine.starts == 2)
    await engine.stop(grace_s=0.1)
    await running


async def test_a_child_that_ignores_sigterm_is_ended_by_force(tmp_path: Path) -> None:
    engine = child(STUBBORN, str(tmp_path / "ignores"))
    running = asyncio.create_task(engine.run())
    await child_is_stubborn(engine, tmp_path / "ignores")
    pid = engine.pid
    assert pid is not None
    await engine.stop(grace_s=0.2)
    await running
    assert not psutil.pid_exists(pid)
    await engine.stop()


async def test_ctrl_c_at_the_terminal_does_not_reach_the_child() -> None:
    engine = child(LIVE)
    running = asyncio.create_task(engine.run())
    await until(lambda: engine.pid is not None)
    assert engine.pid is not None
    assert os.getpgid(engine.pid) != os.getpgid(0)
    await engine.stop()
    await running


def test_a_child_ends_shortly_after_its_parent_was_killed() -> None:
    parent = (
        "import asyncio, sys\nfrom host_stt_cli.engine_process import EngineProcess\n"
        "code = 'import sys, time; from host_stt_cli.engine_process import end_with_parent;'\n"
        "code += 'sys.stdin.buffer.readline(); end_with_parent(0);'\n"
        "code += 'import os; print(os.getpid(), flush=True); time.sleep(60)'\n"
        "asyncio.run(EngineProcess(b'{}', command=(sys.executable, '-c', code)).run())\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)
    assert alive == []


@pytest.mark.parametrize(
    ("previous_s", "lived_s", "wait_s"), [(0, 0, 0.5), (0.5, 1, 1.0), (12, 1, 15.0), (15, 31, 0.5)]
)
def test_the_wait_doubles_while_children_end_early(previous_s: float, lived_s: float, wait_s: float) -> None:
    assert Backoff().after(previous_s, lived_s) == wait_s


# --- a child that is alive and does not answer ---------------------------------------------------------

SERVES = """
import http.server, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self): open(sys.argv[2], "a").write("asked"); self.send_response(200); self.end_headers()
    def log_message(self, *said): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health)
server.serve_forever()
"""


async def test_a_stopped_child_is_ended_and_started_again(tmp_path: Path) -> None:
    port, asked = free_port("127.0.0.1"), tmp_path / "asked"
    silences: list[str] = []

    async def silence() -> None:
        await until_silent(f"http://127.0.0.1:{port}", every_s=0.05, patience_s=1.0)
        silences.append("noticed")

    engine = EngineProcess(
        b"{}", command=(sys.executable, "-c", SERVES, str(port), str(asked)), backoff=QUICK, silence=silence
    )
    running = asyncio.create_task(engine.run())
    # With the second request, the first answer is read; a child that never answered is left alone.
    await until(lambda: asked.exists() and "askedasked" in asked.read_text())
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    await until(lambda: engine.pid not in (None, first))
    assert silences == ["noticed"] and not psutil.pid_exists(first)
    assert engine.starts == 2
    await engine.stop()
    await running


async def health_server(is_answered: Callable[[int], bool], asked: list[int]) -> TestServer:
    """/health answers where `is_answered` says so of the number of the request, from 1; else not at all."""

    async def health(request: web.Request) -> web.Response:
        asked.append(len(asked) + 1)
        if not is_answered(asked[-1]):
            await until(lambda: request.transport is None or request.transport.is_closing())
        return web.Response()

    app = web.Application()
    app.router.add_get("/health", health)
    server = TestServer(app)
    await server.start_server()
    return server


async def is_called_silent(server: TestServer, asked: list[int], count: int, patience_s: float) -> bool:
    """Whether the watch has called it silent by the time it has asked more than `count` times."""
    url = f"http://127.0.0.1:{server.port}"
    watching = asyncio.create_task(until_silent(url, every_s=0.02, patience_s=patience_s))
    await until(lambda: len(asked) > count or watching.done())
    is_silent = watching.done()
    while not watching.done():
        watching.cancel()  # again and again: aiohttp drops one that comes with its own time-out
        await asyncio.sleep(0)
    await server.close()
    return is_silent


async def test_a_child_that_never_answered_is_not_called_silent() -> None:
    asked: list[int] = []
    server = await health_server(lambda number: False, asked)
    assert not await is_called_silent(server, asked, 2 * MISSES, patience_s=0.1)


async def test_one_late_response_does_not_end_the_child() -> None:
    asked: list[int] = []
    server = await health_server(lambda number: number % 2 == 1, asked)
    assert not await is_called_silent(server, asked, 2 * MISSES + 1, patience_s=0.5)


async def test_a_child_without_responses_counts_as_silent() -> None:
    asked: list[int] = []
    server = await health_server(lambda number: number == 1, asked)
    assert await is_called_silent(server, asked, 2 * MISSES, patience_s=0.5)
    assert len(asked) == 1 + MISSES
