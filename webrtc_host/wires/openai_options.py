"""The session of OpenAI's Realtime transcription: its settings, as the client gives them and gets them. Pure.

An update changes only what it has; null clears. What this server cannot do is accepted and left out of the
settings in force, which the client gets back. A value that makes no sense is refused, and nothing changes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from host_stt_common.languages import AUTO, read_language
from webrtc_host.errors import RequestError
from webrtc_host.media.encodings import AudioFormat, Encoding

PCM_RATE = 24_000
RATE_MIN, RATE_MAX = 8_000, 96_000
LIVE_MODELS = ("gpt-live-transcribe", "gpt-realtime-whisper")
"""With these names the client commits, and there is no turn detection."""
TERMS_MAX = 100
TERM_CHARS_MAX = 200
PROMPT_CHARS_MAX = 8_000
TERM_WORDS_MAX = 4
"""A longer part of a prompt is a sentence, not a term."""
PADDING_MS_MAX, SILENCE_MS_MAX = 5_000, 60_000
EAGERNESS_MS = {"low": 1_000, "medium": 500, "auto": 500, "high": 0}
"""Silence that ends a turn of `semantic_vad`; never less than the server's own."""


class Delay(Enum):
    """How much text waits: (interims that must agree, last words held back). None: final lines only."""

    MINIMAL = (2, 1)
    LOW = (2, 2)
    MEDIUM = (3, 2)
    HIGH = (3, 4)
    XHIGH = None


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """The server ends a turn after so much silence."""

    silence_ms: int = 500
    padding_ms: int = 300
    """The audio before a turn, by which its start is given earlier."""
    eagerness: str | None = None
    """Of `semantic_vad`; None: `server_vad`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force. given_model: the client's name for the model; any name is accepted."""

    format: AudioFormat = AudioFormat(Encoding.S16, PCM_RATE)
    given_model: str | None = None
    language: str = AUTO
    terms: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    prompt: str | None = None
    delay: Delay = Delay.MEDIUM
    wanted_turns: TurnDetection | None = TurnDetection()
    """What the client or the protocol's default asks for; see `turns`."""

    @property
    def is_live_model(self) -> bool:
        return self.given_model in LIVE_MODELS

    @property
    def turns(self) -> TurnDetection | None:
        """The turn detection in force; None: the client commits."""
        return None if self.is_live_model else self.wanted_turns

    def body(self, model: str, hangover_ms: int) -> dict[str, Any]:
        """`audio.input` as the client gets it. model: the real one. hangover_ms: the server's own silence."""
        return {
            "format": _format_body(self.format),
            "noise_reduction": None,
            "transcription": {
                "model": model,
                "language": None if self.language == AUTO else self.language,
                "keywords": list(self.keywords) or None,
                "prompt": self.prompt,
                "delay": self.delay.name.lower(),
            },
            "turn_detection": None if self.turns is None else _turns_body(self.turns, hangover_ms),
        }


def updated(settings: Settings, session: object) -> Settings:
    """The settings after an update. Raises RequestError 400; its code is the parameter's path."""
    body = _object("session", session)
    kind = body.get("type", "transcription")
    if kind not in ("transcription", "realtime"):
        raise _bad("session.type", "is `transcription`")
    given = _object("session.audio.input", _object("session.audio", body.get("audio")).get("input"))
    if "format" in given:
        settings = replace(settings, format=_format(given["format"]))
    if "transcription" in given:
        settings = _transcription(settings, given["transcription"])
    if "turn_detection" in given:
        settings = replace(settings, wanted_turns=_turns(given["turn_detection"]))
    return settings


def _transcription(settings: Settings, value: object) -> Settings:
    """With the fields that are given. Null: all fields have their defaults."""
    path = "session.audio.input.transcription"
    if value is None:
        value = {"model": None, "language": None, "keywords": None, "prompt": None, "delay": None}
    given = _object(path, value)
    if "model" in given:
        settings = replace(settings, given_model=_text(f"{path}.model", given["model"], 200))
    if "language" in given or "languages" in given:
        settings = replace(settings, language=_language(path, given))
    if "delay" in given:
        settings = replace(settings, delay=_delay(f"{path}.delay", given["delay"]))
    if "keywords" in given:
        settings = replace(settings, keywords=_keywords(f"{path}.keywords", given["keywords"]))
    if "prompt" in given:
        settings = replace(settings, prompt=_text(f"{path}.prompt", given["prompt"], PROMPT_CHARS_MAX))
    terms = (*settings.keywords, *terms_of_prompt(settings.prompt or ""))
    return replace(settings, terms=tuple(dict.fromkeys(terms))[:TERMS_MAX])


def terms_of_prompt(prompt: str) -> list[str]:
    """The parts of a prompt that are terms: short, between commas or line breaks. Sentences are no terms."""
    parts = (" ".join(part.split()).strip(" .\"'") for part in re.split(r"[,;\n、，]", prompt))
    return [
        part
        for part in parts
        if part
        and len(part.split()) <= TERM_WORDS_MAX
        and len(part) <= TERM_CHARS_MAX // 2
        and part.isprintable()
        and any(map(str.isalnum, part))
    ]


def _language(path: str, given: Mapping[str, Any]) -> str:
    """One language, or `auto` for none and for several."""
    if (text := _text(f"{path}.language", given.get("language"), 50)) is not None:
        return _known(f"{path}.language", text)
    several = given.get("languages") or []
    if not isinstance(several, list) or len(several) > 100:
        raise _bad(f"{path}.languages", "is a list of codes")
    codes = {_known(f"{path}.languages", str(one)[:50]) for one in several}
    return codes.pop() if len(codes) == 1 else AUTO


def _known(path: str, text: str) -> str:
    code = read_language(text)
    if code is None:
        raise _bad(path, f"has {text[:20]!r}, which is no known language; give a code such as en or ko")
    return code


def _delay(path: str, value: object) -> Delay:
    if value is None:
        return Delay.MEDIUM
    try:
        return Delay[str(value).upper()]
    except KeyError:
        raise _bad(path, "is one of minimal, low, medium, high and xhigh") from None


def _keywords(path: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > TERMS_MAX:
        raise _bad(path, f"is a list of at most {TERMS_MAX} texts")
    for one in value:
        if not isinstance(one, str) or len(one) > TERM_CHARS_MAX or not one.isprintable():
            raise _bad(path, f"has texts of at most {TERM_CHARS_MAX} printable characters")
    return tuple(dict.fromkeys(one.strip() for one in value if one.strip()))


def _turns(value: object) -> TurnDetection | None:
    path = "session.audio.input.turn_detection"
    if value is None:
        return None
    given = _object(path, value)
    match given.get("type", "server_vad"):
        case "server_vad":
            silence = _whole(f"{path}.silence_duration_ms", given.get("silence_duration_ms"), 500)
            padding = _whole(f"{path}.prefix_padding_ms", given.get("prefix_padding_ms"), 300)
            return TurnDetection(min(silence, SILENCE_MS_MAX), min(padding, PADDING_MS_MAX))
        case "semantic_vad":
            eagerness = str(given.get("eagerness") or "auto")
            if eagerness not in EAGERNESS_MS:
                raise _bad(f"{path}.eagerness", "is one of low, medium, high and auto")
            return TurnDetection(EAGERNESS_MS[eagerness], eagerness=eagerness)
    raise _bad(f"{path}.type", "is `server_vad` or `semantic_vad`; null turns it off")


def _turns_body(turns: TurnDetection, hangover_ms: int) -> dict[str, Any]:
    if turns.eagerness is not None:
        return {"type": "semantic_vad", "eagerness": turns.eagerness}
    silence_ms = max(turns.silence_ms, hangover_ms)
    times = {"prefix_padding_ms": turns.padding_ms, "silence_duration_ms": silence_ms}
    return {"type": "server_vad", "threshold": 0.5, **times}


def _format(value: object) -> AudioFormat:
    path = "session.audio.input.format"
    if value is None:
        return AudioFormat(Encoding.S16, PCM_RATE)
    given = _object(path, value)
    match given.get("type"):
        case "audio/pcm":
            rate = _whole(f"{path}.rate", given.get("rate"), PCM_RATE)
            if not RATE_MIN <= rate <= RATE_MAX:
                raise _bad(f"{path}.rate", f"lies between {RATE_MIN} and {RATE_MAX}")
            return AudioFormat(Encoding.S16, rate)
        case "audio/pcmu":
            return AudioFormat(Encoding.ULAW, 8_000)
        case "audio/pcma":
            return AudioFormat(Encoding.ALAW, 8_000)
    raise _bad(f"{path}.type", "is audio/pcm, audio/pcmu or audio/pcma")


def _format_body(audio: AudioFormat) -> dict[str, Any]:
    if audio.encoding is Encoding.S16:
        return {"type": "audio/pcm", "rate": audio.sample_rate}
    return {"type": "audio/pcmu" if audio.encoding is Encoding.ULAW else "audio/pcma"}


def _object(path: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad(path, "is an object")
    return value


def _text(path: str, value: object, chars_max: int) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > chars_max:
        raise _bad(path, f"is text of at most {chars_max} characters")
    return value


def _whole(path: str, value: object, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10_000_000:
        raise _bad(path, "is a whole number, not negative")
    return int(value)


def _bad(path: str, what: str) -> RequestError:
    """The code is the parameter's path: OpenAI's errors have it as `param`."""
    return RequestError(path, f"`{path}` {what}", 400)
