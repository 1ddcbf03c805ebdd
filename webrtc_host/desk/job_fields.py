"""Fields of a new job that all ways to submit one have in common."""

from __future__ import annotations

from aiohttp import web

from host_stt_common.names import name_of
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import token_name
from webrtc_host.jobs.service import TITLE_CHARS_MAX

KEY = "Idempotency-Key"
KEY_CHARS_MAX = 200


def job_key_of(request: web.Request, given: object) -> str | None:
    """The key of a request, with the name of its token: keys of different callers are different.

    Raises RequestError 422.
    """
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > KEY_CHARS_MAX or not given.isprintable():
        raise RequestError("bad_key", f"{KEY} is printable text of up to {KEY_CHARS_MAX} characters", 422)
    return f"{token_name(request) or ''}:{given}"


def title_of(value: object) -> str | None:
    """Raises RequestError 422."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > TITLE_CHARS_MAX:
        raise RequestError("bad_field", f"`title` is text of up to {TITLE_CHARS_MAX} characters", 422)
    try:
        return name_of(value)
    except ValueError as error:
        raise RequestError("bad_name", f"`title` {error}", 422) from error
