"""The parameters of a channel in a request: id, label, language, glossary. The same for all inputs."""

from __future__ import annotations

from typing import Any

from host_stt.contract import TERM_CHARS_MAX, TERMS_MAX
from webrtc_host.doors.languages import language_of
from webrtc_host.errors import RequestError
from webrtc_host.http.body import name_field, text_field
from webrtc_host.session.channel import ChannelSpec

LABEL_CHARS_MAX = 200


def channel_spec_of(entry: dict[str, Any]) -> ChannelSpec:
    """`channel`, `label`, `language` and `glossary` of a JSON object. Raises RequestError 422."""
    return ChannelSpec(
        channel=text_field(entry, "channel", 20),
        label=name_field(entry, "label", LABEL_CHARS_MAX),
        language=language_of(entry.get("language")),
        terms=_terms(entry.get("glossary")),
    )


def _terms(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > TERMS_MAX:
        raise RequestError("bad_field", f"`glossary` must be a list of at most {TERMS_MAX} terms", 422)
    for term in value:
        if not isinstance(term, str) or not 0 < len(term.strip()) <= TERM_CHARS_MAX:
            raise RequestError(
                "bad_field", f"a glossary term is text of 1 to {TERM_CHARS_MAX} characters", 422
            )
    return tuple(term.strip() for term in value)
