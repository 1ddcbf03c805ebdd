"""The engine as a child process of `serve`: start it, restart it when it ends or stops responding, end it
last.

Controls the process, not its output: the child writes its log to the same stderr. The child gets the
configuration as one JSON line on its stdin, so both processes use the same one. The parent keeps this pipe
open. When the parent ends, even when it is killed, the pipe closes and the child ends itself
(`end_with_parent`). The child has its own process session, so that Ctrl-C reaches only the parent, and the
last words can be decoded. Invariant: during `run` at most one child exists, and after `stop` none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from host_stt_cli.errors import StartError

logger = logging.getLogger(__name__)

ENGINE_COMMAND = (sys.executable, "-m", "host_stt_cli", "engine", "--from-parent")
CANNOT_START = 2
"""Exit status of a program that has printed why it cannot start; a restart would print the same again."""
ORPHAN_GRACE_S = 5.0
RESTART_GRACE_S = 8.0  # engine.stop_grace_s for waiting windows, plus the end of the process


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart. The time doubles while children end soon after their start."""

    first_s: float = 0.5
    max_s: float = 15.0
    healthy_after_s: float = 30.0  # a child that ran this long is restarted after first_s

    def after(self, previous_s: float, lived_s: float) -> float:
        if lived_s >= self.healthy_after_s or previous_s == 0:
            return self.first_s
        return min(self.max_s, previous_s * 2)


class EngineCannotStartError(StartError):
    """The engine cannot start; it has printed the reason on stderr."""

    def __init__(self) -> None:
        super().__init__("the engine cannot start; the line above says why.")


class EngineProcess:
    """One engine process, restarted when it ends.

    first_line: what the child reads from its stdin. was_ready: True once the engine was ready; from then on,
    exit status 2 is a failure to recover from, not a mistake in the configuration. silence: returns when the
    child has stopped responding; the child is then killed and started again.
    """

    def __init__(
        self,
        first_line: bytes,
        *,
        command: Sequence[str] = ENGINE_COMMAND,
        backoff: Backoff | None = None,
        was_ready: Callable[[], bool] = lambda: False,
        silence: Callable[[], Coroutine[None, None, None]] | None = None,
    ) -> None:
        self._first_line = first_line
        self._command = tuple(command)
        self._backoff = backoff or Backoff()
        self._was_ready = was_ready
        self._silence = silence
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._is_restarting = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Process number of the running child, or None."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self) -> None:
        """Keep a child running until `stop`. Raises EngineCannotStartError if the first one cannot start."""
        wait_s = 0.0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            status = await self._live()
            if self._stopping.is_set():
                return
            if self._is_restarting:
                self._is_restarting, wait_s = False, 0.0
                logger.info("the engine %s, as requested; restarting it", _how_it_ended(status))
                continue
            if status == CANNOT_START and not self._was_ready():
                raise EngineCannotStartError
            wait_s = self._backoff.after(wait_s, time.monotonic() - began_s)
            logger.warning("the engine %s; restarting it in %.1f s", _how_it_ended(status), wait_s)
            await self._pause(wait_s)

    async def _live(self) -> int:
        """Start a child and wait until it ends."""
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        self._process = process
        self.starts += 1
        logger.info("engine started: process %d", process.pid)
        if self._stopping.is_set():
            process.terminate()  # `stop` was called while the child was being created
        assert process.stdin is not None  # stdin=PIPE
        try:
            process.stdin.write(self._first_line.rstrip(b"\n") + b"\n")
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            logger.debug("the engine ended before it read its configuration")
        watching = asyncio.create_task(self._end_when_silent(process), name="engine silence")
        try:
            return await process.wait()
        finally:
            process.stdin.close()
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _end_when_silent(self, process: asyncio.subprocess.Process) -> None:
        if self._silence is None:
            return
        await self._silence()
        if process.returncode is None:
            logger.error("the engine (process %d) no longer responds; killing it", process.pid)
            process.kill()  # SIGKILL also ends a process that SIGSTOP has stopped

    async def _pause(self, wait_s: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), wait_s)
        except TimeoutError:
            return

    async def restart(self, first_line: bytes, grace_s: float = RESTART_GRACE_S) -> None:
        """End the child in order, so that it decodes waiting windows; `run` starts the next one with
        `first_line`.

        grace_s: after this time, a child that still runs is killed.
        """
        self._first_line = first_line
        if self.pid is not None:
            self._is_restarting = True
            await self._end(grace_s)

    async def stop(self, grace_s: float = 1.5) -> None:
        """End the child: SIGTERM, then SIGKILL if it still runs after `grace_s`. May be called twice."""
        self._stopping.set()
        await self._end(grace_s)

    async def _end(self, grace_s: float) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            logger.warning("the engine did not end within %.1f s; killing it", grace_s)
            process.kill()
            await process.wait()


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def end_with_parent(pipe: int, grace_s: float = ORPHAN_GRACE_S) -> None:
    """In the child: end this process when `pipe` closes. The parent holds the other end of the pipe.

    First sends SIGTERM to itself; if that does not end it within grace_s, ends at once. Runs in a thread,
    because a blocked event loop could not do it.
    """

    def watch() -> None:
        while os.read(pipe, 4096):
            pass  # the parent sends nothing after the first line; wait for the end of the pipe
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
