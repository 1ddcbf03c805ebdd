"""Channel ids: C01, C02, ... C99. One rule for the config, the routes and the load test.

Pure. A session may have fewer channels than there are valid ids: `limits.channels_per_session` decides.
"""

from __future__ import annotations

import re

CHANNEL_PATTERN = "C[0-9]{2}"
"""The pattern of one id, without anchors."""
NAMED_MAX = 64
"""How many ids one list may contain; the OpenAPI document says the same."""
_CHANNEL = re.compile(CHANNEL_PATTERN)


class BadChannelId(ValueError):
    """The text is not a channel id. name: that text."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a channel is C01, C02, ..., not {name[:20]!r}")
        self.name = name


def channel_id_of(number: int) -> str:
    """number: 1 for the first channel."""
    return f"C{number:02d}"


def is_channel_id(text: str) -> bool:
    return _CHANNEL.fullmatch(text) is not None


def channel_ids_of(text: str) -> frozenset[str]:
    """The ids of a list such as `C01,C02`; spaces around commas are allowed. Raises BadChannelId."""
    names = [name.strip() for name in text.split(",", NAMED_MAX)]
    for name in names:
        if not is_channel_id(name):
            raise BadChannelId(name)
    return frozenset(names)
