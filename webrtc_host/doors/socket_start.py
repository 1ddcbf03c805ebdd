"""The parameters of an audio socket: from the query of its address, from the first message, or from both.

Pure: the fields with their limits. The caller sends the error when a field is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from host_stt_common.plain import shown
from webrtc_host.doors.channel_specs import channel_spec_of
from webrtc_host.errors import RequestError
from webrtc_host.http.body import text_field
from webrtc_host.http.fields import check_fields, merged
from webrtc_host.media.encodings import Encoding as Encoding
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.session.channel import ChannelSpec

TEXTS = ("encoding", "session", "language", "label", "resume")
NUMBERS = ("sample_rate", "channels", "start_ms")
QUERY_FIELDS = (*TEXTS, *NUMBERS, "token")
"""The fields of an address; `token` is read before anything else."""
FIELDS = (*TEXTS, *NUMBERS, "glossary")
"""The fields of a first message."""
CHANNELS_MAX = 8
OPUS_CHANNELS_MAX = 2
RATE_MIN, RATE_MAX = 8_000, 48_000
BEHIND_MS_MAX = 10_000
"""The start of the audio may be this far in the past: as much as the queue of speech detection holds."""
AHEAD_MS_MAX = 1_000
"""The start of the audio may be this far in the future: the client's clock may be wrong."""


@dataclass(frozen=True, slots=True)
class AudioStart:
    """The checked parameters of one audio socket."""

    encoding: Encoding
    sample_rate: int  # Hz, for raw samples
    session: str | None
    spec: ChannelSpec
    start_sample: int | None  # of the first sample, on the session's timeline; None: at its arrival
    channels: int = 1  # of raw samples, interleaved
    resume: str | None = None  # resume token of a client that fed the channel before


def query_fields(query: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an address without the empty ones. Raises RequestError 422 for unknown fields."""
    check_fields(query, QUERY_FIELDS, "the address")
    body: dict[str, Any] = {name: query[name] for name in TEXTS if query.get(name)}
    for name in NUMBERS:
        text = query.get(name, "")
        if text:
            body[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text
    return body


def message_fields(text: str, known: Collection[str] = FIELDS) -> dict[str, Any]:
    """The fields of a first message. Raises RequestError: 400 for other text, 422 for an unknown field."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_start() from error
    if not isinstance(body, dict):
        raise no_start()
    check_fields(body, known, "the first message")
    return body


def start_of(fields: dict[str, Any], channel_id: str) -> AudioStart:
    """The checked parameters.

    RequestError: 400 without an encoding, 415 for an unknown one, 422 bad value.
    """
    if fields.get("encoding") is None:
        raise no_start()
    encoding = _encoding(fields["encoding"])
    return AudioStart(
        encoding=encoding,
        sample_rate=_rate(fields.get("sample_rate"), encoding),
        session=text_field(fields, "session", 64),
        spec=channel_spec_of({**fields, "channel": channel_id}),
        start_sample=_start(fields.get("start_ms")),
        channels=_channels(fields.get("channels"), encoding),
        resume=text_field(fields, "resume", 200),
    )


def check_late_message(text: str, address: Mapping[str, Any]) -> bool:
    """True when a text is a first message that came after the address had already started the feed.

    Raises RequestError 422 when it differs from the address, because it would have no effect.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(body, dict) or "type" in body or not body.keys() & set(FIELDS):
        return False
    check_fields(body, FIELDS, "the first message")
    merged(address, body)
    for name, value in body.items():
        if value is not None and name not in address:
            raise RequestError(
                "late_field",
                f"`{name}` came after the feed had begun, because the address has the `encoding`; "
                f"put `{name}` into the address too, or `encoding` into the message",
                422,
            )
    return True


def check_start(start_sample: int | None, now_sample: int) -> None:
    """Raises RequestError 422 when the start is too far from the present."""
    if start_sample is None:
        return
    behind_ms = (now_sample - start_sample) // SAMPLES_PER_MS
    if not -AHEAD_MS_MAX <= behind_ms <= BEHIND_MS_MAX:
        raise RequestError(
            "bad_field",
            f"`start_ms` is {behind_ms} ms before the session's present time; at most {BEHIND_MS_MAX} are "
            "possible. Send older audio to /push",
            422,
        )


def _encoding(value: Any) -> Encoding:
    try:
        return Encoding(value)
    except ValueError as error:
        known = ", ".join(encoding.value for encoding in Encoding)
        raise RequestError(
            "unknown_encoding", f"`encoding` is {shown(value)}; it must be one of {known}", 415
        ) from error


def _rate(value: Any, encoding: Encoding) -> int:
    if value is None and not encoding.is_raw:
        return RATE_MAX
    if not isinstance(value, int) or isinstance(value, bool) or not RATE_MIN <= value <= RATE_MAX:
        raise RequestError(
            "bad_field", f"`sample_rate` must be a whole number of Hz, {RATE_MIN} to {RATE_MAX}", 422
        )
    return value


def _channels(value: Any, encoding: Encoding) -> int:
    if value is None:
        return 1
    most = CHANNELS_MAX if encoding.is_raw else OPUS_CHANNELS_MAX
    if encoding.is_container:
        raise RequestError(
            "bad_field",
            f"`channels` is {str(value)[:20]}, but {encoding.value} contains the number of its channels; "
            "leave `channels` out",
            422,
        )
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise RequestError(
            "bad_field",
            f"`channels` is {shown(value)}; with {encoding.value} it must be a whole number, 1 to {most}",
            422,
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


def no_start() -> RequestError:
    return RequestError(
        "no_start",
        'the first message must be JSON such as {"encoding": "pcm_s16le", "sample_rate": 16000}',
        400,
    )
