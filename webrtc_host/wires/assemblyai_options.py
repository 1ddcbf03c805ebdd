"""The parameters of AssemblyAI's addresses and of its `UpdateConfiguration`, with their limits. Pure.

In the query every value is text, and lists are JSON; in a message the values are JSON. Unknown parameters
are ignored, as their service does. Known ones are refused where ignoring them would change the text or where
it goes. `session` and `channel` are ours: where the text goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from host_stt_common.languages import AUTO, read_language
from webrtc_host.errors import RequestError
from webrtc_host.media.encodings import AudioFormat, Container, Encoding
from webrtc_host.wires.deepgram_query import RATE_MAX, RATE_MIN, checked_terms
from webrtc_host.wires.query import FALSE, TRUE, Query

SILENCE_MS_MAX = 60_000
INACTIVITY_S_MIN, INACTIVITY_S_MAX, INACTIVITY_S_DEFAULT = 5, 3600, 600
LISTS = ("keyterms_prompt", "language_codes")
LIST_CHARS_MAX = 32 * 1024
ENGLISH_MODEL = "universal-streaming-english"
ENCODINGS: dict[str, Encoding | Container] = {
    "pcm_s16le": Encoding.S16,
    "pcm_mulaw": Encoding.ULAW,
    "opus": Encoding.OPUS,
    "ogg_opus": Container.OGG,
    "aac": Container.AAC,
}
REFUSED = ("filter_profanity", "redact_pii", "webhook_url", "llm_gateway")
"""Parameters that change the text or where it goes. False and empty values are accepted."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client may change while its session runs."""

    end_threshold: float = 0.4
    """Confidence that the turn has ended, 0 to 1, from which on `min_silence_ms` end it."""
    min_silence_ms: int = 400
    """Silence that ends a turn when the confidence is reached."""
    max_silence_ms: int = 1280
    """Silence that ends a turn at any confidence."""
    has_formatted: bool = False
    """Whether each end of a turn is repeated as formatted text."""
    has_heartbeat: bool = False
    has_silence: bool = False
    terms: tuple[str, ...] = ()
    language: str = AUTO

    def changed(self, given: Mapping[str, object]) -> Settings:
        """With the given values in place of the present ones. Raises RequestError 400."""
        _refuse_impossible(given)
        old_name = given.get("min_end_of_turn_silence_when_confident")
        min_silence = given.get("min_turn_silence", old_name)
        terms = given.get("keyterms_prompt")
        return Settings(
            _number("end_of_turn_confidence_threshold", given, 1, self.end_threshold),
            _milliseconds("min_turn_silence", min_silence, self.min_silence_ms),
            _milliseconds("max_turn_silence", given.get("max_turn_silence"), self.max_silence_ms),
            _flag("format_turns", given, self.has_formatted),
            _flag("session_heartbeat", given, self.has_heartbeat),
            _flag("acknowledge_silence", given, self.has_silence),
            self.terms if terms is None else checked_terms(_list("keyterms_prompt", terms)),
            _language(given, self.language),
        )


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters of `/v3/ws`."""

    session: str | None
    channel: str | None
    audio: AudioFormat
    has_partials: bool
    inactivity_s: float
    settings: Settings


def options_of(query: Query) -> Options:
    """Raises RequestError 400."""
    given = _values(query)
    settings = Settings().changed(given)
    if settings.language == AUTO and query.get("speech_model") == ENGLISH_MODEL:
        settings = replace(settings, language="en")
    return Options(
        session=query.get("session") or None,
        channel=query.get("channel") or None,
        audio=_audio_format(query),
        has_partials=_flag("include_partial_turns", given, True),
        inactivity_s=inactivity_of(query),
        settings=settings,
    )


def inactivity_of(query: Query) -> float:
    """Seconds without a message after which the session ends. Raises RequestError 400."""
    return whole(query, "inactivity_timeout", INACTIVITY_S_MIN, INACTIVITY_S_MAX, INACTIVITY_S_DEFAULT)


def whole(query: Query, name: str, low: int, high: int, default: int | None = None) -> int:
    """A whole number of the query. Raises RequestError 400, also where it is missing without a default."""
    text = query.get(name)
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit()) or not low <= int(text[:9]) <= high:
        raise _bad(f"`{name}` is a whole number from {low} to {high}, not {text[:20]!r}")
    return int(text[:9])


def _values(query: Query) -> dict[str, object]:
    given: dict[str, object] = {name: query.get(name) for name in query.names() if query.get(name)}
    for name in LISTS:
        if name not in given:
            continue
        text = query.get(name)
        try:
            given[name] = json.loads(text) if len(text) <= LIST_CHARS_MAX else None
        except (ValueError, RecursionError):
            given[name] = query.all(name)  # repeated values, as other services have them
        if not isinstance(given[name], list):
            raise _bad(f"`{name}` is a JSON list of texts")
    return given


def _audio_format(query: Query) -> AudioFormat:
    name = query.get("encoding", "pcm_s16le")
    encoding = ENCODINGS.get(name)
    if encoding is None:
        raise _bad(f"`encoding` {name[:20]!r} cannot be decoded here; {', '.join(ENCODINGS)} can")
    if isinstance(encoding, Container) or not encoding.is_raw:
        return AudioFormat(encoding)
    return AudioFormat(encoding, whole(query, "sample_rate", RATE_MIN, RATE_MAX))


def _language(given: Mapping[str, object], default: str) -> str:
    """The language; `auto` for several, or when it has to be detected."""
    codes = given.get("language_codes", given.get("language_code"))
    if _flag("language_detection", given, False):
        return AUTO
    if codes is None:
        return default
    names = _list("language_codes", codes if isinstance(codes, list) else [codes])[:20]
    found = []
    for name in names:
        code = read_language(name) if isinstance(name, str) else None
        if code is None:
            raise _bad(f"the language {_shown(name)!r} is not known; leave it out, or give a code such as en")
        found.append(code)
    return found[0] if len(set(found)) == 1 else AUTO


def _refuse_impossible(given: Mapping[str, object]) -> None:
    for name in REFUSED:
        value = given.get(name)
        if value not in (None, False) and not (isinstance(value, str) and value.lower() in FALSE):
            raise _bad(f"`{name}` is not possible on this server; leave it out")


def _list(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise _bad(f"`{name}` is a list of texts")
    return value


def _flag(name: str, given: Mapping[str, object], default: bool) -> bool:
    value = given.get(name)
    if value is None:
        return default
    text = _shown(value).lower()
    if text not in (*TRUE, *FALSE):
        raise _bad(f"`{name}` is true or false, not {text!r}")
    return text in TRUE


def _milliseconds(name: str, value: object, default: int) -> int:
    return int(_number(name, {name: value}, SILENCE_MS_MAX, default))


def _number(name: str, given: Mapping[str, object], most: float, default: float) -> float:
    value = given.get(name)
    if value is None:
        return default
    try:
        number = float(value) if isinstance(value, str | int | float) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if isinstance(value, bool) or not 0 <= number <= most:
        raise _bad(f"`{name}` is a number from 0 to {most:g}, not {_shown(value)!r}")
    return number


def _shown(value: object) -> str:
    return str(value)[:20] if isinstance(value, str | int | float) else type(value).__name__


def _bad(message: str) -> RequestError:
    return RequestError("bad_request", message, 400)
