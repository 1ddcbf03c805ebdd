"""What the server reports to a publisher about its own channels, so that it can send missing audio again.

This module makes the JSON of the report, and chooses which gaps are named; `Channel.missing` finds the gaps.
How a client converts them into times of its own recording: docs/reference/resume.md.
"""

from __future__ import annotations

import json
from typing import Any

from webrtc_host.seams import SAMPLES_PER_MS, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.session.connection import Connection

LOOK_BACK_MS = 60_000
"""Older gaps are not named: no page stores that much audio."""
GAP_MS_MIN = 200
"""Shorter gaps are concealed and not audible; a word is longer."""
GAPS_MAX = 16
PING_CHARS_MAX = 200
PING_ID_MAX = 2**53


def publisher_status(connection: Connection) -> dict[str, Any]:
    """`now_ms` on the session's timeline, and for each channel what was received and what is missing."""
    channels = [channel_status(channel) for channel in connection.channels]
    return {"now_ms": connection.session.now_ms(), "channels": channels}


def channel_status(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.id,
        "received_to_ms": ms_of(channel.end_sample),
        "missing": [[ms_of(start), ms_of(end)] for start, end in gaps_of(channel)],
    }


def gaps_of(channel: Channel) -> list[tuple[int, int]]:
    """The newest gaps that are worth a backfill, in samples, in order."""
    now = channel.session.now_sample()
    found = channel.missing(now - LOOK_BACK_MS * SAMPLES_PER_MS, now)
    return [(a, b) for a, b in found if b - a >= GAP_MS_MIN * SAMPLES_PER_MS][-GAPS_MAX:]


def read_ping(message: object) -> int | None:
    """The id of a `ping`; None for every other message."""
    if not isinstance(message, str) or len(message) > PING_CHARS_MAX:
        return None
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or body.get("type") != "ping":
        return None
    number = body.get("id", 0)
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return number if is_number and 0 <= number <= PING_ID_MAX else None
