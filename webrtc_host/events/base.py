"""What all events share, the checks of their fields, and the sink that takes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from webrtc_host.seams import EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events share. channel: None for an event that concerns the whole session."""

    kind: ClassVar[EventType]

    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelEvent(Event):
    """An event of one channel."""

    channel: str

    def __post_init__(self) -> None:
        if not self.channel:
            raise ValueError(f"an event {self.kind} needs the id of its channel")


class EventSink(Protocol):
    """Takes the events of a session. The event log implements it; tests pass one that keeps a list."""

    def emit(self, event: Event) -> int | None:
        """Append one event. Returns its seq, or None for an event that is not stored."""
        ...


def check_ms(name: str, ms: int) -> None:
    if type(ms) is not int or ms < 0:
        raise ValueError(f"{name} is whole milliseconds since t = 0, not {ms!r}")


def check_range(name: str, start_ms: int, end_ms: int) -> None:
    if type(start_ms) is not int or type(end_ms) is not int or not 0 <= start_ms <= end_ms:
        raise ValueError(f"{name}: {start_ms!r} to {end_ms!r} is no range of whole milliseconds since t = 0")


def check_member(enum: type[StrEnum], value: object) -> None:
    if not isinstance(value, enum):
        raise ValueError(f"{value!r} is no {enum.__name__}")
