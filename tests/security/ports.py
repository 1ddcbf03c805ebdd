"""Both servers as in production, on loopback, and raw sockets as their clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from host_stt.config import EngineConfig
from host_stt.engines.fake import FakeEngine, script_of
from host_stt.server import serve
from host_stt_common import accepting
from host_stt_common.connections import ConnectionLimits
from tests.support.desk import Desk, a_config, running_desk
from tests.support.engine_process import fake_backend

TOKEN = "a-token-of-the-tests"
PORTS = ("8081", "8082")


@dataclass(frozen=True)
class Port:
    """One of the two servers. name: 8081 or 8082; number: the port that it listens on."""

    name: str
    number: int
    desk: Desk | None = None

    def connect(self, receive_bytes: int | None = None) -> socket.socket:
        """A blocking connection. receive_bytes: SO_RCVBUF, for a caller that reads little."""
        one = socket.socket()
        if receive_bytes is not None:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        one.settimeout(30)
        one.connect(("127.0.0.1", self.number))
        return one

    async def ask(self, sent: bytes) -> bytes:
        """Send these bytes; returns all bytes of the response until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    async def is_ready(self) -> bool:
        """For 8081: whether its model is loaded."""
        return status_of(await self.ask(head("GET", "/ready", "Connection: close", token=TOKEN))) == 200


@asynccontextmanager
async def running(
    name: str, folder: Path, *, token: str = TOKEN, connections: dict[str, Any] | None = None, **limits: Any
) -> AsyncIterator[Port]:
    """limits: of 8082, as `limits:` in the configuration. connections: fields of ConnectionLimits."""

    def limited(**own: Any) -> ConnectionLimits:
        return ConnectionLimits(**{**own, **(connections or {})})

    with (
        patch("host_stt.server.ConnectionLimits", limited),
        patch("webrtc_host.app.ConnectionLimits", limited),
        patch.object(accepting, "SWEEP_S", 0.05),
    ):
        async with _running(name, folder, token, limits) as port:
            yield port


@asynccontextmanager
async def _running(name: str, folder: Path, token: str, limits: dict[str, Any]) -> AsyncIterator[Port]:
    if name == "8082":
        async with running_desk(a_config(folder, token=token, limits=limits)) as desk:
            yield Port(name, int(desk.url.rpartition(":")[2]), desk)
        return
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    config = EngineConfig(port=0, token=token or None, stop_grace_s=1)
    backend = fake_backend(FakeEngine(script_of("one two three")))
    stop = asyncio.Event()
    server = asyncio.create_task(serve(config, backend, listening.set_result, stop))
    try:
        await asyncio.wait((server, listening), return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            server.result()
        yield Port(name, listening.result())
    finally:
        stop.set()
        await server


def head(method: str, path: str, *lines: str, token: str = "") -> bytes:
    """The head of a request, with an empty line at its end."""
    fields = ["Host: 127.0.0.1", *lines]
    if token:
        fields.append(f"Authorization: Bearer {token}")
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode()


def status_of(answer: bytes) -> int:
    """The status of a response; 0 if there is no response."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
