"""Logging of both processes: one line per record on stderr, no secrets.

Rooms put `session=... channel=...` in front of their messages (an adapter of theirs); this module only lays
out the line. The token never reaches the log: it is struck out of every record as the last step, whoever
logged it.
"""

from __future__ import annotations

import logging
import re
import time

LAYOUT = "%(asctime)s.%(msecs)03d %(levelname)-7s {process} %(name)s: %(message)s"
QUIET = (
    "aioice",
    "aiortc",
    "aiohttp.access",
    "faster_whisper",
    "httpx2",
    "httpcore2",
    "huggingface_hub",
    "asyncio",
)
"""Chatty at INFO: a line per packet, request or decode."""
_QUERY_TOKEN = re.compile(r"((?:token|access_token)=)[^&\s\"']+", re.IGNORECASE)
_BEARER = re.compile(r"(bearer\s+)[^\s\"',]+", re.IGNORECASE)


class StrikeSecrets(logging.Formatter):
    """Formats in UTC, then blots out the token in force and anything that looks like one."""

    def __init__(self, process: str, token: str) -> None:
        super().__init__(LAYOUT.format(process=process), "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime
        self._token = token

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if len(self._token) >= 4:  # shorter ones would blot out ordinary words
            line = line.replace(self._token, "***")
        return _BEARER.sub(r"\1***", _QUERY_TOKEN.sub(r"\1***", line))


def set_up(process: str, level: str, token: str = "") -> None:
    """Log to stderr at `level` from here on. process: "media" or "engine", so that mixed lines can be told
    apart.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(StrikeSecrets(process, token))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
