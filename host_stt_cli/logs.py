"""Logging of both processes: one line per record on stderr, no secrets.

Rooms put `session=... channel=...` in front of their messages (an adapter of theirs); this module only lays
out the line. No token reaches the log: it is struck out of every record as the last step, whoever
logged it.
"""

from __future__ import annotations

import logging
import re
import time
import warnings
from typing import Any

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam

LAYOUT = "%(asctime)s.%(msecs)03d+00:00 %(levelname)-7s {process} %(name)s: %(message)s"
QUIET = (
    "aioice",
    "aiortc",
    "alembic",
    "aiohttp.access",
    "faster_whisper",
    "httpx2",
    "httpcore2",
    "huggingface_hub",
    "asyncio",
)
"""Chatty at INFO: a line per packet, request or decode."""
_QUERY_TOKEN = re.compile(r"((?:token|access_token)=)[^&\s\"']+", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BEARER = re.compile(r"(bearer\s+)[^\s\"',]+", re.IGNORECASE)


def _escaped(found: re.Match[str]) -> str:
    """A control character as Python writes it: `\\n`, `\\x1b`."""
    return found[0].encode("unicode_escape").decode()


class StrikeSecrets(logging.Formatter):
    """Formats times in UTC with their offset (ISO 8601), then blots out the tokens in force and what looks
    like one."""

    def __init__(self, process: str, *tokens: str) -> None:
        super().__init__(LAYOUT.format(process=process), "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime
        # The longest first: one may be part of another.
        self._tokens = sorted(filter(None, tokens), key=len, reverse=True)

    def formatMessage(self, record: logging.LogRecord) -> str:  # logging's name
        """The record on one line: no text of a caller begins a line of its own, or colours the terminal."""
        return _CONTROL.sub(_escaped, super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # logging's name
        """A traceback, indented: what an error says of a caller's text begins no line either."""
        lines = super().formatException(ei).split("\n")
        return "\n".join("  " + _CONTROL.sub(_escaped, line) for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        # Bytes of a caller that are no text are escaped: those who read the log expect UTF-8.
        line = super().format(record).encode("utf-8", "backslashreplace").decode("utf-8")
        for token in self._tokens:
            line = line.replace(token, "***")
        return _BEARER.sub(r"\1***", _QUERY_TOKEN.sub(r"\1***", line))


def set_up(process: str, level: str, *tokens: str) -> None:
    """Log to stderr at `level` from here on. process: "media" or "engine", so that mixed lines can be told
    apart.
    """
    # aiohttp warns of headers of a form that it cannot read, with their bytes. Python would write each to
    # stderr past the log, and keep each for ever so as not to say it twice.
    for category in (BadContentDispositionHeader, BadContentDispositionParam):
        warnings.simplefilter("ignore", category)
    handler = logging.StreamHandler()
    handler.setFormatter(StrikeSecrets(process, *tokens))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
