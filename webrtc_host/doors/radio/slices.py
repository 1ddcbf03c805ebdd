"""The datagrams of trunk-recorder's plugin simplestream: read one into a `Slice`. Pure.

A datagram is signed 16-bit little-endian mono samples behind a head: four bytes of length and so much JSON
(`sendJSON`), or the talkgroup in four bytes (`sendTGID`); numbers are little-endian. Without a head the
talkgroup is not known, so such datagrams are refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from host_stt.contract import Float32Array
from webrtc_host.doors.radio.calls import real, whole, words
from webrtc_host.media.resample import RATE_MAX, RATE_MIN

HEAD_BYTES = 4
JSON_BYTES_MAX = 8 * 1024
RATE = 8000
"""Of a datagram that names no rate: what trunk-recorder sends for digital radio."""
FULL_SCALE = np.float32(1 / 32768)


class BadSlice(ValueError):
    """Why a datagram cannot be read."""


class SliceEvent(StrEnum):
    AUDIO = "audio"
    CALL_START = "call_start"
    CALL_END = "call_end"


@dataclass(frozen=True, slots=True)
class Slice:
    """samples: (n,) float32 at `rate`; empty for the start and the end of a call."""

    talkgroup: int
    system: str | None  # the short name; None: the datagram does not say it
    event: SliceEvent
    samples: Float32Array
    rate: int = RATE
    label: str | None = None  # of the talkgroup
    source: int | None = None  # the radio that sends
    source_label: str | None = None


def read_slice(data: bytes, is_known: Callable[[int], bool]) -> Slice:
    """is_known: whether a talkgroup is in the configuration. Raises BadSlice.

    A datagram with the talkgroup alone is accepted only when `is_known`: four bytes of audio look the same.
    """
    if len(data) < HEAD_BYTES:
        raise BadSlice("it is shorter than its head")
    number, rest = int.from_bytes(data[:HEAD_BYTES], "little"), data[HEAD_BYTES:]
    if (
        2 <= number <= min(len(rest), JSON_BYTES_MAX)
        and rest[:1] == b"{"
        and rest[number - 1 : number] == b"}"
    ):
        return _with_json(rest[:number], rest[number:])
    if not is_known(number):
        raise BadSlice("it has no JSON and no known talkgroup in front of its audio")
    return Slice(number, None, SliceEvent.AUDIO, _samples(rest))


def _with_json(head: bytes, audio: bytes) -> Slice:
    try:
        body = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise BadSlice("its JSON is broken") from error
    talkgroup = whole(body.get("talkgroup"))
    if talkgroup is None:
        raise BadSlice("its JSON has no talkgroup")
    try:
        event = SliceEvent(body.get("event", SliceEvent.AUDIO))
    except ValueError as error:
        raise BadSlice("its event is unknown") from error
    rate = real(body.get("audio_sample_rate", RATE))
    if rate is None or not RATE_MIN <= rate <= RATE_MAX:
        raise BadSlice("its sample rate is not possible")
    is_audio = event is SliceEvent.AUDIO
    return Slice(
        talkgroup,
        words(body.get("short_name")),
        event,
        _samples(audio) if is_audio else np.zeros(0, np.float32),
        int(rate),
        words(body.get("talkgroup_tag")),
        whole(body.get("src")),
        words(body.get("src_tag")),
    )


def _samples(audio: bytes) -> Float32Array:
    if not audio or len(audio) % 2:
        raise BadSlice("it has no whole samples")
    return np.frombuffer(audio, "<i2").astype(np.float32) * FULL_SCALE
