"""Error texts for callers: turn exceptions and wrong values into sentences without Python in them.

Pure. The text of an exception is written for programmers (`KeyError('x')`, `[Errno 22] ...: '<none>'`) and is
never sent to a caller unchanged. The log may contain it.
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
"""The beginning of pydantic's sentence, and plain words for a reader who does not write Python."""
_CLASS = re.compile(
    r"a valid dictionary or instance of \w+|a valid dictionary|a dictionary or an instance of \w+"
)


def plain_error(error: BaseException, otherwise: str) -> str:
    """The message of the operating system or FFmpeg for an error; `otherwise` if there is none.

    OSError and FFmpeg's errors have one, such as "Invalid data found when processing input".
    """
    text = getattr(error, "strerror", None)
    number = getattr(error, "errno", None)
    if isinstance(text, str) and "call failed" in text and isinstance(number, int):
        text = os.strerror(number)  # asyncio adds the address as a Python tuple
    if not isinstance(text, str) or not text.strip():
        return otherwise
    words = " ".join(text.split())[:120]
    return words[0].lower() + words[1:]


def plain_mistake(message: str) -> str:
    """Pydantic's message about a wrong value, without its own names of types."""
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = _CLASS.sub("an object", message.replace("Input should", "should"))
    return next((plain for theirs, plain in _WORDS.items() if message.startswith(theirs)), message)


def shown(value: Any) -> str:
    """A wrong value for an error text: text in quotes, any other value as JSON, cut to 40 characters."""
    if isinstance(value, str):
        return repr(value[:SHOWN_CHARS_MAX].encode(errors="replace").decode())
    text = json.dumps(value, default=lambda _: "...", ensure_ascii=False)
    return text[:SHOWN_CHARS_MAX].encode(errors="replace").decode()
