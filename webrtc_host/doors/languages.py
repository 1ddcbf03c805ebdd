"""The language codes Whisper was trained on, and how a door reads one."""

from __future__ import annotations

from host_stt.contract import AUTO
from webrtc_host.errors import RequestError

LANGUAGES = frozenset(
    (
        "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he "
        "hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne "
        "nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk "
        "ur uz vi yi yo yue zh"
    ).split()
)


def language_of(value: object) -> str:
    """A known code or `auto`. Raises RequestError 422 for anything else."""
    if value == AUTO or (isinstance(value, str) and value in LANGUAGES):
        return str(value)
    shown = value[:20] if isinstance(value, str) else type(value).__name__
    raise RequestError(
        "unknown_language", f"{shown!r} is no language here; send auto or a code such as en or ko", 422
    )
