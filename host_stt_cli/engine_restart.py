"""Let a command request a restart of the engine, with the model of the configuration, from a running server.

They use two files in the data folder, which only the server's own user can write. The command writes the
request. The server removes it, restarts the engine, and writes a sentence about the result. Other host-stt
processes on the folder ignore the request; then the command removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from host_stt_cli.data_folder import PID_NAME

logger = logging.getLogger(__name__)

REQUEST_NAME = "engine-restart.request"
ANSWER_NAME = "engine-restart.answer"
LOOK_EVERY_S = 0.5
TAKEN_WITHIN_S = 5.0
ANSWERED_WITHIN_S = 30.0


async def answer_requests(folder: Path, restart: Callable[[], Awaitable[str]]) -> None:
    """In the server, while it runs. restart: restarts the engine and returns the sentence for the
    response.
    """
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if await asyncio.to_thread(_take_request, folder):
            sentence = await restart()
            logger.info("request to restart the engine: %s", sentence)
            await asyncio.to_thread(_write_answer, folder, sentence)


def request_restart(folder: Path) -> str | None:
    """In the command: the server's sentence. None: no server on this folder accepts requests. Blocking."""
    if not (folder / PID_NAME).exists():
        return None
    request, answer = folder / REQUEST_NAME, folder / ANSWER_NAME
    answer.unlink(missing_ok=True)
    request.touch()
    try:
        if not _until(lambda: not request.exists(), TAKEN_WITHIN_S):
            return None
        if not _until(answer.exists, ANSWERED_WITHIN_S):
            return f"the server accepted the request, but did not respond within {ANSWERED_WITHIN_S:g} s"
        return answer.read_text(encoding="utf-8").strip()
    finally:
        for file in (request, answer):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def _take_request(folder: Path) -> bool:
    try:
        (folder / REQUEST_NAME).unlink()
    except OSError:
        return False
    return True


def _write_answer(folder: Path, sentence: str) -> None:
    """Write the file in one step, because the command reads it as soon as it exists."""
    fresh = folder / f"{ANSWER_NAME}.new"
    try:
        fresh.write_text(sentence + "\n", encoding="utf-8")
        fresh.replace(folder / ANSWER_NAME)
    except OSError as error:
        logger.warning("%s cannot be written: %s", folder / ANSWER_NAME, error.strerror)


def _until(holds: Callable[[], bool], within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True
