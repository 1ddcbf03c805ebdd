"""The messages between 8082 and 8081: windows of audio in, transcripts out, and the form of errors.

The only module of this package that both import; uses numpy and the standard library only. Defines the wire
format of `GET /v1/windows` and the limits of both sides. Each window is a binary frame, and each result a
JSON text frame; they are matched by `id` and come in any order. Knows no engines, sockets or time of day. A
window's samples have positions on its channel's 16 kHz timeline, and every time in a result is a sample index
on the same timeline.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Hertz. Whisper's rate, and the only one on this wire."""
WINDOW_SAMPLES_MAX = 30 * SAMPLE_RATE
"""Whisper decodes at most 30 s at a time."""
TERMS_MAX = 1_000
"""Glossary terms per window. Only the first 60 or so fit a prompt; AssemblyAI accepts lists of 1,000."""
TERM_CHARS_MAX = 200
HISTORY_CHARS_MAX = 4_000
WIRE_VERSION = 1
MAGIC = b"HSTW"
HEADER = struct.Struct("<4sHHI")  # magic, wire version, reserved, length of the JSON header in bytes
HEADER_BYTES_MAX = 512 * 1024
FRAME_BYTES_MAX = HEADER.size + HEADER_BYTES_MAX + 4 * WINDOW_SAMPLES_MAX
AUTO = "auto"

Samples = NDArray[np.int16] | NDArray[np.float32]
Float32Array = NDArray[np.float32]


class RequestError(Exception):
    """An error of the caller: a stable `code` for programs, a sentence for people, an HTTP status."""

    def __init__(
        self, code: str, message: str, status: int = 400, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


class ContractError(RequestError):
    """A frame or a field is not valid. `window_id` is empty if the frame's id could not be read."""

    def __init__(self, code: str, message: str, status: int = 422, *, window_id: str = "") -> None:
        super().__init__(code, message, status)
        self.window_id = window_id


def error_body(code: str, message: str) -> dict[str, Any]:
    """The body of every error response on both ports."""
    return {"error": {"code": code, "message": message}}


BEHIND = "behind"
"""Error code of a final that waited longer than `Window.start_within_ms`: it is to be decoded later."""


class Priority(StrEnum):
    INTERIM = "interim"  # may be replaced by a newer one of its channel, or shed
    FINAL = "final"  # never dropped
    BACKGROUND = "background"  # like a final, but decoded only while no live window waits: files

    @property
    def is_final(self) -> bool:
        """True if its text will not change: decoded with words, and never replaced."""
        return self is not Priority.INTERIM


class EndReason(StrEnum):
    """Why decoding of a window stopped."""

    COMPLETE = "complete"  # the model ended its text
    TOKEN_CAP = "token_cap"  # the text was cut off, because it was too long for audio of this length
    NO_SPEECH = "no_speech"  # no speech, or a guard rejected the text as not spoken


@dataclass(frozen=True, slots=True)
class Window:
    """A range of one channel's audio to decode.

    samples: (n,) int16 or float32 in [-1, 1], 16 kHz mono, 1 <= n <= WINDOW_SAMPLES_MAX, finite.
    Raises ContractError for an invalid field.
    """

    id: str
    channel: str
    samples: Samples
    start_sample: int  # of samples[0] on the channel's timeline
    priority: Priority
    language: str = AUTO  # "en", "ko", ... or "auto"
    terms: tuple[str, ...] = ()  # glossary, most important first
    history: str = ""  # committed words of the same utterance
    deadline_ms: int = 15_000  # from submission; after that the result is useless
    start_within_ms: int = 0
    """Of a final: the longest wait in 8081 until decoding begins. A longer wait gives the error `behind`, and
    8082 has the audio decoded later. 0: no limit.
    """
    is_second_decode: bool = False
    """True for the second decode of a hole. Set inside 8081 only; it is not part of the wire format."""

    def __post_init__(self) -> None:
        check = _Check(self.id)
        check(0 < len(self.id) <= 64, "bad_id", "a window needs an id of 1 to 64 characters")
        check(
            0 < len(self.channel) <= 64, "bad_channel", "a window needs a channel name of 1 to 64 characters"
        )
        check(self.samples.ndim == 1, "bad_samples", "samples must be one-dimensional (16 kHz mono)")
        check(self.samples.dtype in (np.int16, np.float32), "bad_samples", "samples must be int16 or float32")
        n = len(self.samples)
        check(n > 0, "empty_window", "a window must have at least one sample")
        check(
            n <= WINDOW_SAMPLES_MAX,
            "window_too_long",
            f"a window of {n / SAMPLE_RATE:.1f} s is over the limit of {WINDOW_SAMPLES_MAX // SAMPLE_RATE} s",
        )
        if self.samples.dtype == np.float32:
            check(bool(np.isfinite(self.samples).all()), "not_finite", "samples contain NaN or infinity")
        check(0 <= self.start_sample < 2**53, "bad_start", "start_sample must be a position from 0 on")
        check(
            0 < len(self.language) <= 8, "unknown_language", f"{self.language[:20]!r} is not a language code"
        )
        check(
            len(self.terms) <= TERMS_MAX,
            "too_many_terms",
            f"{len(self.terms)} glossary terms; {TERMS_MAX} at most",
        )
        for term in self.terms:
            check(len(term) <= TERM_CHARS_MAX, "term_too_long", f"a glossary term of {len(term)} characters")
        check(
            len(self.history) <= HISTORY_CHARS_MAX,
            "history_too_long",
            f"history of {len(self.history)} characters",
        )
        check(
            0 <= self.start_within_ms <= 600_000, "bad_limit", "start_within_ms must be between 0 and 600000"
        )
        check(0 < self.deadline_ms <= 600_000, "bad_deadline", "deadline_ms must be between 1 and 600000")

    def as_float32(self) -> Float32Array:
        """(n,) float32 in [-1, 1]."""
        if self.samples.dtype == np.int16:
            return self.samples.astype(np.float32) / np.float32(32768)
        return self.samples.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class _Check:
    window_id: str

    def __call__(self, holds: bool, code: str, message: str) -> None:
        if not holds:
            raise ContractError(code, message, window_id=self.window_id)


@dataclass(frozen=True, slots=True)
class Word:
    text: str  # the model's text, without the space in front
    start_sample: int
    end_sample: int
    probability: float
    leading_space: bool = True  # False: joined to the word before it (Korean particles, punctuation)


@dataclass(frozen=True, slots=True)
class Segment:
    text: str
    start_sample: int
    end_sample: int
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    words: tuple[Word, ...] = ()  # only for finals; interims have no words


class UnreadReason(StrEnum):
    """Why speech has no words."""

    NO_WORDS = "no_words"  # it was decoded twice without a word
    NOT_READ_AGAIN = "not_read_again"  # the second decode was shed, failed, or was over its limits


@dataclass(frozen=True, slots=True)
class Unread:
    """Speech inside a window that no word covers."""

    start_sample: int
    end_sample: int
    reason: UnreadReason


@dataclass(frozen=True, slots=True)
class Transcript:
    """The engine's result for one window. Times are on the channel's timeline, inside the window."""

    id: str
    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    end_reason: EndReason = EndReason.COMPLETE
    model: str = ""
    queue_ms: int = 0  # time in the queue of 8081
    decode_ms: int = 0  # decoding time of its batch
    unread: tuple[Unread, ...] = ()  # only for finals, in order; an older engine does not send it

    @property
    def text(self) -> str:
        return " ".join(s.text.strip() for s in self.segments if s.text.strip())

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(w for s in self.segments for w in s.words)


@dataclass(frozen=True, slots=True)
class WindowError:
    """An error for one window. The channel continues."""

    id: str
    code: str
    """Errors of the window: bad_*, too_*, unknown_language and others. Errors of the engine: shed,
    overloaded, engine_failed, engine_starting, engine_stopping.
    """
    message: str
    is_retryable: bool = False


Answer = Transcript | WindowError


# --- the wire -------------------------------------------------------------------------------------

_ENCODINGS: dict[str, np.dtype[Any]] = {"pcm_s16le": np.dtype("<i2"), "pcm_f32le": np.dtype("<f4")}


def encode_window(window: Window) -> bytes:
    """One binary frame: HEADER, JSON, raw little-endian samples."""
    encoding = "pcm_s16le" if window.samples.dtype == np.int16 else "pcm_f32le"
    header = json.dumps(
        {
            "id": window.id,
            "channel": window.channel,
            "encoding": encoding,
            "sample_rate": SAMPLE_RATE,
            "start_sample": window.start_sample,
            "priority": window.priority.value,
            "language": window.language,
            "terms": list(window.terms),
            "history": window.history,
            "deadline_ms": window.deadline_ms,
            "start_within_ms": window.start_within_ms,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    pcm = window.samples.astype(_ENCODINGS[encoding], copy=False)
    # The samples are not copied first: a copy of 320 kB would take longer than everything else here.
    samples = np.ascontiguousarray(pcm).data.cast("B") if len(pcm) else b""
    return b"".join((HEADER.pack(MAGIC, WIRE_VERSION, 0, len(header)), header, samples))


def decode_window(frame: bytes | memoryview) -> Window:
    """The Window in a binary frame. Raises ContractError, with the window's id if it could be read."""
    header, pcm = _split(frame)
    window_id = header.get("id")
    if not _is_text(window_id):
        raise ContractError("bad_id", "the header has no id")
    check = _Check(window_id[:64])
    check(header.get("sample_rate") == SAMPLE_RATE, "wrong_sample_rate", f"sample_rate must be {SAMPLE_RATE}")
    dtype = _ENCODINGS.get(str(header.get("encoding")))
    if dtype is None:
        raise ContractError(
            "bad_encoding", "encoding must be pcm_s16le or pcm_f32le", window_id=check.window_id
        )
    check(len(pcm) % dtype.itemsize == 0, "truncated", "the samples end in the middle of one")
    try:
        return Window(
            id=window_id,
            channel=_text(header, "channel"),
            samples=np.frombuffer(pcm, dtype=dtype),
            start_sample=_integer(header, "start_sample"),
            priority=Priority(_text(header, "priority")),
            language=_text(header, "language"),
            terms=_texts(header, "terms"),
            history=_text(header, "history"),
            deadline_ms=_integer(header, "deadline_ms"),
            start_within_ms=_integer(header, "start_within_ms") if "start_within_ms" in header else 0,
        )
    except ContractError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError("bad_header", _header_fault(error), window_id=check.window_id) from error


def _header_fault(error: Exception) -> str:
    """The error as a sentence: a missing field, a wrong type (text from this module), or a wrong value."""
    if isinstance(error, KeyError):
        return f"the header has no {error.args[0]}"
    if isinstance(error, TypeError):
        return f"the header is not valid: {error}"
    return f"the header is not valid: priority must be one of {', '.join(Priority)}"


def _split(frame: bytes | memoryview) -> tuple[dict[str, Any], memoryview]:
    view = memoryview(frame)
    if len(view) < HEADER.size:
        raise ContractError(
            "truncated",
            f"a frame of {len(view)} bytes is shorter than the {HEADER.size} bytes of its head",
            400,
        )
    magic, version, _, length = HEADER.unpack(view[: HEADER.size])
    if magic != MAGIC:
        raise ContractError("not_a_window", "the frame does not begin with the magic bytes of a window", 400)
    if version != WIRE_VERSION:
        raise ContractError("wrong_version", f"wire version {version}; this side uses {WIRE_VERSION}", 400)
    end = HEADER.size + length
    if length > HEADER_BYTES_MAX or end > len(view):
        raise ContractError(
            "truncated",
            f"the header should have {length} bytes, the frame has {len(view) - HEADER.size}",
            400,
        )
    try:
        header = json.loads(bytes(view[HEADER.size : end]))
    except (ValueError, RecursionError) as error:
        raise ContractError("bad_header", "the header is not JSON", 400) from error
    if not isinstance(header, dict):
        raise ContractError("bad_header", "the header is not a JSON object", 400)
    return header, view[end:]


def _is_text(value: object) -> TypeGuard[str]:
    """True for a string that can be written as UTF-8; JSON may contain half of a surrogate pair."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _text(header: dict[str, Any], key: str) -> str:
    value: object = header[key]
    if not _is_text(value):
        raise TypeError(f"{key} must be text")
    return value


def _integer(header: dict[str, Any], key: str) -> int:
    value = header[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{key} must be a whole number")
    return value


def _texts(header: dict[str, Any], key: str) -> tuple[str, ...]:
    value = header[key]
    if not isinstance(value, list) or not all(_is_text(item) for item in value):
        raise TypeError(f"{key} must be a list of texts")
    return tuple(value)


def encode_answer(answer: Answer) -> str:
    """One JSON text frame."""
    if isinstance(answer, WindowError):
        body: dict[str, Any] = {
            "type": "error",
            "id": answer.id,
            "code": answer.code,
            "message": answer.message,
            "retryable": answer.is_retryable,
        }
    else:
        body = {
            "type": "transcript",
            "id": answer.id,
            "language": answer.language,
            "language_probability": round(answer.language_probability, 4),
            "avg_logprob": round(answer.avg_logprob, 4),
            "no_speech_prob": round(answer.no_speech_prob, 4),
            "compression_ratio": round(answer.compression_ratio, 3),
            "end_reason": answer.end_reason.value,
            "model": answer.model,
            "queue_ms": answer.queue_ms,
            "decode_ms": answer.decode_ms,
            "segments": [_segment_body(s) for s in answer.segments],
            "unread": [[u.start_sample, u.end_sample, u.reason.value] for u in answer.unread],
        }
    return json.dumps({"v": WIRE_VERSION, **body}, ensure_ascii=False, separators=(",", ":"))


def _segment_body(segment: Segment) -> dict[str, Any]:
    return {
        "text": segment.text,
        "start_sample": segment.start_sample,
        "end_sample": segment.end_sample,
        "avg_logprob": round(segment.avg_logprob, 4),
        "no_speech_prob": round(segment.no_speech_prob, 4),
        "compression_ratio": round(segment.compression_ratio, 3),
        "words": [
            [w.text, w.start_sample, w.end_sample, round(w.probability, 4), w.leading_space]
            for w in segment.words
        ],
    }


def decode_answer(text: str) -> Answer:
    """The result in a JSON text frame. Raises ContractError if it is not valid."""
    try:
        body = json.loads(text)
        if body["v"] != WIRE_VERSION:
            raise ContractError(
                "wrong_version", f"wire version {body['v']}; this side uses {WIRE_VERSION}", 400
            )
        if body["type"] == "error":
            return WindowError(body["id"], body["code"], body["message"], bool(body["retryable"]))
        return Transcript(
            id=body["id"],
            segments=tuple(_segment(s) for s in body["segments"]),
            language=body["language"],
            language_probability=body["language_probability"],
            avg_logprob=body["avg_logprob"],
            no_speech_prob=body["no_speech_prob"],
            compression_ratio=body["compression_ratio"],
            end_reason=EndReason(body["end_reason"]),
            model=body["model"],
            queue_ms=body["queue_ms"],
            decode_ms=body["decode_ms"],
            unread=tuple(Unread(a, b, UnreadReason(reason)) for a, b, reason in body.get("unread", ())),
        )
    except ContractError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError("bad_answer", "the engine's result is not valid", 400) from error


def _segment(body: dict[str, Any]) -> Segment:
    words = tuple(Word(text, start, end, p, space) for text, start, end, p, space in body["words"])
    return Segment(
        text=body["text"],
        start_sample=body["start_sample"],
        end_sample=body["end_sample"],
        avg_logprob=body["avg_logprob"],
        no_speech_prob=body["no_speech_prob"],
        compression_ratio=body["compression_ratio"],
        words=words,
    )
