"""The classes of the events: one frozen dataclass for each event type, and the sink that takes them.

An event is checked when it is made. Times ending in `_ms` are whole milliseconds since the session's t = 0.
docs/reference/events.md describes every field. Invariant: the times of an event are whole, not
negative and in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from webrtc_host.seams import ChannelState, CoverageState, EventType, Source


@dataclass(frozen=True, slots=True)
class TimedWord:
    """One word of a final, with the times that the engine gave it."""

    text: str
    start_ms: int
    end_ms: int
    p: float | None = None
    """Probability, 0 to 1; None: unknown."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a final's text after transcription: `before` became `after`."""

    before: str
    after: str
    term: str
    """The glossary term that caused the change."""
    kind: str
    """How the term was recognised, for example `alias`."""
    score: float | None = None
    """How alike the term and `before` are, 0 to 1; 1 for a spelling of the glossary. None: not known."""
    start: int | None = None
    end: int | None = None
    """Where `after` stands in the text, in characters; None: not known."""


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
        _check_ms("start_ms", self.start_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelClosed(ChannelEvent):
    kind = EventType.CHANNEL_CLOSED

    connection: str
    reason: str
    end_ms: int

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        _check_ms("end_ms", self.end_ms)


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
        _check_member(ChannelState, self.state)
        _check_ms("at_ms", self.at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(ChannelEvent):
    kind = EventType.SPEECH_STARTED

    utterance: str
    start_ms: int

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        _check_ms("start_ms", self.start_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechEnded(ChannelEvent):
    kind = EventType.SPEECH_ENDED

    utterance: str
    start_ms: int
    end_ms: int
    rule: str
    """The endpointing rule that ended the utterance."""

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        _check_range(self.utterance, self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentInterim(ChannelEvent):
    kind = EventType.SEGMENT_INTERIM

    utterance: str
    revision: int
    """Counts the interims of the utterance."""
    start_ms: int
    end_ms: int
    text: str
    stable_chars: int = 0
    """Characters at the beginning of the text that have not changed since the interim before."""
    language: str | None = None

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        _check_range(self.utterance, self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFinal(ChannelEvent):
    """A line of text. `segment.revised` may replace the text later; this event stays as it is."""

    kind = EventType.SEGMENT_FINAL

    utterance: str
    segment: str
    start_ms: int
    end_ms: int
    text: str
    raw: str | None = None
    """The engine's text, before any text stage changed it. None in old records: the same as `text`."""
    language: str | None = None
    conf: float | None = None
    """Mean log probability of the text, 0 at best."""
    words: tuple[TimedWord, ...] = ()
    """The engine's words; empty when the engine gave none."""
    edits: tuple[Edit, ...] = ()
    glossary_version: int | None = None
    source: Source | None = None
    """None: live audio. Text of other audio is late, so it has no latency."""

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        _check_range(self.segment, self.start_ms, self.end_ms)
        if self.source is not None:
            _check_member(Source, self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRevised(ChannelEvent):
    """A later text of a final. The final keeps its times, its `raw` text and its place in the order."""

    kind = EventType.SEGMENT_REVISED

    segment: str
    """Id of the final whose text this event replaces."""
    revision: int
    """1 for the first revision of the segment. The revision with the highest number holds."""
    old_text: str
    """The text before this revision."""
    text: str
    words: tuple[TimedWord, ...] | None = None
    """The words of the new text; None: not known. The words of the final do not belong to the new text."""
    edits: tuple[Edit, ...] = ()
    """What was changed, compared with the final's `raw` text."""
    glossary_version: int | None = None
    by: str
    """Who or what made the revision: the name of a token, or of a part of the server such as `glossary`."""

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        if not self.segment:
            raise ValueError("a revision needs the id of the segment that it revises")
        if self.revision < 1:
            raise ValueError(f"revisions of a segment count from 1, not from {self.revision}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFailed(ChannelEvent):
    kind = EventType.WINDOW_FAILED

    utterance: str
    window: str
    start_ms: int
    end_ms: int
    code: str
    reason: str

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        _check_range(self.window, self.start_ms, self.end_ms)


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
        _check_member(CoverageState, self.state)
        _check_range("coverage", self.from_ms, self.to_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReported(Event):
    """An error that is reported to watchers. channel: None when it concerns the whole session."""

    kind = EventType.ERROR

    code: str
    message: str
    retry_after_ms: int | None = None


class EventSink(Protocol):
    """Takes the events of a session. The event log implements it; tests pass one that keeps a list."""

    def emit(self, event: Event) -> int | None:
        """Append one event. Returns its seq, or None for an event that is not stored."""
        ...


def _classes(found: Iterable[object]) -> dict[EventType, type[Event]]:
    return {
        one.kind: one
        for one in found
        if isinstance(one, type) and issubclass(one, Event) and "kind" in vars(one)
    }


EVENT_CLASSES: dict[EventType, type[Event]] = _classes(tuple(globals().values()))
"""The class of every event type."""


def _check_ms(name: str, ms: int) -> None:
    if type(ms) is not int or ms < 0:
        raise ValueError(f"{name} is whole milliseconds since t = 0, not {ms!r}")


def _check_range(name: str, start_ms: int, end_ms: int) -> None:
    if type(start_ms) is not int or type(end_ms) is not int or not 0 <= start_ms <= end_ms:
        raise ValueError(f"{name}: {start_ms!r} to {end_ms!r} is no range of whole milliseconds since t = 0")


def _check_member(enum: type[ChannelState | CoverageState | Source], value: object) -> None:
    if not isinstance(value, enum):
        raise ValueError(f"{value!r} is no {enum.__name__}")
