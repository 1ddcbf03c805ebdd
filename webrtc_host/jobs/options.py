"""What a job is asked to do: read from a form or from JSON, and kept as JSON in its row.

Pure. Invariant: options that were accepted can be read from the row again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from host_stt_common.languages import AUTO, HOW, read_language
from webrtc_host.errors import RequestError

SUMMARY_CHARS_MAX = 64


class ChannelMode(StrEnum):
    """How the tracks of a recording become channels."""

    AUTO = "auto"  # each track; both sides of a stereo track when they carry different speakers
    SPLIT = "split"  # each side of each track
    MIX = "mix"  # one channel: the first track with speech, its sides mixed


@dataclass(frozen=True, slots=True)
class JobOptions:
    language: str = AUTO
    glossary: bool = True  # terms in the prompt, and corrections of the text
    channels: ChannelMode = ChannelMode.AUTO
    summary: str | None = None  # name of a template; None: no summary is asked for

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def options_of(fields: Mapping[str, Any]) -> JobOptions:
    """The options among the fields of a form (all text) or of a JSON object. Raises RequestError 422."""
    return JobOptions(
        language=_language(fields.get("language")),
        glossary=_flag(fields.get("glossary")),
        channels=_mode(fields.get("channels")),
        summary=_summary(fields.get("summary")),
    )


def options_from(stored: Mapping[str, Any]) -> JobOptions:
    """The options of a row."""
    return JobOptions(
        language=str(stored["language"]),
        glossary=bool(stored["glossary"]),
        channels=ChannelMode(stored["channels"]),
        summary=stored.get("summary"),
    )


def _language(value: object) -> str:
    if value is None or value == "":
        return AUTO
    code = read_language(value) if isinstance(value, str) else None
    if code is None:
        raise RequestError("unknown_language", f"`language` {_shown(value)} is not known; {HOW}", 422)
    return code


def _flag(value: object) -> bool:
    if value is None or value == "":
        return True
    word = str(value).strip().lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise RequestError("bad_field", f"`glossary` {_shown(value)} is neither true nor false", 422)


def _mode(value: object) -> ChannelMode:
    if value is None or value == "":
        return ChannelMode.AUTO
    try:
        return ChannelMode(str(value))
    except ValueError as error:
        known = ", ".join(ChannelMode)
        raise RequestError("bad_field", f"`channels` {_shown(value)} is none of {known}", 422) from error


def _summary(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > SUMMARY_CHARS_MAX or not value.isprintable():
        raise RequestError(
            "bad_field", f"`summary` is the name of a template, up to {SUMMARY_CHARS_MAX} characters", 422
        )
    return value


def _shown(value: object) -> str:
    return repr(str(value)[:40])
