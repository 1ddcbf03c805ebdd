"""Read request bodies within a limit, and refuse invalid ones with a plain sentence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from host_stt_common.names import name_of
from webrtc_host.errors import RequestError


async def pieces_of(request: web.Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises RequestError 413 as soon as the body is known to be longer."""
    if (request.content_length or 0) > limit_bytes:
        raise _too_large(limit_bytes)
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        yield piece


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """The whole body. Raises RequestError 413, as `pieces_of`."""
    body = bytearray()
    async for piece in pieces_of(request, limit_bytes):
        body += piece
    return bytes(body)


async def read_json_object(request: web.Request, limit_bytes: int) -> dict[str, Any]:
    """The body as a JSON object, with any content type. Raises RequestError 400 or 413."""
    raw = await read_body(request, limit_bytes)
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RequestError("bad_json", "the body is not JSON", 400) from error
    if not isinstance(body, dict):
        raise RequestError("bad_json", "the body is not a JSON object", 400)
    return body


def text_field(body: dict[str, Any], name: str, chars_max: int) -> str | None:
    """An optional text. Raises RequestError 422 when the value is no text, or too long."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > chars_max:
        raise RequestError("bad_field", f"`{name}` must be text of at most {chars_max} characters", 422)
    return value


def name_field(body: dict[str, Any], name: str, chars_max: int) -> str | None:
    """An optional name, with spaces and line breaks as one space each; blank text counts as no name.

    Raises RequestError 422 when the value is no text, too long, or has characters that are not printable.
    """
    text = text_field(body, name, chars_max)
    if text is None or not text.strip():
        return None
    try:
        return name_of(text)
    except ValueError as error:
        raise RequestError("bad_name", f"`{name}` {error}", 422) from error


def _too_large(limit_bytes: int) -> RequestError:
    return RequestError("too_large", f"the body is over the limit of {limit_bytes} bytes", 413)
