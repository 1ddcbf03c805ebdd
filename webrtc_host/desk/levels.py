"""The levels of a session's channels, sent to a desk four times a second.

Levels are no events: they are not stored, have no `seq`, and a slow desk simply misses some.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from webrtc_host.seams import SAMPLES_PER_MS, ms_of
from webrtc_host.session.session import Session

EVERY_S = 0.25
FRESH_SAMPLES = 1000 * SAMPLES_PER_MS
"""An older level is not sent: its channel gets no audio now."""


def levels_of(session: Session, channels: frozenset[str] | None = None) -> dict[str, tuple[float, float]]:
    """channel -> (RMS, peak) in dBFS, for channels that get audio now. channels: only these; None: all."""
    since = session.now_sample() - FRESH_SAMPLES
    return {
        channel.id: (level.rms_db, level.peak_db)
        for channel in session.channels.values()
        if (channels is None or channel.id in channels)
        and (level := channel.level) is not None
        and level.end_sample >= since
    }


async def send_levels(
    session: Session,
    channels: frozenset[str] | None,
    send: Callable[[bytes], Awaitable[None]],
    is_slow: Callable[[], bool],
) -> None:
    """Send a message every EVERY_S until the connection is gone or the task is cancelled.

    A message without levels is sent once, so that a desk can show that the audio has stopped.
    """
    had_levels = False
    while True:
        levels = levels_of(session, channels)
        if (levels or had_levels) and not is_slow():
            body = {
                "v": 1,
                "type": "levels",
                "session": session.id,
                "at_ms": ms_of(session.now_sample()),
                "levels": levels,
            }
            try:
                await send(json.dumps(body).encode())
            except ConnectionError:
                return
            had_levels = bool(levels)
        await asyncio.sleep(EVERY_S)
