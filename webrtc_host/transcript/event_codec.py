"""The codec: an event with what the log added to it, as the JSON of the wire and of the record, and back.

Pure. This module has the names and the order of the fields, and the fields that are derived from others
(`start`, `end`). Decoding is for stored events, which an older or a newer server may have written: a field
that this version does not know is skipped, a field that is missing gets its default, and an event that cannot
be understood raises `UnreadableEvent`. Invariant: decoding what was encoded gives an equal envelope, to the
millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from webrtc_host.events import EVENT_CLASSES, Edit, Event, Talker, TimedWord
from webrtc_host.seams import (
    AlertCause,
    AlertLevel,
    ChannelState,
    CoverageState,
    EventType,
    Mark,
    Source,
)
from webrtc_host.transcript.timecode import timecode

WIRE_VERSION = 1
TIMED_TEXT = (EventType.SEGMENT_INTERIM, EventType.SEGMENT_FINAL)
"""Types that carry `latency_ms`, unless their audio was late."""

_START, _END, _LATENCY = "start", "end", "latency_ms"
_TIME_TEXT = {"start_ms": _START, "end_ms": _END}


class UnreadableEvent(ValueError):
    """A stored event that this version does not understand; the message says why."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event with what the log adds when it is emitted."""

    event: Event
    session: str
    seq: int | None
    """None: the event is not stored (interim, error)."""
    wall: datetime
    """The moment of emission; the wire has milliseconds."""
    latency_ms: int | None = None
    """From the end of the speech to the emission; None where that says nothing about this server."""

    @property
    def wall_ms(self) -> int:
        """Milliseconds since 1970, UTC, rounded down as on the wire."""
        return wall_ms(self.wall)


def encode(envelope: Envelope) -> bytes:
    """The JSON of the wire, UTF-8, with its fields in the documented order."""
    event = envelope.event
    body: dict[str, Any] = {"v": WIRE_VERSION}
    if envelope.seq is not None:
        body["seq"] = envelope.seq
    body |= {"session": envelope.session, "type": event.kind, "wall": iso_ms(envelope.wall)}
    if event.channel is not None:
        body["channel"] = event.channel
    _add_fields(event, body)
    if envelope.latency_ms is not None:
        body[_LATENCY] = envelope.latency_ms
    return encode_json(body)


def wire_fields(event: Event) -> dict[str, Any]:
    """The fields of the event alone, as they are on the wire; a field without a value is left out."""
    body: dict[str, Any] = {}
    _add_fields(event, body)
    return body


def mark_not_durable(data: bytes) -> bytes:
    """An encoded event with `"durable":false` as its last field."""
    return data[:-1] + b',"durable":false}'


def decode(data: str | bytes) -> Envelope:
    """The envelope of a stored event. Raises UnreadableEvent."""
    try:
        body = json.loads(data)
        kind = EventType(body["type"])
        return Envelope(
            event=_event_of(kind, body),
            session=str(body["session"]),
            seq=body.get("seq"),
            wall=_moment(body["wall"]),
            latency_ms=body.get(_LATENCY),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableEvent(f"a stored event cannot be read: {type(error).__name__}: {error}") from error


def decode_readable(stored: Iterable[str | bytes]) -> Iterator[Envelope]:
    """The stored events that this version understands, in their order; the others are skipped.

    For readers of a record that a newer server may have written: an event of an unknown type says nothing to
    them, and one damaged event must not make the rest of a session unreadable.
    """
    for data in stored:
        try:
            yield decode(data)
        except UnreadableEvent:
            continue


def encode_json(body: Any) -> bytes:
    """Compact JSON as UTF-8. A lone surrogate (a label may hold one) becomes `?`, so it stops no watcher."""
    return _ENCODER.encode(body).encode(errors="replace")


def encode_words(words: Iterable[TimedWord]) -> bytes:
    """A JSON list of words, as on the wire."""
    return encode_json(_words_to_wire(tuple(words)))


def encode_edits(edits: Iterable[Edit]) -> bytes:
    """A JSON list of edits, as on the wire."""
    return encode_json(_edits_to_wire(tuple(edits)))


def edits_to_wire(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """Edits as plain values, as on the wire."""
    return _edits_to_wire(tuple(edits))


def iso_ms(moment: datetime) -> str:
    """ISO 8601 UTC with milliseconds: 2026-11-21T06:10:01.234Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def wall_ms(moment: datetime) -> int:
    """Milliseconds since 1970, UTC, rounded down as `iso_ms` does."""
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
# Made once: `json.dumps` makes an encoder for each call that asks for anything but the defaults.


def _words_to_wire(words: tuple[TimedWord, ...]) -> list[dict[str, Any]]:
    return [
        {"text": word.text, "start_ms": word.start_ms, "end_ms": word.end_ms}
        | ({} if word.p is None else {"p": word.p})
        for word in words
    ]


def _words_of_wire(words: Any) -> tuple[TimedWord, ...]:
    return tuple(TimedWord(word["text"], word["start_ms"], word["end_ms"], word.get("p")) for word in words)


def _edits_to_wire(edits: tuple[Edit, ...]) -> list[dict[str, Any]]:
    return [
        {"from": edit.before, "to": edit.after, "term": edit.term, "kind": edit.kind}
        | {name: value for name in _EDIT_NUMBERS if (value := getattr(edit, name)) is not None}
        for edit in edits
    ]


_EDIT_NUMBERS = ("score", "start", "end")
"""Fields of an edit that old records do not have."""


def _edits_of_wire(edits: Any) -> tuple[Edit, ...]:
    return tuple(
        Edit(
            *(edit.get(name, "") for name in ("from", "to", "term", "kind")),
            *(edit.get(name) for name in _EDIT_NUMBERS),
        )
        for edit in edits
    )


def _talkers_to_wire(talkers: tuple[Talker, ...]) -> list[dict[str, Any]] | None:
    """An empty list is left out: most audio is from no radio system."""
    return [
        {"id": talker.id, "start_ms": talker.start_ms}
        | ({} if talker.label is None else {"label": talker.label})
        for talker in talkers
    ] or None


def _talkers_of_wire(talkers: Any) -> tuple[Talker, ...]:
    return tuple(Talker(talker["id"], talker["start_ms"], talker.get("label")) for talker in talkers)


def _flag_to_wire(flag: bool) -> bool | None:
    """A flag that is not set is left out."""
    return flag or None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _state_of_wire(kind: EventType) -> Callable[[str], ChannelState | CoverageState]:
    return CoverageState if kind is EventType.COVERAGE else ChannelState


_TO_WIRE: dict[str, Callable[[Any], Any]] = {
    "words": _words_to_wire,
    "edits": _edits_to_wire,
    "talkers": _talkers_to_wire,
    "t0_wall": iso_ms,
    "is_current": _flag_to_wire,
    "is_provisional": _flag_to_wire,
}
"""How a field is written whose value is not written as it is."""
_OF_WIRE: dict[str, Callable[[Any], Any]] = {
    "words": _words_of_wire,
    "edits": _edits_of_wire,
    "talkers": _talkers_of_wire,
    "t0_wall": _moment,
    "glossary": tuple,
    "cites": tuple,
    "segments": tuple,
    "mark": Mark,
    "source": Source,
    "level": AlertLevel,
    "cause": AlertCause,
}


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of the wire. attribute: of the event, from which it is written."""

    name: str
    attribute: str
    to_wire: Callable[[Any], Any] | None = None


def _layout(cls: type[Event]) -> tuple[_Field, ...]:
    """The fields of a class in the order of the wire: times as text follow the last of their numbers."""
    names = [one.name for one in fields(cls) if one.name != "channel"]
    layout = [_Field(name, name, _TO_WIRE.get(name)) for name in names]
    times = [name for name in names if name in _TIME_TEXT]
    if times:
        behind = names.index(times[-1]) + 1
        layout[behind:behind] = [_Field(_TIME_TEXT[name], name, timecode) for name in times]
    return tuple(layout)


_LAYOUT: dict[EventType, tuple[_Field, ...]] = {kind: _layout(cls) for kind, cls in EVENT_CLASSES.items()}

FIELDS: dict[EventType, tuple[str, ...]] = {
    kind: (*(one.name for one in layout), *((_LATENCY,) if kind in TIMED_TEXT else ()))
    for kind, layout in _LAYOUT.items()
}
"""The fields of each event after those of the envelope, in the order they are written."""


def _add_fields(event: Event, body: dict[str, Any]) -> None:
    for field in _LAYOUT[event.kind]:
        value = getattr(event, field.attribute)
        if value is not None and field.to_wire is not None:
            value = field.to_wire(value)
        if value is not None:
            body[field.name] = value


def _event_of(kind: EventType, body: dict[str, Any]) -> Event:
    cls = EVENT_CLASSES[kind]
    known: dict[str, Any] = {}
    for field in fields(cls):
        value = body.get(field.name)
        if value is None:
            if field.default is MISSING:
                raise KeyError(f"{kind} without {field.name}")
            continue
        read = _state_of_wire(kind) if field.name == "state" else _OF_WIRE.get(field.name)
        known[field.name] = value if read is None else read(value)
    return cls(**known)
