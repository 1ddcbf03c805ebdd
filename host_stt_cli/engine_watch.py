"""Request the engine's /health regularly, and return when the engine has stopped responding.

A process can exist and not work: stopped by a signal, swapped out, or blocked where its own watchdog cannot
run. Only detects this; `engine_process` ends the process. Invariant: an engine that never responded is not
reported, so a slow start is not interrupted.
"""

from __future__ import annotations

import asyncio
import logging

import aiohttp

logger = logging.getLogger(__name__)

EVERY_S = 2.0
PATIENCE_S = 5.0
"""Time limit of one response. /health needs no decode, so even a busy engine responds faster than this."""
MISSES = 2  # in a row: one may happen because this process itself was stopped for a while


async def until_silent(url: str, *, every_s: float = EVERY_S, patience_s: float = PATIENCE_S) -> None:
    """Return when the engine at `url` (http://host:port) has responded before and then failed MISSES
    times.
    """
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
                # Not listening yet, or just ended; EngineProcess notices the end of the process itself.
                logger.debug("the engine at %s cannot be reached: %s", url, error)
