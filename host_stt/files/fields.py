"""The fields of a form for a transcription or a translation, checked one by one.

Pure. Every error names the field that it is about (`FormError.param`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from host_stt.contract import AUTO, HISTORY_CHARS_MAX, TERM_CHARS_MAX, TERMS_MAX, RequestError, Task
from host_stt.files.formats import Format
from host_stt.files.job import FileOptions
from host_stt_common.languages import HOW, read_language

DIARIZED = "diarized_json"
GRANULARITIES = frozenset({"segment", "word"})
_TERM_FIELDS = ("hotwords", "keywords")
_NOT_IN_TRANSLATIONS = {
    "languages": "the spoken language is detected",
    "hotwords": "the terms are in the language that is spoken",
    "keywords": "the terms are in the language that is spoken",
    "timestamp_granularities": "its text has times of segments only",
}
Fields = dict[str, list[str]]


class FormError(RequestError):
    """The form is not valid. param: the field with the error, named as in OpenAI's errors."""

    def __init__(self, code: str, message: str, status: int = 400, *, param: str | None = None) -> None:
        super().__init__(code, message, status)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """A form that was checked."""

    options: FileOptions
    form: Format
    granularities: frozenset[str]
    is_stream: bool


def checked(fields: Fields) -> Asked:
    """Check the fields. Raises FormError that names the first wrong one.

    `model` may be any name: there is one model, and clients send the names of OpenAI's models. Fields that
    this server does not use (`include[]`, `chunking_strategy`, ...) are ignored.
    """
    _refuse_diarized(fields)
    form = _one_of(fields, "response_format", Format, Format.JSON)
    granularities = _granularities(fields)
    if granularities and form is not Format.VERBOSE_JSON:
        raise FormError(
            "bad_field",
            "timestamp_granularities need response_format verbose_json",
            param="timestamp_granularities",
        )
    is_stream = _flag(fields, "stream")
    if is_stream and form not in (Format.JSON, Format.TEXT):
        raise FormError(
            "bad_field", f"stream needs response_format json or text, not {form.value}", param="stream"
        )
    _temperature(fields)
    options = FileOptions(
        language=_language(fields),
        languages=_languages(fields),
        terms=_terms(fields),
        prompt=_prompt(fields),
        track=_track(fields),
    )
    return Asked(options, form, granularities, is_stream)


def checked_translation(fields: Fields) -> Asked:
    """Check the fields of a translation. Raises FormError.

    Fields of a transcription that cannot have their effect here are refused. `language` may be English, which
    some clients send for the language of the text.
    """
    _refuse_diarized(fields)
    form = _one_of(fields, "response_format", Format, Format.JSON)
    for name, reason in _NOT_IN_TRANSLATIONS.items():
        if any(value.strip() for value in _list(fields, name)):
            raise FormError("bad_field", f"a translation has no {name}: {reason}", param=name)
    if _last(fields, "language").strip() and _language(fields) != "en":
        text = "a translation has no language: the spoken one is detected, and the text is English"
        raise FormError("bad_field", text, param="language")
    if _flag(fields, "stream"):
        raise FormError("bad_field", "a translation comes whole, not as a stream", param="stream")
    _temperature(fields)
    options = FileOptions(prompt=_prompt(fields), track=_track(fields), task=Task.TRANSLATE)
    return Asked(options, form, frozenset(), is_stream=False)


def _prompt(fields: Fields) -> str:
    """If it is too long, its end, which is closest to the speech."""
    return _last(fields, "prompt")[-HISTORY_CHARS_MAX:]


def _last(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[-1]


def _list(fields: Fields, name: str) -> list[str]:
    """All values of a list in order. Its items may be named `name`, `name[]` or `name[0]`.

    PHP and `qs` number the items. Raises FormError for `name[x]`, which would otherwise be ignored silently.
    """
    values: list[str] = []
    for given, found in fields.items():
        if given == name or re.fullmatch(rf"{name}\[\d*\]", given):
            values += found
        elif given.startswith(f"{name}["):
            text = f"the field {given[:60]!r} is not known; name it {name}[]"
            raise FormError("bad_field", text, param=name)
    return values


def _one_of(fields: Fields, name: str, kind: Callable[[str], Format], default: Format) -> Format:
    value = _last(fields, name).strip()
    try:
        return kind(value) if value else default
    except ValueError as error:
        known = ", ".join(Format)
        raise FormError(
            "bad_field", f"{name} is {value[:40]!r}; it must be one of {known}", param=name
        ) from error


def _granularities(fields: Fields) -> frozenset[str]:
    name = "timestamp_granularities"
    values = (part.strip() for value in _list(fields, name) for part in value.split(","))
    given = frozenset(value for value in values if value)
    if not given <= GRANULARITIES:
        wrong = sorted(given - GRANULARITIES)[0]
        raise FormError("bad_field", f"{name} {wrong[:40]!r} is neither word nor segment", param=name)
    return given


def _language(fields: Fields) -> str:
    given = _last(fields, "language")
    code = read_language(given)
    if code is None:
        raise FormError("unknown_language", f"language {given[:40]!r} is not known; {HOW}", param="language")
    return code


def _languages(fields: Fields) -> tuple[str, ...]:
    """The languages of the recording, where the caller names several; each once, in their order."""
    name = "languages"
    codes: list[str] = []
    for given in (part for value in _list(fields, name) for part in value.split(",") if part.strip()):
        code = read_language(given)
        if code is None or code == AUTO:
            raise FormError("unknown_language", f"{name}: {given[:40]!r} is not known; {HOW}", param=name)
        codes.append(code)
    return tuple(dict.fromkeys(codes))


def _refuse_diarized(fields: Fields) -> None:
    """An answer that gave one speaker all the words would be wrong, and would look right."""
    if _last(fields, "response_format").strip() == DIARIZED:
        known = ", ".join(Format)
        text = f"response_format {DIARIZED}: this server does not tell speakers apart; it has {known}"
        raise FormError("not_supported", text, param="response_format")


def _flag(fields: Fields, name: str) -> bool:
    value = _last(fields, name).strip().lower()
    if value in ("", "false", "0", "no"):
        return False
    if value in ("true", "1", "yes"):
        return True
    raise FormError("bad_field", f"{name} {value[:40]!r} is neither true nor false", param=name)


def _track(fields: Fields) -> int | None:
    value = _last(fields, "track").strip()
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", value):
        text = f"track {value[:40]!r} is not the number of an audio track; the first is 0"
        raise FormError("bad_field", text, param="track")
    return int(value)


def _temperature(fields: Fields) -> None:
    """Checked, but without effect: windows that a guard rejects are decoded again anyway."""
    value = _last(fields, "temperature").strip()
    try:
        number = float(value) if value else 0.0
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise FormError("bad_field", "temperature must be a number from 0 to 1", param="temperature")


def _terms(fields: Fields) -> tuple[str, ...]:
    given = [value for name in _TERM_FIELDS for value in _list(fields, name)]
    try:
        return terms_of(given)
    except RequestError as error:
        raise FormError(error.code, error.message, error.status, param="hotwords") from error


def terms_of(lists: Sequence[str]) -> tuple[str, ...]:
    """The terms of comma-separated lists, each once. Raises RequestError if there are too many, or one is too
    long.
    """
    terms = tuple(dict.fromkeys(term.strip() for given in lists for term in given.split(",") if term.strip()))
    if len(terms) > TERMS_MAX:
        raise RequestError("too_many_terms", f"{len(terms)} hotwords; {TERMS_MAX} at most")
    if too_long := next((term for term in terms if len(term) > TERM_CHARS_MAX), None):
        text = f"the hotword {too_long[:20]!r}... has {len(too_long)} characters; {TERM_CHARS_MAX} at most"
        raise RequestError("term_too_long", text)
    return terms
