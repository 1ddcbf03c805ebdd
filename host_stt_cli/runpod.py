"""`host-stt runpod`: the transcription worker as a serverless handler of RunPod.

The command starts the whole server as a child process on loopback, and gives each job of RunPod's queue to
it as the HTTP call that it stands for. So a job gets the same text and the same errors as a call. The package
`runpod` is an extra of the installation. Invariant: the child process ends with this process.

RunPod's package takes the key `error` out of a result. So a result without an error has `success` and `data`,
and after an error the job has FAILED, and its `error` is the whole envelope as JSON text.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any
from urllib.parse import quote

import aiohttp
import click

from host_stt_cli.errors import StartError
from host_stt_cli.ports import free_port
from host_stt_common.extras import install_command

CONCURRENCY = 4
"""Jobs of one worker at the same time; the server has a queue of its own behind them."""
START_S = 1800.0
"""For the child process to load its model."""
LOOK_S = 1.0
STOP_S = 12.0
FEEDBACK_S = 3600.0
OPEN = ("PENDING", "PROCESSING")
Result = dict[str, Any]


class JobFailed(Exception):
    """envelope: the error as the worker API says it."""

    def __init__(self, envelope: Mapping[str, Any]) -> None:
        super().__init__(json.dumps(envelope, ensure_ascii=False))


class Handler:
    """Call `handle` with each job."""

    def __init__(
        self,
        server: str,
        token: str = "",
        *,
        is_alive: Callable[[], bool] = lambda: True,
        look_s: float = LOOK_S,
    ) -> None:
        """server: its address. is_alive: whether the server's process runs."""
        self._server, self._token = server.rstrip("/"), token
        self._is_alive, self._look_s = is_alive, look_s

    async def handle(self, job: Mapping[str, Any]) -> Result:
        """The result of a job, in the form of RunPod's package."""
        try:
            return await self._result(job.get("input"))
        except JobFailed as error:
            # The next job gets a new worker when the server of this one is gone.
            return {"error": str(error), "refresh_worker": not self._is_alive()}

    async def _result(self, given: object) -> Result:
        if not isinstance(given, dict):
            raise _failed("INVALID_REQUEST", "the job needs an `input` that is an object")
        if "audioUrl" in given:
            return await self._call("POST", "/api/v1/transcriptions", given)
        if "attemptId" in given:
            return await self._feedback(given)
        if given.get("action") == "warmup" or given.get("warmup"):
            return await self._call("POST", "/api/v1/gpu/warmup", {})
        message = "`input` needs `audioUrl`, `attemptId` with `userText`, or `action`: `warmup`"
        raise _failed("INVALID_REQUEST", message)

    async def _feedback(self, given: Result) -> Result:
        """Submit an attempt, and wait for its feedback."""
        result = await self._call("POST", "/api/v1/solo/submissions", given)
        end_s = time.monotonic() + FEEDBACK_S
        while result["data"]["status"] in OPEN:
            if time.monotonic() > end_s:
                raise _failed("LLM_FAILURE", f"there was no feedback within {FEEDBACK_S:g} s")
            await asyncio.sleep(self._look_s)
            attempt = quote(str(given["attemptId"]), safe="")
            result = await self._call("GET", f"/api/v1/solo/submissions/{attempt}")
        if result["data"]["error"] is not None:
            raise JobFailed({"success": False, "data": None, "error": result["data"]["error"]})
        return result

    async def _call(self, method: str, path: str, body: object = None) -> Result:
        """The JSON of a call. Raises JobFailed with its error."""
        try:
            async with self._client() as client:
                async with client.request(method, self._server + path, json=body) as response:
                    found = await response.json()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failed("STT_FAILURE", f"the server does not respond: {error}") from error
        if response.status != 200 or not isinstance(found, dict):
            reason = found.get("error") if isinstance(found, dict) else None
            raise JobFailed({"success": False, "data": None, "error": reason})
        return found

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[aiohttp.ClientSession]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        # The server limits how long a call waits (doors.worker.wait_s).
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30.0)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
            yield client


def _failed(code: str, message: str) -> JobFailed:
    return JobFailed({"success": False, "data": None, "error": {"code": code, "message": message}})


@click.command()
@click.option("--server", default="", help="Address of a running server. Default: start one.")
@click.option(
    "--token",
    envvar="HOST_STT_TOKEN",
    default="",
    help="Token for the server; needs the role operator. Default: $HOST_STT_TOKEN.",
)
@click.option("--config", "config_file", default="", metavar="FILE", help="As of serve.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="As of serve.")
@click.argument("sdk_options", nargs=-1, type=click.UNPROCESSED)
def runpod(
    server: str, token: str, config_file: str, sets: tuple[str, ...], sdk_options: tuple[str, ...]
) -> None:
    """Take jobs from RunPod's queue: the transcription worker as a serverless handler.

    Options of RunPod's package stand behind --, such as: host-stt runpod -- --rp_serve_api
    """
    try:
        sdk = import_module("runpod")
    except ImportError as error:
        message = f"the package runpod is missing; install it with: {install_command('runpod')}"
        raise StartError(message) from error
    sys.argv[1:] = sdk_options  # the package reads its options from there
    if server:
        start(sdk, Handler(server, token))
        return
    settings = [f"--set={one}" for one in sets] + ([f"--config={config_file}"] if config_file else [])
    with running_server(settings) as (address, process):
        start(sdk, Handler(address, token, is_alive=lambda: process.poll() is None))


def start(sdk: Any, handler: Handler) -> None:
    """Take jobs until the process is told to stop."""
    sdk.serverless.start({"handler": handler.handle, "concurrency_modifier": lambda _: CONCURRENCY})


@contextmanager
def running_server(settings: list[str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """(address, process) of a server that is ready. Raises StartError when it cannot start."""
    port = free_port("127.0.0.1")
    command = [sys.executable, "-m", "host_stt_cli", "serve", *settings]
    own = ["--set=media.host=127.0.0.1", f"--set=media.port={port}", "--set=engine.port=0"]
    process = subprocess.Popen([*command, *own], env={**os.environ})
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(address, process)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise StartError(f"the server ended with status {process.returncode}; its messages say why")
        try:
            with urllib.request.urlopen(f"{address}/ready", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(LOOK_S / 4)
    raise StartError(f"the server was not ready within {START_S:g} s")
