"""A running application for tests that are not asynchronous: its event loop runs in a separate thread."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from tests.support.desk import running_desk
from tests.support.events import an_event
from webrtc_host.config import MediaProcessConfig
from webrtc_host.seams import EventType

START_S = 60.0


class ThreadedDesk:
    """Serves until the block ends. It has a running session with text, and an ended session."""

    def __init__(self, config: MediaProcessConfig) -> None:
        self._config = config
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="desk", daemon=True)
        self._is_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.url = ""
        self.session = ""  # the running session

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._is_up.wait(START_S):
            raise AssertionError("the desk did not start")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with running_desk(self._config) as desk:
            ended = desk.registry.create("day shift")
            await desk.registry.end(ended)
            desk.final("알파원 이동", "C01", 1000)
            desk.session.log.emit(
                an_event(EventType.COVERAGE, "C01", from_ms=0, to_ms=1500, state="transcribed", reason=None)
            )
            await desk.written()
            self.url, self.session = desk.url, desk.session.id
            self._is_up.set()
            await self._stop.wait()
