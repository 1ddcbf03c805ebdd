"""Is the engine still there? Asks its /health, and says when it has stopped answering.

A process can be alive and gone: stopped by a signal, swapped out, stuck where its own watch cannot run. Owns
the asking; ending the process belongs to `engine_process`. Invariant: an engine that never answered is
never called silent, so that a slow start is left alone.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp

logger = logging.getLogger(__name__)

EVERY_S = 2.0
PATIENCE_S = 5.0
"""For one answer. /health costs the engine no decode; a box so busy that it waits longer serves nobody."""
MISSES = 2  # in a row: one may be our own fault, after this process was stopped itself


async def until_silent(url: str, *, every_s: float = EVERY_S, patience_s: float = PATIENCE_S) -> None:
    """Returns when the engine at `url` (http://host:port) had answered, and then did not, `MISSES` times."""
    was_heard, misses = False, 0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=patience_s)) as http:
        while misses < MISSES:
            await asyncio.sleep(every_s)
            try:
                async with http.get(f"{url}/health"):
                    was_heard, misses = True, 0
            except TimeoutError:
                misses += was_heard
            except aiohttp.ClientError as error:
                # Not listening yet, or just ended: whoever waits for the process sees that.
                logger.debug("the engine at %s refuses: %s", url, error)
