"""Run a server as a child process, and measure the cost of it and its children."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_S = 120.0
STOP_S = 10.0
IDLE_PERCENT = 15.0
"""Per cent of a core: a server that uses more is still busy with the previous case."""


class NotStarted(Exception):
    """A server ended by itself or did not listen in time; the text has the end of its log."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def offline() -> dict[str, str]:
    """Environment variables for another server: it downloads nothing, and imports nothing of this project."""
    return {
        "PYTHONPATH": "",
        "HF_HUB_OFFLINE": "1",
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "TRANSFORMERS_OFFLINE": "1",
    }


@dataclass(frozen=True, slots=True)
class Child:
    process: psutil.Process
    log: Path

    def tree(self) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def cpu_s(self) -> float:
        """CPU seconds of the process and its children so far."""
        total = 0.0
        for one in self.tree():
            with suppress(psutil.NoSuchProcess):
                total += sum(one.cpu_times()[:2])
        return total

    def rss_mb(self) -> float:
        total = 0.0
        for one in self.tree():
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss / 1e6
        return total

    def is_idle(self, over_s: float = 1.0) -> bool:
        before_s = self.cpu_s()
        time.sleep(over_s)
        return (self.cpu_s() - before_s) / over_s * 100 < IDLE_PERCENT

    def last_lines(self, count: int = 12) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


@contextmanager
def running(
    command: Sequence[str], port: int, folder: Path, name: str, environ: Mapping[str, str]
) -> Iterator[Child]:
    """Start the server and wait until it listens on `port`. folder: its working folder, which has its log."""
    log = folder / f"{name}.log"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    child = Child(psutil.Process(process.pid), log)
    try:
        _until_listening(process, port, child)
        yield child
    finally:
        _end(process, child)


def _until_listening(process: subprocess.Popen[bytes], port: int, child: Child) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise NotStarted(f"it ended with status {process.returncode}:\n{child.last_lines()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise NotStarted(f"it did not listen within {START_S:.0f} s:\n{child.last_lines()}")


def _end(process: subprocess.Popen[bytes], child: Child) -> None:
    children = child.tree()[1:]
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for one in psutil.wait_procs(children, timeout=STOP_S)[1]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
