"""What rules wait for in the states of channels: speech begins, no speech for a time, no audio for a time.

Pure; the caller passes the time, in seconds since 1970. Each silence and each loss is found once, until
there is speech or audio again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from webrtc_host.alerts.rules import Rule, RuleList
from webrtc_host.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelStateChanged,
    Event,
    SessionEnded,
    SpeechEnded,
    SpeechStarted,
)
from webrtc_host.seams import AlertCause, ChannelState
from webrtc_host.session.channel import ORDERLY_ENDS


@dataclass(frozen=True, slots=True)
class Found:
    """A rule that found what it waits for, on a channel, since from_ms (of the session)."""

    rule: Rule
    session: str
    channel: str
    from_ms: int
    utterance: str | None = None


@dataclass(slots=True)
class _State:
    """quiet_s, lost_s: since when there is no speech, or no audio; None: there is, or none is expected."""

    quiet_s: float | None = None
    quiet_ms: int = 0
    lost_s: float | None = None
    lost_ms: int = 0
    raised: set[str] = field(default_factory=set)  # rules that have found this silence or this loss


class ChannelStates:
    def __init__(self) -> None:
        self._states: dict[tuple[str, str], _State] = {}
        self._rules: list[tuple[Rule, frozenset[str] | None]] = []

    def use(self, found: RuleList) -> None:
        self._rules = [
            (rule, found.channels_of(rule)) for rule in found.rules if rule.enabled and not rule.is_over_text
        ]

    def take(self, session: str, event: Event, at_s: float, at_ms: int) -> list[Found]:
        """The rules that this event itself fulfils; at_s, at_ms: now."""
        if isinstance(event, SessionEnded):
            self.forget(session)
        if event.channel is None:
            return []
        key = (session, event.channel)
        match event:
            case ChannelOpened():
                self._states[key] = _State(quiet_s=at_s, quiet_ms=at_ms)
            case ChannelClosed():
                if event.reason in ORDERLY_ENDS:
                    self._states.pop(key, None)
                else:  # also for a channel that the process before had open
                    self._end_speech(key)
                    self._lose(self._states.setdefault(key, _State()), at_s, at_ms)
            case ChannelStateChanged() if key in self._states:
                self._on_state(self._states[key], event, at_s, at_ms)
            case SpeechStarted():
                self._end_speech(key)
                return [
                    Found(rule, session, event.channel, event.start_ms, event.utterance)
                    for rule in self._of(event.channel, AlertCause.ACTIVITY)
                ]
            case SpeechEnded() if key in self._states:
                state = self._states[key]
                state.quiet_s, state.quiet_ms = at_s, event.end_ms
        return []

    def due(self, at_s: float) -> Iterator[Found]:
        """Silences and losses that have lasted long enough, and that their rules have not found yet."""
        for (session, channel), state in list(self._states.items()):
            for cause, since_s, since_ms in (
                (AlertCause.SILENCE, state.quiet_s, state.quiet_ms),
                (AlertCause.NO_SIGNAL, state.lost_s, state.lost_ms),
            ):
                if since_s is None:
                    continue
                for rule in self._of(channel, cause):
                    if rule.name not in state.raised and at_s - since_s >= (rule.after_s or 0):
                        yield Found(rule, session, channel, since_ms)

    def note_raised(self, found: Found) -> None:
        """The alert was raised, so the same silence or loss is not found again."""
        if (state := self._states.get((found.session, found.channel))) is not None:
            state.raised.add(found.rule.name)

    def forget(self, session: str) -> None:
        self._states = {key: one for key, one in self._states.items() if key[0] != session}

    def _of(self, channel: str, cause: AlertCause) -> Iterator[Rule]:
        for rule, channels in self._rules:
            if rule.when is cause and (channels is None or channel in channels):
                yield rule

    def _end_speech(self, key: tuple[str, str]) -> None:
        """Speech began, or the channel is closed: there is no silence."""
        if (state := self._states.get(key)) is not None:
            state.quiet_s = None
            state.raised -= {rule.name for rule, _ in self._rules if rule.when is AlertCause.SILENCE}

    def _on_state(self, state: _State, event: ChannelStateChanged, at_s: float, at_ms: int) -> None:
        if event.state is ChannelState.DISCONNECTED and event.reason in ORDERLY_ENDS:
            return  # its `channel.closed` follows
        if event.state in (ChannelState.NO_SIGNAL, ChannelState.DISCONNECTED):
            self._lose(state, at_s, event.at_ms)
        elif state.lost_s is not None:
            state.lost_s = None
            state.raised -= {rule.name for rule, _ in self._rules if rule.when is AlertCause.NO_SIGNAL}

    def _lose(self, state: _State, at_s: float, at_ms: int) -> None:
        if state.lost_s is None:
            state.lost_s, state.lost_ms = at_s, at_ms
