"""One client of /v1/windows: frames in, results out, both with limits.

Serves one WebSocket. Reading never waits for decoding. Writing has its own task, so results are sent in the
order in which they are ready. A client that does not read its results is disconnected before they fill the
memory.
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
"""A frame of up to an hour of audio gets an error with its id; a longer one closes the connection (1009)."""
ANSWERS_WAITING_MAX = 1024
HEARTBEAT_S = 20
SEND_GRACE_S = 2.0
_numbers = itertools.count(1)


class WindowSocket:
    """One connection; call `run` once."""

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
                    logger.warning(
                        "%s sends too many messages that are not windows; closing it", self._source
                    )
                    await self._ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages")
                    break
                if message.type is WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):
                        await self._ws.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    self._refuse(ContractError("not_a_window", "windows must be binary frames", 400))
        finally:
            # No `await` before this cleanup is done: aiohttp may cancel the handler of a client that has
            # disconnected.
            self._service.drop_source(self._source)
            self._service.metrics.connected(-1)
            logger.info("%s closed", self._source)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return self._ws

    async def close(self) -> None:
        """Send the results that are ready, then close the connection with the code for a stopping server."""
        if not self._ws.closed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._answers.join(), SEND_GRACE_S)
        await self._ws.close(code=WSCloseCode.GOING_AWAY, message=b"the engine is stopping")

    def _take(self, frame: bytes) -> None:
        try:
            window = decode_window(frame)
            # 8082 sends codes; another client may send a tag. The model refuses an unknown language.
            window = replace(window, language=read_language(window.language) or window.language)
        except ContractError as error:
            self._refuse(error)
        else:
            self._service.submit(window, self._source, self._deliver)

    def _refuse(self, error: ContractError) -> None:
        self._service.metrics.bad_frame(error.code)
        self._put(encode_answer(WindowError(error.window_id, error.code, error.message)))

    def _deliver(self, answer: Answer) -> None:
        """Called from any thread; the JSON is made in that thread."""
        text = encode_answer(answer)
        try:
            self._loop.call_soon_threadsafe(self._put, text)
        except RuntimeError:
            logger.debug("%s: a result came after the server's event loop had ended", self._source)

    def _put(self, text: str) -> None:
        try:
            self._answers.put_nowait(text)
        except asyncio.QueueFull:
            if not self._ws.closed:
                logger.warning("%s does not read its results; closing it", self._source)
                if self._transport:
                    self._transport.abort()

    async def _write(self) -> None:
        while True:
            text = await self._answers.get()
            try:
                await self._ws.send_str(text)
            except ConnectionError:
                return  # `run` sees the end of the connection and cleans up
            finally:
                self._answers.task_done()
