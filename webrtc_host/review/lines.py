"""The lines of a channel that wait for their review, in groups that one window of the engine can hold.

Pure. A group ends where the channel was quiet for some seconds, or where the next line would make it too
long; then it ends at the longest pause between its lines, because words at a cut are read worse. Invariant:
each line is in one group at most, and groups are in order of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

GROUP_MS_MAX = 27_000
"""From the first word to the last one. With the audio around it, a window stays under the 30 s of Whisper."""
LINES_MAX = 64
"""Lines of one channel that wait. More cannot fit one group unless each is shorter than half a second."""


@dataclass(frozen=True, slots=True)
class Line:
    """A final of live audio, as it stands in the log."""

    segment: str
    utterance: str
    start_ms: int
    end_ms: int
    text: str
    raw: str
    language: str | None
    conf: float
    """Mean log probability of the text, 0 at best."""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines in order, and the audio to decode for them.

    from_ms, to_ms: the audio. It reaches into the silence before and behind the lines, not into other lines.
    """

    lines: tuple[Line, ...]
    from_ms: int
    to_ms: int

    @property
    def language(self) -> str | None:
        """The language of all lines; None if they differ or one is not known."""
        found = {line.language for line in self.lines}
        return found.pop() if len(found) == 1 else None

    @property
    def text(self) -> str:
        """The engine's text of all lines."""
        return " ".join(line.raw for line in self.lines)

    @property
    def conf(self) -> float:
        """Mean log probability of the lines, each line with the weight of its words."""
        weights = [max(1, len(line.raw.split())) for line in self.lines]
        total = sum(weight * line.conf for weight, line in zip(weights, self.lines, strict=True))
        return total / sum(weights)


@dataclass(slots=True)
class ChannelLines:
    """The lines of one channel. before_ms, after_ms: audio around a group."""

    before_ms: int
    after_ms: int
    quiet_since_s: float = 0.0
    """On the caller's clock: when the last utterance ended, or the last line was written."""
    _is_talking: bool = False
    _waiting: list[Line] = field(default_factory=list)
    _end_ms: int = 0  # of the newest line that left in a group
    _connection_end_ms: int = 0  # of the newest connection that was closed

    def add(self, line: Line, now_s: float) -> list[Group]:
        """Take a line. Returns the groups that are complete because of it."""
        self.quiet_since_s = now_s
        groups: list[Group] = []
        if self._waiting and self._waiting[-1].start_ms < self._connection_end_ms <= line.start_ms:
            groups += self.end(line)  # the last words of a connection may be written after it was closed
        while self._waiting and (
            line.end_ms - self._waiting[0].start_ms > GROUP_MS_MAX or len(self._waiting) >= LINES_MAX
        ):
            groups += self._first(_longest_pause([*self._waiting, line]), line)
        # Finals of one channel come in order; a line from an earlier time is text of past audio.
        if not self._waiting or line.start_ms >= self._waiting[-1].start_ms:
            self._waiting.append(line)
        return groups

    def quiet(self, now_s: float, pause_s: float) -> list[Group]:
        """The group that is complete because the channel has been quiet for `pause_s`."""
        return [] if self._is_talking or now_s - self.quiet_since_s < pause_s else self.end()

    def end(self, following: Line | None = None) -> list[Group]:
        """The group of all lines that wait. following: the line after them, if it is known."""
        return self._first(len(self._waiting), following) if self._waiting else []

    def end_connection(self, end_ms: int) -> list[Group]:
        """The group of all lines that wait. What comes next is most likely said by another speaker."""
        self._connection_end_ms = end_ms
        return self.end()

    def begin_speech(self) -> None:
        self._is_talking = True

    def end_speech(self, now_s: float) -> None:
        self._is_talking, self.quiet_since_s = False, now_s

    def _first(self, count: int, following: Line | None) -> list[Group]:
        lines, self._waiting = tuple(self._waiting[:count]), self._waiting[count:]
        next_ms = self._waiting[0].start_ms if self._waiting else None
        if next_ms is None and following is not None:
            next_ms = following.start_ms
        from_ms = max(0, lines[0].start_ms - self.before_ms, (lines[0].start_ms + self._end_ms) // 2)
        to_ms = lines[-1].end_ms + self.after_ms
        if next_ms is not None:
            to_ms = max(lines[-1].end_ms, min(to_ms, (lines[-1].end_ms + next_ms) // 2))
        self._end_ms = lines[-1].end_ms
        return [Group(lines, min(from_ms, lines[0].start_ms), to_ms)]


def _longest_pause(lines: Sequence[Line]) -> int:
    """How many of the first lines make a group: those before the longest pause of the later half."""
    middle_ms = (lines[0].start_ms + lines[-1].start_ms) // 2
    counts: Iterable[int] = range(1, len(lines))
    late = [count for count in counts if lines[count - 1].end_ms >= middle_ms] or [len(lines) - 1]
    return max(late, key=lambda count: lines[count].start_ms - lines[count - 1].end_ms)
