"""Starts and stops the parts of the server in order: each step starts something, and stops it again.

Steps start in order and stop in the reverse order, so a step may use all earlier steps for as long as it
runs. When a step cannot start, the earlier ones stop. `app.py` has the list of steps, with the reasons for
its order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    running: Callable[[], AbstractAsyncContextManager[None]]
    """Entered when the step starts; left when it stops."""


@asynccontextmanager
async def living(steps: Sequence[Step]) -> AsyncIterator[None]:
    """Start all steps; stop them at the exit, also when one of them raises."""
    async with AsyncExitStack() as stack:
        for step in steps:
            logger.debug("- start: %s", step.name)
            await stack.enter_async_context(step.running())
            stack.callback(logger.debug, "- stop: %s", step.name)
        yield


def task(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> Step:
    """A step that runs one task, and cancels it at the stop. An error of the task is logged."""

    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        running = asyncio.create_task(run(), name=name)
        running.add_done_callback(_log_failure)
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait((running,))

    return Step(name, running)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the task %s failed", task.get_name(), exc_info=error)
