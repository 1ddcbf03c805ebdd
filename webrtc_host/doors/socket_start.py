"""What a socket that brings sound says of it: the first message, or the address's query, read and checked.

Pure. Owns the fields and their bounds; the answer to a bad one is the socket's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from webrtc_host.channel import ChannelWish
from webrtc_host.doors.body import text_field
from webrtc_host.doors.wishes import wish_of
from webrtc_host.errors import RequestError
from webrtc_host.seams import SAMPLES_PER_MS

TEXTS, NUMBERS = ("encoding", "session", "language", "label"), ("sample_rate", "start_ms")
"""The fields that an address may carry."""
RATE_MIN, RATE_MAX = 8_000, 48_000
BEHIND_MS_MAX = 10_000
"""Sound may have been captured so long ago: what a queue of speech detection holds."""
AHEAD_MS_MAX = 1_000
"""A caller's idea of the session's clock may be off by so much."""


class Encoding(StrEnum):
    S16 = "pcm_s16le"
    F32 = "pcm_f32le"
    ULAW = "mulaw"
    OPUS = "opus"  # one packet in each frame
    WEBM = "webm"
    OGG = "ogg"

    @property
    def is_raw(self) -> bool:
        """The sound does not say its own rate."""
        return self in (Encoding.S16, Encoding.F32, Encoding.ULAW)

    @property
    def is_container(self) -> bool:
        return self in (Encoding.WEBM, Encoding.OGG)


@dataclass(frozen=True, slots=True)
class AudioStart:
    encoding: Encoding
    sample_rate: int  # Hz; of raw samples
    session: str | None
    wish: ChannelWish
    start_sample: int | None  # of the first sample on the session's timeline; None: where it arrives
    resume: str | None = None  # the token of a client that fed the channel before


def read_start(text: str, channel_id: str) -> AudioStart:
    """Raises RequestError: 400 no such message, 415 an encoding that is not taken, 422 a bad value."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_start() from error
    if not isinstance(body, dict) or "encoding" not in body:
        raise _no_start()
    return _checked(body, channel_id)


def start_of_query(query: Mapping[str, str], channel_id: str) -> AudioStart | None:
    """The same from the address, for pipes that can send nothing but sound; None: a message will follow.

    Raises as `read_start`.
    """
    if "encoding" not in query:
        return None
    body: dict[str, Any] = {name: query[name] for name in TEXTS if query.get(name)}
    for name in NUMBERS:
        text = query.get(name, "")
        if text:
            body[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text
    return _checked(body, channel_id)


def _checked(body: dict[str, Any], channel_id: str) -> AudioStart:
    encoding = _encoding(body["encoding"])
    return AudioStart(
        encoding=encoding,
        sample_rate=_rate(body.get("sample_rate"), encoding),
        session=text_field(body, "session", 64),
        wish=wish_of({**body, "channel": channel_id}),
        start_sample=_start(body.get("start_ms")),
        resume=text_field(body, "resume", 200),
    )


def check_start(start_sample: int | None, now_sample: int) -> None:
    """Raises RequestError 422 when it is too far from the present."""
    if start_sample is None:
        return
    behind_ms = (now_sample - start_sample) // SAMPLES_PER_MS
    if not -AHEAD_MS_MAX <= behind_ms <= BEHIND_MS_MAX:
        raise RequestError(
            "bad_field",
            f"`start_ms` lies {behind_ms} ms before the session's present; {BEHIND_MS_MAX} at most. "
            "Older sound goes to /push",
            422,
        )


def _encoding(value: Any) -> Encoding:
    try:
        return Encoding(value)
    except ValueError as error:
        known = ", ".join(encoding.value for encoding in Encoding)
        raise RequestError(
            "unknown_encoding", f"`encoding` is {str(value)[:20]!r}; it must be one of {known}", 415
        ) from error


def _rate(value: Any, encoding: Encoding) -> int:
    if value is None and not encoding.is_raw:
        return RATE_MAX
    if not isinstance(value, int) or isinstance(value, bool) or not RATE_MIN <= value <= RATE_MAX:
        raise RequestError(
            "bad_field", f"`sample_rate` must be a whole number of Hz, {RATE_MIN} to {RATE_MAX}", 422
        )
    return value


def _start(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
        raise RequestError(
            "bad_field", "`start_ms` must be whole milliseconds since the session's t = 0", 422
        )
    return value * SAMPLES_PER_MS


def _no_start() -> RequestError:
    return RequestError(
        "no_start",
        'the first message must be JSON such as {"encoding": "pcm_s16le", "sample_rate": 16000}',
        400,
    )
