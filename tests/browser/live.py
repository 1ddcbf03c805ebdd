"""The real server as its users start it: `host-stt serve`, on free ports, with the starter model."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_S = 90.0  # loading and warming up the model takes 2 s alone, far more on a busy machine
END_S = 20.0


class LiveServer:
    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.media_port, self.engine_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.media_port}"
        self.engine_url = f"http://127.0.0.1:{self.engine_port}"
        self.output = folder / "serve.log"
        self.settings = (
            f"media.port={self.media_port}",
            f"engine.port={self.engine_port}",
            "engine.model=starter",
            f"data.dir={folder / 'data'}",
            *settings,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[LiveServer]:
        command = [sys.executable, "-m", "host_stt_cli", "serve"]
        for setting in self.settings:
            command += ["--set", setting]
        with self.output.open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
            try:
                self._wait(process)
                yield self
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(END_S)
                finally:
                    process.kill()

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_S
        waiting = [self.engine_url, self.url]
        while waiting:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the server is not ready: {self.output.read_text(errors='replace')[-4000:]}"
                )
            if _is_ready(waiting[0]):
                waiting.pop(0)
            else:
                time.sleep(0.25)

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=20) as answer:
            return json.load(answer)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
