"""The events of sessions and channels: beginning, end, states, coverage, summaries and errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from webrtc_host.events.base import ChannelEvent, Event, check_member, check_ms, check_range
from webrtc_host.seams import ChannelState, CoverageState, EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    kind = EventType.SESSION_STARTED

    name: str
    t0_wall: datetime
    """The wall clock at t = 0, with its time zone; the wire has milliseconds."""
    is_current: bool = False
    """True for the session that is used when a request names none."""

    def __post_init__(self) -> None:
        if self.t0_wall.tzinfo is None:
            raise ValueError(f"the wall clock of a session needs a time zone: {self.t0_wall}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    kind = EventType.SESSION_ENDED

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOpened(ChannelEvent):
    kind = EventType.CHANNEL_OPENED

    connection: str
    label: str
    language: str
    door: str
    """The input that was used (`session.channel_seams.DoorKind`)."""
    glossary: tuple[str, ...] | None = None
    """The channel's own terms; None: the glossary of the server."""
    start_ms: int
    by: str | None = None
    """Name of the token that sends the audio; None where the server asks for no token."""

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_ms("start_ms", self.start_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelClosed(ChannelEvent):
    kind = EventType.CHANNEL_CLOSED

    connection: str
    reason: str
    end_ms: int

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_ms("end_ms", self.end_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStateChanged(ChannelEvent):
    kind = EventType.CHANNEL_STATE

    state: ChannelState
    language: str | None = None
    """The language, once it is fixed."""
    reason: str | None = None
    at_ms: int

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_member(ChannelState, self.state)
        check_ms("at_ms", self.at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageChanged(ChannelEvent):
    """The state of [from_ms, to_ms) of a channel. It replaces what earlier events said of that time."""

    kind = EventType.COVERAGE

    from_ms: int
    to_ms: int
    state: CoverageState
    reason: str | None = None

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_member(CoverageState, self.state)
        check_range("coverage", self.from_ms, self.to_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryUpdated(Event):
    """A summary of a running session was made, or made again. channel: None for one of all channels."""

    kind = EventType.SUMMARY_UPDATED

    summary: str
    """Its id: `GET /api/sessions/{session}/summaries/{summary}` returns all of it."""
    revision: int
    """Counts how often this summary was made, from 1."""
    from_ms: int
    to_ms: int
    maker: str
    """`model`: a language model wrote it; `extract`: it consists of lines that were chosen."""
    model: str | None = None
    prompt: str | None = None
    """Version of the prompt and of the template."""
    title: str
    text: str
    """The sentences of its section `summary`, one on each line."""
    cites: tuple[str, ...] = ()
    """The segments that it cites."""

    def __post_init__(self) -> None:
        check_range(self.summary, self.from_ms, self.to_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReported(Event):
    """An error that is reported to watchers. channel: None when it concerns the whole session."""

    kind = EventType.ERROR

    code: str
    message: str
    retry_after_ms: int | None = None
