"""One client of /v1/windows: frames in, answers out, both bounded.

Owns one WebSocket. Reading never waits for decoding; writing has its own task, so answers go out in the
order they are ready. A client that does not read its answers is let go before they fill the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from dataclasses import replace

from aiohttp import WSCloseCode, WSMsgType, web

from host_stt.contract import (
    FRAME_BYTES_MAX,
    SAMPLE_RATE,
    Answer,
    ContractError,
    WindowError,
    decode_window,
    encode_answer,
)
from host_stt.service import EngineService
from host_stt_common.languages import read_language
from host_stt_common.rates import watcher_messages

logger = logging.getLogger(__name__)

FRAME_BYTES_READ = FRAME_BYTES_MAX + 4 * 3600 * SAMPLE_RATE
"""An hour too much is answered by its id, as any other mistake is; beyond it the connection closes (1009)."""
ANSWERS_WAITING_MAX = 1024
HEARTBEAT_S = 20
SEND_GRACE_S = 2.0
_numbers = itertools.count(1)


class WindowSocket:
    """Run once per connection."""

    def __init__(self, service: EngineService) -> None:
        self._service = service
        self._source = f"ws-{next(_numbers)}"
        self._loop = asyncio.get_running_loop()
        self._answers: asyncio.Queue[str] = asyncio.Queue(maxsize=ANSWERS_WAITING_MAX)
        self._transport: asyncio.Transport | None = None
        self._ws = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=FRAME_BYTES_READ, heartbeat=HEARTBEAT_S
        )

    async def run(self, request: web.Request) -> web.WebSocketResponse:
        await self._ws.prepare(request)
        self._transport = request.transport
        logger.info("%s opened", self._source)
        self._service.metrics.connected(+1)
        writer = asyncio.create_task(self._write(), name=f"{self._source}-write")
        said = watcher_messages()
        try:
            async for message in self._ws:
                if message.type is WSMsgType.BINARY:
                    self._take(message.data)
                    continue
                if message.type is not WSMsgType.PONG and not said.take(1, self._loop.time()):
                    logger.warning("%s sends too many messages that are no windows; closing it", self._source)
                    await self._ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
                    break
                if message.type is WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):
                        await self._ws.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._refuse(ContractError("not_a_window", "windows come as binary frames", 400))
        finally:
            # Nothing is awaited before the books are closed: aiohttp may cancel a handler whose client
            # is gone.
            self._service.forget(self._source)
            self._service.metrics.connected(-1)
            logger.info("%s closed", self._source)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return self._ws

    async def close(self) -> None:
        """Send what is ready, then say that the server goes away."""
        if not self._ws.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._answers.join(), SEND_GRACE_S)
        await self._ws.close(code=WSCloseCode.GOING_AWAY, message=b"the engine is stopping")

    def _take(self, frame: bytes) -> None:
        try:
            window = decode_window(frame)
            # 8082 sends codes; another caller may send a tag. What is unknown is refused by the model.
            window = replace(window, language=read_language(window.language) or window.language)
        except ContractError as error:
            self._refuse(error)
        else:
            self._service.submit(window, self._source, self._deliver)

    def _refuse(self, error: ContractError) -> None:
        self._service.metrics.bad_frame(error.code)
        self._put(encode_answer(WindowError(error.window_id, error.code, error.message)))

    def _deliver(self, answer: Answer) -> None:
        """Called from any thread; the JSON is made there."""
        text = encode_answer(answer)
        try:
            self._loop.call_soon_threadsafe(self._put, text)
        except RuntimeError:
            logger.debug("%s: an answer came after the server's loop had ended", self._source)

    def _put(self, text: str) -> None:
        try:
            self._answers.put_nowait(text)
        except asyncio.QueueFull:
            if not self._ws.closed:
                logger.warning("%s does not read its answers; closing it", self._source)
                if self._transport:
                    self._transport.abort()

    async def _write(self) -> None:
        while True:
            text = await self._answers.get()
            try:
                await self._ws.send_str(text)
            except ConnectionError:
                return  # the reader sees the end of the connection and cleans up
            finally:
                self._answers.task_done()
