from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from host_stt.contract import Answer, Priority, Window
from tests.support.polling import until
from tests.webrtc_host.speech.engine_server import EngineServer, engine_server
from webrtc_host.config import DataConfig, MediaProcessConfig
from webrtc_host.services.speech import SpeechService
from webrtc_host.speech.settings import PipelineConfig, SpeechConfig

BUSY_MAX = 2


def never(_: Window) -> Answer | None:
    return None


@asynccontextmanager
async def service_of(server: EngineServer, folder: Path) -> AsyncIterator[SpeechService]:
    config = MediaProcessConfig(
        data=DataConfig(dir=folder),
        engine_url=server.url,
        speech=SpeechConfig(pipeline=PipelineConfig(early_finals_busy_max=BUSY_MAX)),
    )
    service = SpeechService(config)
    async with service.running():
        await until(lambda: service.engine.is_connected)
        yield service


def window(number: int, priority: Priority) -> Window:
    return Window(
        id=f"w_{number}",
        channel=f"C{number:02}",
        samples=np.zeros(16_000, dtype=np.int16),
        start_sample=0,
        priority=priority,
        deadline_ms=20_000,
    )


async def test_interims_that_wait_do_not_hold_early_finals_back_and_finals_do(tmp_path: Path) -> None:
    async with engine_server(never) as server, service_of(server, tmp_path) as service:
        sent: list[asyncio.Task[object]] = []

        async def send(priority: Priority, count: int) -> None:
            for _ in range(count):
                sent.append(asyncio.create_task(service.engine.transcribe(window(len(sent), priority))))
            await server.until(len(sent))

        await send(Priority.INTERIM, 8)
        assert service.has_free_engine()
        assert not service.has_idle_engine()
        assert service.has_room_for_context(Priority.FINAL)
        assert not service.has_room_for_context(Priority.INTERIM)
        await send(Priority.FINAL, BUSY_MAX)
        assert service.has_free_engine()
        assert not service.has_room_for_context(Priority.FINAL)
        await send(Priority.FINAL, 1)
        assert not service.has_free_engine()
        sent[-1].cancel()
        await until(service.has_free_engine)
        for task in sent:
            task.cancel()
        await asyncio.gather(*sent, return_exceptions=True)


async def test_an_engine_that_is_not_connected_has_no_room(tmp_path: Path) -> None:
    async with engine_server(never) as server, service_of(server, tmp_path) as service:
        await server.kill()
        await until(lambda: not service.engine.is_connected)
        assert not service.has_free_engine()
