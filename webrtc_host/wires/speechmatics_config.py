"""The settings of Speechmatics' `StartRecognition` and `SetRecognitionConfig`, with their limits. Pure.

Settings that change the text are refused; the others that this server cannot follow are ignored. The codes of
the errors are the types of Speechmatics' `Error`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from host_stt.contract import TERM_CHARS_MAX
from host_stt_common.languages import AUTO, read_language
from webrtc_host.errors import RequestError
from webrtc_host.glossary.entries import MisheardTerm
from webrtc_host.media.encodings import AudioFormat, Container, Encoding
from webrtc_host.wires.deepgram_query import RATE_MAX, RATE_MIN, checked_terms

LABELS_MAX = 64
LABEL_CHARS_MAX = 100
TRIGGER_S_MAX = 60.0
SOUNDS_MAX = 200
"""Texts of all `sounds_like` together."""
ENCODINGS = {"pcm_s16le": Encoding.S16, "pcm_f32le": Encoding.F32, "mulaw": Encoding.ULAW}
MIXED = ("ar_en", "cmn_en", "cmn_en_ms_ta", "en_ms", "en_ta")
"""Their packs of several languages."""
DIARIZATIONS = {"none": False, "speaker": False, "channel": True, "channel_and_speaker": True}
"""Whether the audio comes in channels (`AddChannelAudio`)."""


@dataclass(frozen=True, slots=True)
class Config:
    audio: AudioFormat
    language: str = AUTO
    is_multichannel: bool = False
    labels: tuple[str, ...] = ()
    """Names of the channels; empty where the audio names them."""
    terms: tuple[str, ...] = ()
    misheard: tuple[MisheardTerm, ...] = ()
    """Those of `terms` that have `sounds_like`."""
    has_partials: bool = False
    trigger_ms: int | None = None
    """Silence that `EndOfUtterance` needs; None: it is sent only when the client forces it."""

    def changed(self, given: Mapping[str, object]) -> Config:
        """With the values of a later `transcription_config`. Raises RequestError 400."""
        _refuse_impossible(given)
        has_trigger = "conversation_config" in given
        return replace(
            self,
            **(_vocabulary(given["additional_vocab"]) if "additional_vocab" in given else {}),
            has_partials=_flag(given, "enable_partials", self.has_partials),
            trigger_ms=_trigger(given["conversation_config"]) if has_trigger else self.trigger_ms,
        )


def config_of(message: Mapping[str, object], path_language: str) -> Config:
    """Of `StartRecognition`. path_language: of the address, or empty. Raises RequestError 400."""
    given = _object("transcription_config", message.get("transcription_config", {}))
    diarization = given.get("diarization", "none")
    if not isinstance(diarization, str) or diarization not in DIARIZATIONS:
        raise _bad(f"`diarization` is one of {', '.join(DIARIZATIONS)}")
    config = Config(
        _audio_format(_object("audio_format", message.get("audio_format", {"type": "file"}))),
        _language(given, path_language),
        DIARIZATIONS[diarization],
        _labels(given.get("channel_diarization_labels")) if DIARIZATIONS[diarization] else (),
    )
    return config.changed(given)


def language_named(name: str) -> str:
    """Whisper's code, or `auto`. Raises RequestError 400."""
    code = AUTO if name in MIXED else read_language(name)
    if code is None:
        raise RequestError("invalid_model", f"the language {name[:20]!r} is not known", 400)
    return code


def checked_label(label: object) -> str:
    """The name of a channel. Raises RequestError 400."""
    if not isinstance(label, str) or not 0 < len(label) <= LABEL_CHARS_MAX or not label.isprintable():
        raise _bad(f"a channel has a name of 1 to {LABEL_CHARS_MAX} printable characters")
    return label


def _audio_format(given: Mapping[str, object]) -> AudioFormat:
    if given.get("type") == "file":
        return AudioFormat(Container.ANY)
    name, rate = given.get("encoding"), given.get("sample_rate")
    if given.get("type") != "raw" or not isinstance(name, str) or name not in ENCODINGS:
        known = ", ".join(ENCODINGS)
        message = f"`audio_format` has the type `file`, or `raw` with an encoding of {known}"
        raise RequestError("invalid_audio_type", message, 400)
    if isinstance(rate, bool) or not isinstance(rate, int) or not RATE_MIN <= rate <= RATE_MAX:
        message = f"`sample_rate` is a whole number from {RATE_MIN} to {RATE_MAX}"
        raise RequestError("invalid_audio_type", message, 400)
    return AudioFormat(ENCODINGS[name], rate)


def _language(given: Mapping[str, object], path_language: str) -> str:
    """One language. For `auto`, `multi`, a pack of several languages, and several hints it is detected."""
    hints = given.get("language_hints")
    name = given.get("language") or path_language or AUTO
    if isinstance(hints, list) and hints:
        name = hints[0] if len(hints) == 1 else AUTO
    if not isinstance(name, str):
        raise RequestError("invalid_model", "`language` is a code such as en or ko", 400)
    return language_named(name)


def _labels(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not 0 < len(given) <= LABELS_MAX:
        raise _bad(f"`channel_diarization_labels` is a list of 1 to {LABELS_MAX} names")
    labels = tuple(checked_label(label) for label in given)
    if len(set(labels)) != len(labels):
        raise _bad("`channel_diarization_labels` has a name twice")
    return labels


def _vocabulary(given: object) -> dict[str, Any]:
    """`terms` and `misheard` of `additional_vocab`: texts, or objects with `content` and `sounds_like`."""
    if not isinstance(given, list):
        raise _bad("`additional_vocab` is a list")
    contents = [one.get("content") if isinstance(one, dict) else one for one in given]
    try:
        terms = checked_terms(contents)
    except RequestError as error:
        raise _bad(f"`additional_vocab`: {error.message}") from error
    heard_as: dict[str, list[str]] = {}
    for one in given:
        if isinstance(one, dict) and one["content"].strip() and one.get("sounds_like") is not None:
            heard_as.setdefault(one["content"].strip(), []).extend(_sounds(one["sounds_like"]))
    if sum(map(len, heard_as.values())) > SOUNDS_MAX:
        raise _bad(f"`additional_vocab` has more than {SOUNDS_MAX} texts in `sounds_like`")
    misheard = tuple(MisheardTerm(term, tuple(texts)) for term, texts in heard_as.items() if texts)
    return {"terms": terms, "misheard": misheard}


def _sounds(given: object) -> list[str]:
    """Texts without letters and digits can stand for nothing, so they are left out."""
    if not isinstance(given, list):
        raise _bad("`sounds_like` is a list of texts")
    if not all(isinstance(one, str) and len(one) <= TERM_CHARS_MAX and one.isprintable() for one in given):
        raise _bad(f"`sounds_like` has texts of at most {TERM_CHARS_MAX} printable characters")
    return [one.strip() for one in given if any(map(str.isalnum, one))]


def _trigger(given: object) -> int | None:
    seconds = _object("conversation_config", given).get("end_of_utterance_silence_trigger")
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= TRIGGER_S_MAX:
        raise _bad(f"`end_of_utterance_silence_trigger` is 0 to {TRIGGER_S_MAX:g} seconds")
    return round(seconds * 1000) or None


def _refuse_impossible(given: Mapping[str, object]) -> None:
    filtering = given.get("transcript_filtering_config")
    if isinstance(filtering, dict) and filtering.get("replacements"):
        raise _bad("`transcript_filtering_config.replacements` is not possible on this server; leave it out")


def _flag(given: Mapping[str, object], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise _bad(f"`{name}` is true or false")
    return value


def _object(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _bad(f"`{name}` is an object")
    return value


def _bad(message: str) -> RequestError:
    return RequestError("invalid_config", message, 400)
