"""The frames of the Wyoming protocol: events with data and a payload. Pure.

An event is a line of JSON, then `data_length` bytes of JSON, then `payload_length` bytes. `lengths_of` reads
the line, so that the socket knows how much follows; `read_event` reads the whole frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webrtc_host.errors import RequestError

LINE_BYTES_MAX = 64 * 1024
DATA_BYTES_MAX = 256 * 1024
PAYLOAD_BYTES_MAX = 256 * 1024
"""Audio in one event; 8 s of 16 kHz samples."""
VERSION = "1.10.2"
"""Of the protocol's own library, whose events these are."""
TYPE_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    payload: bytes = b""

    def frame(self) -> bytes:
        """The event as it is sent."""
        head: dict[str, Any] = {"type": self.type, "version": VERSION}
        data = json.dumps(self.data, ensure_ascii=False).encode() if self.data else b""
        if data:
            head["data_length"] = len(data)
        if self.payload:
            head["payload_length"] = len(self.payload)
        return json.dumps(head).encode() + b"\n" + data + self.payload


def lengths_of(line: bytes) -> tuple[int, int]:
    """(bytes of data, bytes of payload) behind a line. Raises RequestError: 400 malformed, 413 too long."""
    head = _object(line, "the line of an event")
    return (
        _length(head, "data_length", DATA_BYTES_MAX),
        _length(head, "payload_length", PAYLOAD_BYTES_MAX),
    )


def read_event(frame: bytes) -> Event:
    """The event of a whole frame. Raises RequestError 400, 413."""
    line, _, rest = frame.partition(b"\n")
    head = _object(line, "the line of an event")
    kind = head.get("type")
    if not isinstance(kind, str) or not 0 < len(kind) <= TYPE_CHARS_MAX:
        raise _malformed("an event has a `type`")
    data_length, payload_length = lengths_of(line)
    if len(rest) != data_length + payload_length:
        raise _malformed(f"{len(rest)} bytes follow the line, in place of {data_length + payload_length}")
    data = head.get("data") or {}
    if not isinstance(data, dict):
        raise _malformed("`data` of an event is a JSON object")
    if data_length:
        data = {**data, **_object(rest[:data_length], "the data of an event")}
    return Event(kind, data, rest[data_length:])


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"{what} is not JSON") from error
    if not isinstance(found, dict):
        raise _malformed(f"{what} is not a JSON object")
    return found


def _length(head: Mapping[str, Any], name: str, most: int) -> int:
    length = head.get(name)
    if length is None:
        return 0
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise _malformed(f"`{name}` is a number of bytes")
    if length > most:
        raise RequestError("too_large", f"`{name}` is {length}; at most {most} bytes are read", 413)
    return length


def _malformed(message: str) -> RequestError:
    return RequestError("bad_message", message, 400)
