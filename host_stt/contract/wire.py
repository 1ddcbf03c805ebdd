"""The wire format of `GET /v1/windows`: binary frames for windows, JSON for results, and back.

Each window is a binary frame, and each result a JSON text frame; they are matched by `id` and come in any
order. Whatever cannot be read raises ContractError, with the id of the window when that could be read.
"""

from __future__ import annotations

import json
import struct
from typing import Any, TypeGuard

import numpy as np

from host_stt.contract.messages import (
    SAMPLE_RATE,
    WINDOW_SAMPLES_MAX,
    Answer,
    Check,
    ContractError,
    EndReason,
    Priority,
    Segment,
    Transcript,
    Unread,
    UnreadReason,
    Window,
    WindowError,
    Word,
)

WIRE_VERSION = 1
MAGIC = b"HSTW"
HEADER = struct.Struct("<4sHHI")  # magic, wire version, reserved, length of the JSON header in bytes
HEADER_BYTES_MAX = 512 * 1024
FRAME_BYTES_MAX = HEADER.size + HEADER_BYTES_MAX + 4 * WINDOW_SAMPLES_MAX

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
            **({} if window.echo_guard else {"echo_guard": False}),
            **({"is_careful": True} if window.is_careful else {}),
            **({"may_change_language": True} if window.may_change_language else {}),
            **({"is_noisy": True} if window.is_noisy else {}),
            **({"is_joined": True} if window.is_joined else {}),
            **({"known_text": window.known_text} if window.known_text else {}),
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
    check = Check(window_id[:64])
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
            echo_guard=header.get("echo_guard") is not False,
            is_careful=header.get("is_careful") is True,
            may_change_language=header.get("may_change_language") is True,
            is_noisy=header.get("is_noisy") is True,
            is_joined=header.get("is_joined") is True,
            known_text=_text(header, "known_text") if "known_text" in header else "",
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
            **({} if answer.gain is None else {"gain": round(answer.gain, 4)}),
            **({"has_less_noise": True} if answer.has_less_noise else {}),
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
            gain=body.get("gain"),
            has_less_noise=body.get("has_less_noise") is True,
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
