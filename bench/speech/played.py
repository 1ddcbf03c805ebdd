"""What came of a recording that was played: its final lines and utterances, on the recording's own time.

Pure. Milliseconds count from the recording's first sample; negative times lie in the silence before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.speech.clips import Recording
from host_stt_cli.loadtest.measures import Arrived

LATE_MS = 3000
"""A final that arrives so long after the end of its utterance's speech counts as late."""


@dataclass(frozen=True, slots=True)
class Line:
    """One `segment.final`."""

    text: str
    start_ms: float
    end_ms: float
    at_ms: float  # when it arrived
    utterance: str
    language: str
    word_ends_ms: tuple[float, ...]
    reviewed: str = ""  # the text after the newest revision; empty: it was not revised


@dataclass(frozen=True, slots=True)
class Utterance:
    id: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Played:
    recording: Recording
    lines: Sequence[Line]  # in order of time
    utterances: Sequence[Utterance]
    failed: int = 0  # windows that the engine did not transcribe
    unheard_ms: float = 0.0  # audio that was shed, lost or failed

    @property
    def text(self) -> str:
        """The text as it was when each line became final."""
        return " ".join(line.text for line in self.lines)

    @property
    def reviewed_text(self) -> str:
        """The text as the record has it at the end."""
        return " ".join(line.reviewed or line.text for line in self.lines)

    @property
    def commits(self) -> list[list[Line]]:
        """The lines in groups that became final together; between two groups of an utterance is a join."""
        groups: list[list[Line]] = []
        for line in self.lines:
            if groups and _is_one_commit(groups[-1][-1], line):
                groups[-1].append(line)
            else:
                groups.append([line])
        return groups

    @property
    def late(self) -> int:
        """Lines that came later than LATE_MS after the end of their utterance."""
        ends = {one.id: one.end_ms for one in self.utterances}
        return sum(line.at_ms > ends.get(line.utterance, line.end_ms) + LATE_MS for line in self.lines)


TOGETHER_MS = 40.0


def _is_one_commit(before: Line, line: Line) -> bool:
    return before.utterance == line.utterance and abs(line.at_ms - before.at_ms) < TOGETHER_MS


@dataclass(slots=True)
class Listener:
    """Collects the events of one channel while a recording is played on it."""

    channel: str
    arrived: list[Arrived] = field(default_factory=list)

    def played(
        self,
        recording: Recording,
        starts_ms: float,
        ends_ms: float,
        revisions: Mapping[str, str] | None = None,
    ) -> Played:
        """starts_ms: the session's time at the recording's first sample; ends_ms: the channel's end.

        revisions: from the segment to its newest text.
        """
        events = [one for one in self.arrived if one.event.get("channel") == self.channel]
        lines = [_line(one, starts_ms, revisions or {}) for one in _of(events, "segment.final")]
        utterances = [_utterance(one.event, starts_ms) for one in _of(events, "speech.ended")]
        failed = sum(1 for _ in _of(events, "window.failed"))
        unheard = _unheard_ms((one.event for one in _of(events, "coverage")), starts_ms, ends_ms)
        lines.sort(key=lambda line: line.start_ms)
        return Played(recording, lines, utterances, failed, unheard)


def _of(events: Iterable[Arrived], kind: str) -> Iterable[Arrived]:
    return (one for one in events if one.event["type"] == kind)


def _line(one: Arrived, zero_ms: float, revisions: Mapping[str, str]) -> Line:
    event = one.event
    ends = tuple(word["end_ms"] - zero_ms for word in event.get("words", ()))
    return Line(
        text=event["text"],
        start_ms=event["start_ms"] - zero_ms,
        end_ms=event["end_ms"] - zero_ms,
        at_ms=one.at_ms - zero_ms,
        utterance=event["utterance"],
        language=event.get("language") or "",
        word_ends_ms=ends or (event["end_ms"] - zero_ms,),
        reviewed=revisions.get(event.get("segment", ""), ""),
    )


def _utterance(event: dict[str, Any], zero_ms: float) -> Utterance:
    return Utterance(event["utterance"], event["start_ms"] - zero_ms, event["end_ms"] - zero_ms)


def _unheard_ms(events: Iterable[dict[str, Any]], from_ms: float, to_ms: float) -> float:
    """Coverage events say what became of a stretch; later ones may repair earlier ones (not counted here)."""
    total = 0.0
    for event in events:
        if event["state"] in ("shed", "lost", "failed"):
            total += max(0.0, min(to_ms, event["to_ms"]) - max(from_ms, event["from_ms"]))
    return total
