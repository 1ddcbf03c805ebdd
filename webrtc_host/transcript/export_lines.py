"""The lines of an export: joins the finals of an utterance, and gives short subtitles time to be read.

Pure: takes one line after the other in order of their start, returns the lines that are ready, in the same
order. The server makes words of unbroken speech final early, so an utterance usually has several finals. In
plain text they are one paragraph. A whole utterance is too long for a subtitle, so each final has a cue; but
one that would be shown for less than a second is joined with the next final of its utterance.
A line waits in memory at most until a line comes that starts `PARAGRAPH_MS_MAX` later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from host_stt_common.languages import WITHOUT_SPACES
from host_stt_common.names import one_line
from host_stt_common.subtitles import CUE_MS_MIN
from webrtc_host.seams import Mark

PARAGRAPH_MS_MAX = 60_000
"""After a minute of unbroken speech a new paragraph begins, as on the pages (demo/utterances.js)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One final, or several of one utterance."""

    channel: str
    label: str
    segment: str
    start_ms: int
    end_ms: int
    text: str
    raw: str
    language: str = ""
    conf: float | None = None
    event: str = ""  # its JSON, as watchers got it, with its revision
    utterance: str = ""
    revised_by: str = ""  # who corrected the line last; empty: the text was not corrected
    marks: tuple[str, ...] = ()  # star, report, not_said
    notes: tuple[str, ...] = ()  # "name: note" each

    @property
    def is_not_said(self) -> bool:
        """A person has marked the line as not said."""
        return Mark.NOT_SAID in self.marks

    @property
    def plain(self) -> str:
        """The text on one line, without control characters."""
        return one_line(self.text)

    @property
    def speaker(self) -> str:
        label = one_line(self.label)
        return self.channel if label in ("", self.channel) else f"{self.channel} {label}"


class Unchanged:
    """Returns each line at once."""

    def feed(self, line: Line) -> Iterable[Line]:
        return [line]

    def rest(self) -> Iterable[Line]:
        return []


class Paragraphs:
    """Joins the lines of one utterance."""

    def __init__(self) -> None:
        self._waiting: deque[Line] = deque()

    def feed(self, line: Line) -> Iterable[Line]:
        """Take the next line; return the paragraphs that no later line can continue."""
        at = self._of_channel(line.channel)
        if at is not None and _continues(self._waiting[at], line):
            self._waiting[at] = _joined(self._waiting[at], line)
        else:
            self._waiting.append(line)
        ready = []
        while self._is_ready(self._waiting[0], line):
            ready.append(self._waiting.popleft())
        return ready

    def rest(self) -> Iterable[Line]:
        rest, self._waiting = self._waiting, deque()
        return rest

    def _of_channel(self, channel: str) -> int | None:
        """The index of the channel's last paragraph."""
        found = (i for i in reversed(range(len(self._waiting))) if self._waiting[i].channel == channel)
        return next(found, None)

    def _is_ready(self, paragraph: Line, newest: Line) -> bool:
        at = self._of_channel(paragraph.channel)
        has_successor = at is not None and self._waiting[at] is not paragraph
        return has_successor or newest.start_ms - paragraph.start_ms > PARAGRAPH_MS_MAX


def _continues(paragraph: Line, line: Line) -> bool:
    is_same = bool(line.utterance) and paragraph.utterance == line.utterance
    return is_same and line.end_ms - paragraph.start_ms <= PARAGRAPH_MS_MAX


def _joined(paragraph: Line, line: Line) -> Line:
    has_spaces = not {paragraph.language, line.language} <= WITHOUT_SPACES
    text = f"{paragraph.plain}{' ' if has_spaces else ''}{line.plain}"
    end_ms = max(paragraph.end_ms, line.end_ms)
    return replace(paragraph, text=text, end_ms=end_ms, language=line.language)


class Cues:
    """Extends short lines to `CUE_MS_MIN`. If the next line of the utterance begins before that, the two are
    joined; another line of the channel ends them.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Cue] = deque()

    def feed(self, line: Line) -> Iterable[Line]:
        """Take the next line; return the lines whose end no later line can change."""
        for cue in self._waiting:
            if cue.is_continued_by(line):
                cue.join(line)
                break
            cue.see(line)
        else:
            self._waiting.append(_Cue(line))
        ready = []
        while self._waiting and self._waiting[0].is_settled:
            ready.append(self._waiting.popleft().line)
        return ready

    def rest(self) -> Iterable[Line]:
        rest, self._waiting = self._waiting, deque()
        return [cue.extended() for cue in rest]


class _Cue:
    def __init__(self, line: Line) -> None:
        self.line = line
        self.is_settled = line.end_ms - line.start_ms >= CUE_MS_MIN

    def is_continued_by(self, later: Line) -> bool:
        is_near = later.start_ms - self.line.start_ms < CUE_MS_MIN
        is_of_channel = later.channel == self.line.channel
        return not self.is_settled and is_near and is_of_channel and _continues(self.line, later)

    def join(self, later: Line) -> None:
        self.line = _joined(self.line, later)
        self.is_settled = self.line.end_ms - self.line.start_ms >= CUE_MS_MIN

    def see(self, later: Line) -> None:
        """Extend the line, if the later line shows how far it may be extended."""
        is_of_channel = later.channel == self.line.channel
        if not self.is_settled and (is_of_channel or later.start_ms - self.line.start_ms >= CUE_MS_MIN):
            self.line = self.extended(later.start_ms if is_of_channel else None)
            self.is_settled = True

    def extended(self, end_ms_max: int | None = None) -> Line:
        if self.is_settled:
            return self.line
        end_ms = self.line.start_ms + CUE_MS_MIN
        end_ms = end_ms if end_ms_max is None else min(end_ms, end_ms_max)
        return replace(self.line, end_ms=max(self.line.end_ms, end_ms))
