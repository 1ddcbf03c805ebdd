"""The real server as its users start it: `host-stt serve`, on free ports, with the starter model."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.support.polling import until_blocking

ROOT = Path(__file__).resolve().parents[2]
READY_S = 90.0  # loading and warming up the model takes 2 s alone, far more on a busy machine
END_S = 20.0
_ANY_CERTIFICATE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_ANY_CERTIFICATE.check_hostname = False
_ANY_CERTIFICATE.verify_mode = ssl.CERT_NONE


class LiveServer:
    """A context manager's worth of server; `settings` are `key=value` as for `--set`."""

    def __init__(self, folder: Path, *settings: str, scheme: str = "http", token: str = "") -> None:
        self.folder = folder
        self.media_port, self.engine_port = free_ports(2)
        self.url = f"{scheme}://127.0.0.1:{self.media_port}"
        self.engine_url = f"http://127.0.0.1:{self.engine_port}"
        self.output = folder / "serve.log"
        self.settings = (
            f"media.port={self.media_port}",
            f"engine.port={self.engine_port}",
            "engine.model=starter",
            f"data.dir={folder / 'data'}",
            *settings,
            *([f"auth.token={token}"] if token else []),
        )
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

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
        for url in (self.engine_url, self.url):
            until_blocking(
                lambda url=url: self._is_ready(url) or process.poll() is not None,  # type: ignore[misc]
                READY_S,
                f"{url} is ready, see {self.output}",
            )
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {self.output.read_text(errors='replace')[-4000:]}")

    def _is_ready(self, url: str) -> bool:
        question = urllib.request.Request(f"{url}/ready", headers=self._headers)
        try:
            # The certificate is self-made; that it can be used at all is what is asked here.
            with urllib.request.urlopen(question, timeout=5, context=_ANY_CERTIFICATE) as answer:
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
