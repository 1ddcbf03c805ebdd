"""A real `host-stt` process on free ports of loopback, as a user starts it; its output is kept."""

from __future__ import annotations

import os
import queue
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

import aiohttp
import psutil

ROOT = Path(__file__).parent.parent.parent
NO_MODEL_SOURCES = {
    "HF_ENDPOINT": "http://127.0.0.1:9",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
}
"""Environment in which neither the model hub nor the package index answers."""
START_S = 90.0
"""A shared box with two busy cores starts both servers in 5 to 20 s."""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "host_stt_cli", *arguments]


def environment(**more: str) -> dict[str, str]:
    """The test's environment; imports this source tree from any folder. Model hub and package index refuse
    at once: a test names the model that it needs, and no test starts a download by accident.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT), **NO_MODEL_SOURCES, **more}


def run(
    *arguments: str, cwd: Path, timeout_s: float = 60, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**environ),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class Server:
    """Runs `host-stt COMMAND` until the block ends; `folder` is its working folder and data folder.

    model: engine.model on the command line; None leaves it to the configuration file.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        command_name: str = "serve",
        model: str | None = "starter",
        argv: Sequence[str] | None = None,
        **environ: str,
    ) -> None:
        self.folder = folder
        self._argv = [
            *(argv or command(command_name)),
            *("--set", "media.port=0", "--set", "engine.port=0"),
            *(() if model is None else ("--set", f"engine.model={model}")),
            *options,
        ]
        self._environ = environment(**environ)
        self.out: list[str] = []
        self.err: list[str] = []
        self._news: queue.Queue[None] = queue.Queue()
        self._readers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._argv,
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",  # without a reader of its output the server would block
        )
        for pipe, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            assert pipe is not None
            reader = threading.Thread(target=self._read, args=(pipe, lines), daemon=True)
            reader.start()
            self._readers.append(reader)
        return self

    def __exit__(self, *_: object) -> None:
        children = self.children()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        for child in psutil.wait_procs(children, timeout=10)[1]:
            child.kill()
        for reader in self._readers:
            reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self, pipe: IO[str], lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))
            self._news.put(None)

    def children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def wait_for(self, pattern: str, lines: Callable[[Self], list[str]] | None = None) -> re.Match[str]:
        """The first line of stdout (or of `lines`) that matches; waits for it while the process runs."""
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            for line in list(lines(self) if lines else self.out):
                if found := re.search(pattern, line):
                    return found
            if self.process.poll() is not None and not any(reader.is_alive() for reader in self._readers):
                break
            try:
                self._news.get(timeout=0.2)
            except queue.Empty:
                continue
        raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join([*self.out, *self.err]))

    @property
    def url(self) -> str:
        """The URL of the first page, without the slash at its end."""
        return self.wait_for(r"Open +(https?://\S+?)/$")[1]

    def wait_ready(self) -> Self:
        self.wait_for(r"^ +Ready\.$")
        return self

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Stop the process and wait for its end; returns the seconds that it took."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        for reader in self._readers:
            reader.join(10)
        return time.monotonic() - began_s

    async def is_ready(self) -> bool:
        """Whether the status of /ready is 200."""
        return (await self.get("/ready"))[0] == 200

    async def get(
        self, path: str, *, ssl_context: ssl.SSLContext | None = None, **headers: str
    ) -> tuple[int, Any]:
        """(status, JSON or text) of a GET."""
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.get(self.url + path, ssl=ssl_context or True) as answer,
        ):
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.text())
