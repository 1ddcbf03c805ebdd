"""How a door reads a language code."""

from __future__ import annotations

from host_stt.contract import AUTO
from host_stt_common.languages import LANGUAGES
from webrtc_host.errors import RequestError


def language_of(value: object) -> str:
    """A known code or `auto`. Raises RequestError 422 for anything else."""
    if value == AUTO or (isinstance(value, str) and value in LANGUAGES):
        return str(value)
    shown = value[:20] if isinstance(value, str) else type(value).__name__
    raise RequestError(
        "unknown_language", f"{shown!r} is no language here; send auto or a code such as en or ko", 422
    )
