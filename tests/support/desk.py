"""The whole 8082 application on a loopback port, with pipelines that transcribe nothing.

`running_desk` gives a Desk: its address, its services, and helpers for requests and events.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tests.support.events import an_event
from tests.support.new_records import place_record
from webrtc_host.app import build_app, serve
from webrtc_host.config import AuthConfig, LimitsConfig, MediaConfig, MediaProcessConfig
from webrtc_host.desk.subscribers import Subscribers
from webrtc_host.keys import RECORD, REGISTRY, SUBSCRIBERS
from webrtc_host.seams import Block, EventType
from webrtc_host.session.channel import Channel
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session

NOWHERE = "http://127.0.0.1:9"
"""An engine address where nothing listens."""


@dataclass
class SilentPipeline:
    """Accepts audio and emits no events."""

    blocks: list[Block] = field(default_factory=list)

    def start(self) -> None:
        self.blocks.clear()

    def feed(self, block: Block) -> None:
        self.blocks.append(block)

    async def close(self) -> None:
        return None

    async def force_end(self) -> None:
        return None

    def set_language(self, language: str) -> None:
        return None

    @property
    def pause_ms(self) -> int:
        return 0


def silent(_: Channel) -> SilentPipeline:
    return SilentPipeline()


@dataclass
class Desk:
    app: web.Application
    url: str
    client: aiohttp.ClientSession
    stop: asyncio.Event
    stopped: asyncio.Task[None]
    finals: int = 0

    async def written(self) -> None:
        """Wait until the events emitted so far can be read from the record."""
        await self.app[RECORD].store.write(lambda connection: None)

    @property
    def registry(self) -> SessionRegistry:
        return self.app[REGISTRY]

    @property
    def subscribers(self) -> Subscribers:
        return self.app[SUBSCRIBERS]

    @property
    def session(self) -> Session:
        return self.registry.current()

    def final(self, text: str = "alpha", channel: str = "C01", at_ms: int = 0, **more: Any) -> int:
        self.finals += 1
        seq = self.session.log.emit(
            an_event(
                EventType.SEGMENT_FINAL,
                channel,
                utterance="u_1",
                segment=f"g_{self.finals}",
                text=text,
                start_ms=at_ms,
                end_ms=at_ms + 500,
                **more,
            )
        )
        assert seq is not None
        return seq

    def interim(self, text: str = "al", channel: str = "C01", revision: int = 1) -> None:
        self.session.log.emit(
            an_event(
                EventType.SEGMENT_INTERIM,
                channel,
                utterance="u_1",
                revision=revision,
                text=text,
                start_ms=0,
                end_ms=500,
            )
        )

    async def settled(self) -> int:
        """Wait until the events so far were sent to watchers. Creates the current session if absent."""
        return await self.session.log.settled()

    async def watch(self, **query: Any) -> aiohttp.ClientWebSocketResponse:
        return await self.client.ws_connect(f"{self.url}/ws", params=_given(query))

    async def get(self, path: str, **query: Any) -> tuple[int, Any]:
        async with self.client.get(self.url + path, params=_given(query)) as response:
            return response.status, await response.json(content_type=None)


def a_config(data_dir: Path, *, token: str = "", **parts: Any) -> MediaProcessConfig:
    """parts: `media` and `limits` as dicts of their keys; all other parts unchanged.

    The record is in memory unless `store` is given: it is faster, and tests of the inputs need no more.
    """
    return MediaProcessConfig(
        media=MediaConfig(**parts.pop("media", {})),
        limits=LimitsConfig(**parts.pop("limits", {})),
        auth=AuthConfig(token=token, tokens=parts.pop("tokens", ())),
        coverage={"check": True},
        data={"dir": data_dir},
        **{"engine_url": NOWHERE, "store": {"url": "memory"}, "review": {"enabled": False}, **parts},
    )


@asynccontextmanager
async def running_desk(
    config: MediaProcessConfig, *, headers: dict[str, str] | None = None, **parts: Any
) -> AsyncIterator[Desk]:
    """parts: as `build_app` takes them; by default channels have a SilentPipeline."""
    if not config.store.url:
        place_record(config.data.dir)
    app = build_app(config, **{"make_pipeline": silent, **parts})
    stop = asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stopped = asyncio.create_task(serve(app, "127.0.0.1", 0, stop=stop, on_listening=listening.set_result))
    await asyncio.wait((listening, stopped), return_when=asyncio.FIRST_COMPLETED)
    if stopped.done():
        stopped.result()
    connector = aiohttp.TCPConnector(limit=0)
    try:
        async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
            yield Desk(app, f"http://127.0.0.1:{listening.result()}", client, stop, stopped)
    finally:
        stop.set()
        await stopped


async def received(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    """The next `count` events from the WebSocket of a watcher."""
    return [json.loads(await socket.receive_str()) for _ in range(count)]


async def close_code_and_reason(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    """Read until the WebSocket closes; returns the close code and the reason."""
    while True:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.CLOSE:
            return int(message.data), str(message.extra)
        if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
            return socket.close_code or 0, ""


def abort_connection(socket: aiohttp.ClientWebSocketResponse) -> None:
    """End the TCP connection without the closing handshake, as when the network fails."""
    connection = socket._response.connection  # aiohttp has no public way to it
    assert connection is not None and connection.transport is not None
    connection.transport.abort()


def _given(query: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}
