"""Reads the language of a request: one rule for offers, WHIP, sockets and uploads."""

from __future__ import annotations

from host_stt_common.languages import HOW, read_language
from webrtc_host.errors import RequestError


def language_of(value: object) -> str | None:
    """Whisper's code, or `auto`; None when there is none: the channel keeps its language.

    Raises RequestError 422 for other values.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    code = read_language(value) if isinstance(value, str) else None
    if code is None:
        shown = repr(value[:40]) if isinstance(value, str) else "a value that is not text"
        raise RequestError("unknown_language", f"`language` {shown} is not known; {HOW}", 422)
    return code
