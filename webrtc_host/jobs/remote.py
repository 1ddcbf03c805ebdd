"""The engine of a worker that has connected to the server, and takes the windows of one job.

Implements `seams.Transcriber` over the messages of `/v1/windows`, in the other direction: the server sends
windows to a connection that the worker opened. Invariant: when the connection is lost, no window gets a
result any more; the work on the job is then cancelled, and continues with another worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from host_stt.contract import ContractError, Transcript, Window, decode_answer, encode_window
from webrtc_host.errors import EngineError

logger = logging.getLogger(__name__)


class RemoteEngine:
    """One connection of a worker."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[str, asyncio.Future[Transcript]] = {}

    async def transcribe(self, window: Window) -> Transcript:
        """Raises EngineError when the worker's engine refuses the window."""
        answer: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        self._waiting[window.id] = answer
        try:
            try:
                await self._send(encode_window(window))
            except ConnectionError:
                logger.debug("window %s could not be sent: the worker is gone", window.id)
            return await answer
        finally:
            self._waiting.pop(window.id, None)

    def received(self, text: str) -> None:
        """A message of the worker."""
        try:
            answer = decode_answer(text)
        except ContractError as error:
            logger.warning("a worker sent a result that cannot be read: %s", error)
            return
        waiting = self._waiting.get(answer.id)
        if waiting is None or waiting.done():
            return
        if isinstance(answer, Transcript):
            waiting.set_result(answer)
        else:
            refusal = EngineError(answer.code, answer.message, is_retryable=answer.is_retryable)
            waiting.set_exception(refusal)
