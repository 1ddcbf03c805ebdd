"""The events of speech and of its lines of text: while a person speaks, the final, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass

from webrtc_host.events.base import ChannelEvent, check_member, check_ms, check_range
from webrtc_host.seams import EventType, Mark, Source


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


@dataclass(frozen=True, slots=True)
class Talker:
    """Who talked on a radio channel, as the radio system names the radio."""

    id: int
    start_ms: int
    """When this radio began to send."""
    label: str | None = None
    """The name of the radio or its user, if the radio system has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(ChannelEvent):
    kind = EventType.SPEECH_STARTED

    utterance: str
    start_ms: int

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_ms("start_ms", self.start_ms)


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
        check_range(self.utterance, self.start_ms, self.end_ms)


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
        check_range(self.utterance, self.start_ms, self.end_ms)


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
    talkers: tuple[Talker, ...] = ()
    """The radios that were heard during this line, in order; empty: not known."""

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_range(self.segment, self.start_ms, self.end_ms)
        if self.source is not None:
            check_member(Source, self.source)


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
    raw: str | None = None
    """The engine's new text, when the engine decoded the audio again; None: the `raw` of the final holds."""
    words: tuple[TimedWord, ...] | None = None
    """The words of the new text; None: not known. The words of the final do not belong to the new text."""
    edits: tuple[Edit, ...] = ()
    """What was changed, compared with the `raw` text."""
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
class SegmentMarked(ChannelEvent):
    """A person set or cleared a mark of a line. The newest event of a segment and a mark holds."""

    kind = EventType.SEGMENT_MARKED

    segment: str
    mark: Mark
    is_set: bool
    reason: str | None = None
    """Why the line is reported; None: no reason was given."""
    by: str
    """Name of the token, or `anyone` where the server asks for none."""

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_member(Mark, self.mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteAdded(ChannelEvent):
    """A person wrote a note about a line. A line can have several."""

    kind = EventType.NOTE_ADDED

    segment: str
    note: str
    by: str
    """Name of the token, or `anyone` where the server asks for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRedacted(ChannelEvent):
    """A person removed the text or the audio of [from_ms, to_ms) for good. The record keeps this event.

    `segments` are all lines whose text was removed: every line that touches the range.
    """

    kind = EventType.RANGE_REDACTED

    from_ms: int
    to_ms: int
    has_text: bool
    """Whether the text was removed."""
    has_audio: bool
    """Whether the audio was removed."""
    segments: tuple[str, ...] = ()
    reason: str
    by: str
    """Name of the token, or `anyone` where the server asks for none."""

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        check_range("redaction", self.from_ms, self.to_ms)


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
        check_range(self.window, self.start_ms, self.end_ms)
