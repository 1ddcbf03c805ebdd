"""Checks of single values in the lists that people write: the glossary and the alert rules.

Pure. Each check returns the value that is kept, and raises ValueError with the mistake in plain words.
"""

from __future__ import annotations

import re

from host_stt_common.channel_ids import BadChannelId, is_channel_id

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")


def one_line(value: str) -> str:
    """Text of one line, without spaces around it."""
    stripped = value.strip()
    if not stripped or any(ord(c) < 32 for c in stripped):
        raise ValueError("is empty or has a control character")
    return stripped


def channel_id(value: str) -> str:
    if not is_channel_id(value):
        raise ValueError(str(BadChannelId(value)))
    return value


def time_of_day(value: str) -> str:
    if _TIME.fullmatch(value) is None:
        raise ValueError(f"a time is from 00:00 to 24:00, such as 06:30, not {value[:20]!r}")
    return value


def minute_of(time: str) -> int:
    """The minute of the day of a `time_of_day`: 0 to 1440."""
    return int(time[:2]) * 60 + int(time[3:])
