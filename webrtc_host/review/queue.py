"""The groups of lines that wait for their review: collected from the events of all sessions.

It is made before the event logs, because it is one of their listeners, and it knows no session. Invariant:
what it holds is bounded by channels, by lines of a channel, and by groups.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.events import ChannelClosed, Event, SegmentFinal, SpeechEnded, SpeechStarted
from webrtc_host.review.lines import ChannelLines, Group, Line
from webrtc_host.seams import Clock
from webrtc_host.transcript.event_log import LoggedEvent

BEFORE_MS, AFTER_MS = 300, 600
"""Audio before the first line and behind the last one, where no other line begins."""
SURE_LOGPROB = -0.4
"""A single line of a higher log probability is not reviewed: its window had all of its speech already."""
UNKNOWN_LOGPROB = -1.0
"""Of a line without one."""
CHANNELS_MAX = 1024
"""Channels whose lines are remembered; the one that was quiet the longest is dropped."""


@dataclass(frozen=True, slots=True)
class Waiting:
    channel_key: ChannelKey
    group: Group


class ReviewQueue:
    """`observe` is a listener of every event log. Groups leave in the order in which they were complete."""

    def __init__(self, groups_max: int, pause_s: float, clock: Clock) -> None:
        """groups_max: further groups replace the oldest. pause_s: silence that completes a group."""
        self._groups_max, self._pause_s, self._clock = groups_max, pause_s, clock
        self._channels: dict[ChannelKey, ChannelLines] = {}
        self._waiting: deque[Waiting] = deque()
        self.dropped = 0
        """Groups for which the queue had no place; their lines keep their text."""

    def __len__(self) -> int:
        return len(self._waiting)

    def observe(self, logged: LoggedEvent) -> None:
        """Take an event. Never waits."""
        self.take_event(ChannelKey(logged.session, logged.event.channel or ""), logged.event)

    def take_event(self, key: ChannelKey, event: Event) -> None:
        """Take an event of a channel. Never waits."""
        match event:
            case SegmentFinal(source=None) if event.text.strip():
                self._add(key, self._lines(key).add(_line(event), self._clock()))
            case SpeechStarted():
                self._lines(key).begin_speech()
            case SpeechEnded():
                self._lines(key).end_speech(self._clock())
            case ChannelClosed():
                self._lines(key).end_speech(self._clock())
                self._add(key, self._lines(key).end_connection(event.end_ms))
            case _:
                pass

    def take(self) -> Waiting | None:
        """The group that has waited the longest; None if there is none."""
        return self._waiting.popleft() if self._waiting else None

    def complete_quiet(self) -> None:
        """Complete the groups of channels that have been quiet for a while."""
        for key, lines in self._channels.items():
            self._add(key, lines.quiet(self._clock(), self._pause_s))

    def complete_all(self) -> None:
        """Complete the groups of all channels: nothing more will be said."""
        for key, lines in self._channels.items():
            self._add(key, lines.end())

    def clear(self) -> None:
        """Drop all groups: the model in use gains nothing by a review."""
        self._waiting.clear()

    def _lines(self, key: ChannelKey) -> ChannelLines:
        lines = self._channels.get(key)
        if lines is None:
            if len(self._channels) >= CHANNELS_MAX:
                del self._channels[min(self._channels, key=lambda one: self._channels[one].quiet_since_s)]
            lines = self._channels[key] = ChannelLines(BEFORE_MS, AFTER_MS, quiet_since_s=self._clock())
        return lines

    def _add(self, key: ChannelKey, groups: Sequence[Group]) -> None:
        self._waiting.extend(Waiting(key, group) for group in groups if _is_worth_a_review(group))
        while len(self._waiting) > self._groups_max:
            self._waiting.popleft()  # the oldest: people have read its lines by now
            self.dropped += 1


def _is_worth_a_review(group: Group) -> bool:
    return len(group.lines) > 1 or group.conf < SURE_LOGPROB


def _line(event: SegmentFinal) -> Line:
    return Line(
        event.segment,
        event.utterance,
        event.start_ms,
        event.end_ms,
        event.text,
        event.raw or event.text,
        event.language,
        event.conf if event.conf is not None else UNKNOWN_LOGPROB,
    )
