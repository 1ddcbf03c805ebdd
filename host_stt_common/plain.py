"""Error texts for callers: what exceptions and wrong values say, in words without Python in them.

Pure. The text of an exception is written for programmers (`KeyError('x')`, `[Errno 22] ...: '<none>'`) and
never reaches a caller as it is. What the log shows is another matter.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any

SHOWN_CHARS_MAX = 40
_WORDS = {
    "Field required": "is missing",
    "Extra inputs are not permitted": "is not known here",
    "should be a valid integer": "should be a whole number",
    "should be a valid number": "should be a number",
    "should be a valid boolean": "should be true or false",
    "should be a valid string": "should be text",
    "should be a valid list": "should be a list",
}
"""What pydantic says, by how its sentence begins, and the words for somebody who writes no Python."""
_CLASS = re.compile(
    r"a valid dictionary or instance of \w+|a valid dictionary|a dictionary or an instance of \w+"
)


def plain_error(error: BaseException, otherwise: str) -> str:
    """The sentence of the system or the media library for what happened; `otherwise` where there is none.

    OSError and FFmpeg's errors carry one, such as "Invalid data found when processing input".
    """
    text = getattr(error, "strerror", None)
    number = getattr(error, "errno", None)
    if isinstance(text, str) and "call failed" in text and isinstance(number, int):
        text = os.strerror(number)  # asyncio puts the address in, as Python writes it
    if not isinstance(text, str) or not text.strip():
        return otherwise
    words = " ".join(text.split())[:120]
    return words[0].lower() + words[1:]


def plain_mistake(message: str) -> str:
    """What pydantic says of a wrong value, without its own words for types."""
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = _CLASS.sub("an object", message.replace("Input should", "should"))
    return next((plain for theirs, plain in _WORDS.items() if message.startswith(theirs)), message)


def shown(value: Any) -> str:
    """A wrong value for an error text: text in quotes, anything else as JSON, cut to 40 characters."""
    if isinstance(value, str):
        return repr(value[:SHOWN_CHARS_MAX].encode(errors="replace").decode())
    text = json.dumps(value, default=lambda _: "...", ensure_ascii=False)
    return text[:SHOWN_CHARS_MAX].encode(errors="replace").decode()
