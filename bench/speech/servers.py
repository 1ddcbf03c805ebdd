"""The servers of an evaluation, as child processes on free ports of this machine below 32768.

Higher ports may be taken at any moment by an outgoing connection.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import aiohttp

from bench.rivals.child import running
from host_stt_cli.errors import StartError
from tests.support.server import ROOT
from tests.support.server import command as host_stt

READY_S = 180.0


def free_port() -> int:
    """A port between 12000 and 31999 for TCP and UDP."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


@contextmanager
def engine(folder: Path, model: Path, settings: Sequence[str] = ()) -> Iterator[str]:
    """The address of a running engine (8081). settings: KEY=VALUE."""
    with _started("engine", folder, model, settings) as ports:
        yield f"http://127.0.0.1:{ports[1]}"


@contextmanager
def server(folder: Path, model: Path, settings: Sequence[str] = ()) -> Iterator[str]:
    """The address of a running `host-stt serve` (8082 with its engine). settings: KEY=VALUE."""
    with _started("serve", folder, model, settings) as ports:
        yield f"http://127.0.0.1:{ports[0]}"


@contextmanager
def _started(name: str, folder: Path, model: Path, settings: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields the ports of 8082 and of 8081."""
    ports = (free_port(), free_port())
    given = (
        f"media.port={ports[0]}",
        f"engine.port={ports[1]}",
        f"engine.model={model}",
        f"data.dir={folder / 'data'}",
        *settings,
    )
    command = host_stt(name, *(word for one in given for word in ("--set", one)))
    port = ports[1 if name == "engine" else 0]
    with running(command, port, folder, name, {"PYTHONPATH": str(ROOT)}):
        yield ports


async def wait_ready(url: str) -> None:
    """Until `/ready` answers 200. Raises StartError with the server's reason."""
    deadline_s = time.monotonic() + READY_S
    reason = "it does not answer"
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < deadline_s:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"{url}/ready") as response:
                    if response.status == 200:
                        return
                    reason = (await response.text())[:200]
            await asyncio.sleep(0.3)
    raise StartError(f"{url} was not ready within {READY_S:g} s: {reason}.")
