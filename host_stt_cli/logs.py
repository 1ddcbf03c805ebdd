"""Set up logging of both processes: one line per record on stderr, without secrets.

Adapters in other modules add `session=... channel=...` in front of their messages; this module only formats
the line. The formatter removes tokens from every record as its last step, so no token reaches the log from
anywhere.
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
"""Loggers with a line per packet, request or decode at INFO; they log from WARNING on, except at debug."""
_QUERY_TOKEN = re.compile(r"((?:token|access_token)=)[^&\s\"']+", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_BEARER = re.compile(r"(bearer\s+)[^\s\"',]+", re.IGNORECASE)


def _escaped(found: re.Match[str]) -> str:
    """A control character in Python's notation: `\\n`, `\\x1b`."""
    return found[0].encode("unicode_escape").decode()


class StrikeSecrets(logging.Formatter):
    """Formats times in UTC with their offset (ISO 8601), and replaces tokens and texts that look like
    tokens.
    """

    def __init__(self, process: str, *tokens: str) -> None:
        super().__init__(LAYOUT.format(process=process), "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime
        # The longest first, because a token may be part of another one.
        self._tokens = sorted(filter(None, tokens), key=len, reverse=True)

    def formatMessage(self, record: logging.LogRecord) -> str:  # logging's name
        """The record as one line: no text of a caller can begin a new line or send terminal codes."""
        return _CONTROL.sub(_escaped, super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # logging's name
        """An indented traceback, so that a caller's text in an error cannot begin a line of its own
        either.
        """
        lines = super().formatException(ei).split("\n")
        return "\n".join("  " + _CONTROL.sub(_escaped, line) for line in lines)

    def format(self, record: logging.LogRecord) -> str:
        # Bytes of a caller that are not UTF-8 are escaped, because readers of the log expect UTF-8.
        line = super().format(record).encode("utf-8", "backslashreplace").decode("utf-8")
        for token in self._tokens:
            line = line.replace(token, "***")
        return _BEARER.sub(r"\1***", _QUERY_TOKEN.sub(r"\1***", line))


def set_up(process: str, level: str, *tokens: str) -> None:
    """Log to stderr at `level`. process: "media" or "engine", to distinguish the lines of both processes."""
    # For a form whose headers it cannot read, aiohttp issues a Python warning with the bytes. Python
    # would write each warning to stderr, past the log, and keep it in memory to avoid repeating it.
    for category in (BadContentDispositionHeader, BadContentDispositionParam):
        warnings.simplefilter("ignore", category)
    handler = logging.StreamHandler()
    handler.setFormatter(StrikeSecrets(process, *tokens))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
