"""Messages that are one JSON object. Pure."""

from __future__ import annotations

import json
from typing import Any

from host_stt.contract import RequestError


def json_object(text: str) -> dict[str, Any]:
    """The object in a text message. Raises RequestError 400."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_message", "the message is not JSON", 400) from error
    if not isinstance(message, dict):
        raise RequestError("bad_message", "the message is not a JSON object", 400)
    return message
