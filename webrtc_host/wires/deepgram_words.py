"""What Deepgram's messages share: words, seconds, close codes. Pure."""

from __future__ import annotations

from typing import Any

from host_stt.contract import RequestError
from webrtc_host.events import TimedWord
from webrtc_host.wires.estimates import UNKNOWN_CONFIDENCE

MODEL_UUID = "00000000-0000-0000-0000-000000000000"


def close_of(error: RequestError) -> tuple[int, str]:
    """The close code and the reason, in Deepgram's codes."""
    if error.code in ("bad_audio", "bad_frame", "not_finite", "too_large"):
        return 1008, f"DATA-0000 {error.message}"
    if error.code == "idle":
        return 1011, f"NET-0001 {error.message}"
    if error.status < 500 and error.retry_after_s is None:
        return 1008, error.message
    return 1011, f"NET-0000 {error.message}"


def word_of(word: TimedWord) -> dict[str, Any]:
    bare = word.text.strip(".,!?;:\"'()[]…。、，？！").lower()
    return {
        "word": bare or word.text,
        "punctuated_word": word.text,
        "start": seconds_of(word.start_ms),
        "end": seconds_of(word.end_ms),
        "confidence": UNKNOWN_CONFIDENCE if word.p is None else word.p,
    }


def seconds_of(ms: int) -> float:
    return ms / 1000
