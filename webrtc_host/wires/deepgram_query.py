"""The query of Deepgram's addresses, with the limits of its values. Pure.

Unknown parameters are ignored, as their service does. Known ones are refused where ignoring them would change
what the client relies on. `session` and `channel` are ours: where the text goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from host_stt_common.languages import AUTO, read_language
from webrtc_host.errors import RequestError
from webrtc_host.media.encodings import AudioFormat, Container, Encoding
from webrtc_host.wires.query import Query

RATE_MIN, RATE_MAX = 4_000, 192_000
CHANNELS_MAX = 20
TERMS_MAX = 100
TERM_CHARS_MAX = 200
TERM_TOKENS_MAX = 500
"""Deepgram's limit on all keyterms together. Whisper's prompt is shorter: the first terms count most."""
ENDPOINTING_MS = 10
"""Deepgram's default. Speech ends when the server's own hangover has passed, so this is the same."""
ENCODINGS: dict[str, Encoding | Container] = {
    "linear16": Encoding.S16,
    "linear32": Encoding.F32,
    "mulaw": Encoding.ULAW,
    "alaw": Encoding.ALAW,
    "opus": Encoding.OPUS,
    "ogg-opus": Container.OGG,
    "flac": Container.FLAC,
}
REFUSED = ("callback", "redact", "replace", "profanity_filter")
"""Parameters that change the text or where it goes. False and empty values are accepted."""


@dataclass(frozen=True, slots=True)
class Target:
    """What every address of Deepgram says about the channel."""

    session: str | None
    channel: str | None
    label: str
    language: str
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The parameters of `/v1/listen`."""

    target: Target
    audio: AudioFormat
    is_multichannel: bool
    has_interims: bool
    endpointing_ms: int | None  # None: no `speech_final`
    utterance_end_ms: int | None
    has_vad_events: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a turn of `/v2/listen` ends."""

    end: float = 0.7
    eager: float | None = None  # None: no eager events
    timeout_ms: int = 5000

    def changed(self, given: Mapping[str, object]) -> Thresholds:
        """With the given values in place of the present ones. Raises RequestError 400."""
        end = _in_range("eot_threshold", given.get("eot_threshold"), 0.5, 1.0)
        eager = _in_range("eager_eot_threshold", given.get("eager_eot_threshold"), 0.3, 0.9)
        timeout = _in_range("eot_timeout_ms", given.get("eot_timeout_ms"), 500, 60_000)
        return Thresholds(
            self.end if end is None else end,
            self.eager if eager is None else eager,
            self.timeout_ms if timeout is None else int(timeout),
        )


@dataclass(frozen=True, slots=True)
class TurnOptions:
    """The parameters of `/v2/listen`."""

    target: Target
    audio: AudioFormat
    thresholds: Thresholds
    hints: tuple[str, ...]


def live_options(query: Query) -> LiveOptions:
    """Of `/v1/listen`. Raises RequestError 400."""
    refuse_impossible(query)
    audio = audio_format(query)
    is_multichannel = flag(query, "multichannel")
    if is_multichannel and not (isinstance(audio.encoding, Encoding) and audio.encoding.is_raw):
        raise _bad("`multichannel` needs raw samples: linear16, linear32, mulaw or alaw")
    has_interims = flag(query, "interim_results")
    utterance_end = _whole(query, "utterance_end_ms", 1000, 5000)
    if utterance_end is not None and not has_interims:
        raise _bad("`utterance_end_ms` needs `interim_results=true`")
    return LiveOptions(
        target=target_of(query),
        audio=audio,
        is_multichannel=is_multichannel and audio.channels > 1,
        has_interims=has_interims,
        endpointing_ms=_endpointing(query.get("endpointing")),
        utterance_end_ms=utterance_end,
        has_vad_events=flag(query, "vad_events"),
    )


def turn_options(query: Query) -> TurnOptions:
    """Of `/v2/listen`. Raises RequestError 400."""
    refuse_impossible(query)
    names = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")
    thresholds = Thresholds().changed({name: query.get(name) for name in names if query.get(name)})
    hints = tuple(query.all("language_hint"))
    return TurnOptions(target_of(query), audio_format(query), thresholds, hints)


def audio_format(query: Query) -> AudioFormat:
    """Raises RequestError 400 for an encoding that cannot be decoded, and for a bad rate."""
    name = query.get("encoding")
    channels = _whole(query, "channels", 1, CHANNELS_MAX) or 1
    if not name:
        return AudioFormat(Container.ANY)
    encoding = ENCODINGS.get(name)
    if encoding is None:
        raise _bad(f"`encoding` {name[:20]!r} cannot be decoded here; {', '.join(ENCODINGS)} can")
    rate = _whole(query, "sample_rate", RATE_MIN, RATE_MAX)
    if isinstance(encoding, Container) or not encoding.is_raw:
        return AudioFormat(encoding)
    if rate is None:
        raise _bad(f"`encoding={name}` needs `sample_rate`, {RATE_MIN} to {RATE_MAX} Hz")
    return AudioFormat(encoding, rate, channels)


def target_of(query: Query) -> Target:
    """Raises RequestError 400 for an unknown language and for too many keyterms."""
    boosted = (word.rpartition(":")[0] or word for word in query.all("keywords"))
    terms = checked_terms([*query.all("keyterm"), *boosted])
    tags = query.all("tag")
    return Target(
        session=query.get("session") or None,
        channel=query.get("channel") or None,
        label=" ".join((tags[0] if tags else "Deepgram").split())[:200] or "Deepgram",
        language=_language(query),
        terms=terms,
    )


def checked_terms(given: Iterable[object]) -> tuple[str, ...]:
    """Keyterms without blanks and repetitions. Raises RequestError 400; code `too_many_terms` over a limit.

    A token is counted as three characters, so that the limit is about that of the service.
    """
    terms: dict[str, None] = {}
    for term in given:
        if not isinstance(term, str) or len(term) > TERM_CHARS_MAX or not term.isprintable():
            raise _bad(f"a keyterm is text of at most {TERM_CHARS_MAX} printable characters")
        if term.strip():
            terms[term.strip()] = None
    if len(terms) > TERMS_MAX or sum(-(-len(term) // 3) for term in terms) > TERM_TOKENS_MAX:
        raise RequestError(
            "too_many_terms",
            f"the keyterms have more than {TERM_TOKENS_MAX} tokens, or are more than {TERMS_MAX}",
            400,
        )
    return tuple(terms)


def flag(query: Query, name: str) -> bool:
    """Raises RequestError 400 for a value that is neither true nor false."""
    value = query.flag(name)
    if value is None:
        raise _bad(f"`{name}` is true or false, not {query.get(name)[:20]!r}")
    return value


def _language(query: Query) -> str:
    text = query.get("language")
    hints = query.all("language_hint")
    if not text and len(hints) == 1:
        text = hints[0]
    if text in ("", "multi") or query.flag("detect_language"):
        return AUTO
    code = read_language(text)
    if code is None:
        raise _bad(f"`language` {text[:20]!r} is not known; leave it out, or give a code such as en or ko")
    return code


def _endpointing(text: str) -> int | None:
    if text.lower() in ("", "true"):
        return ENDPOINTING_MS
    if text.lower() == "false":
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:9]) > 60_000:
        raise _bad(f"`endpointing` is false, or milliseconds up to 60000, not {text[:20]!r}")
    return int(text[:9])


def _whole(query: Query, name: str, low: int, high: int) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or not low <= int(text[:9]) <= high:
        raise _bad(f"`{name}` is a whole number from {low} to {high}, not {text[:20]!r}")
    return int(text[:9])


def _in_range(name: str, value: object, low: float, high: float) -> float | None:
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) else float("nan")
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not low <= number <= high:
        raise _bad(f"`{name}` is a number from {low:g} to {high:g}, not {str(value)[:20]!r}")
    return number


def refuse_impossible(query: Query) -> None:
    """Raises RequestError 400 for a parameter that this server cannot follow and may not ignore."""
    for name in REFUSED:
        if query.flag(name) is not False:
            raise _bad(f"`{name}` is not possible on this server; leave it out")


def _bad(message: str) -> RequestError:
    return RequestError("bad_request", message, 400)
