"""The life of the alerts: takes the events of sessions and the time, and returns the events of alerts.

Pure: no task, no clock, no log. Each alert is raised once. One from an interim is provisional until a final
of its words comes: that confirms it or withdraws it. An alert stays until an operator acknowledges it.
Invariant: the open alerts in memory are at most OPEN_MAX; older ones can still be acknowledged from the
record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from webrtc_host.alerts.channels import ChannelStates, Found
from webrtc_host.alerts.limits import Key, Limits
from webrtc_host.alerts.matching import Hit, TextMatcher
from webrtc_host.alerts.rules import Rule, RuleList
from webrtc_host.alerts.spoken import spoken_ms
from webrtc_host.events import (
    AlertAcknowledged,
    AlertConfirmed,
    AlertEscalated,
    AlertRaised,
    AlertWithdrawn,
    Event,
    SegmentFinal,
    SegmentInterim,
    SegmentMarked,
    SegmentRevised,
)
from webrtc_host.seams import AlertLevel, Mark

OPEN_MAX = 1_000
FINAL_DIFFERS, REVISED, NOT_SAID = "final_differs", "revised", "not_said"


@dataclass(frozen=True, slots=True)
class Now:
    """The time of a call. ms: since the session's t = 0. minute: of the day, local time."""

    wall_s: float
    minute: int
    ms: int


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that no operator has acknowledged. words_ms: about where its words end."""

    id: str
    session: str
    channel: str
    rule: str
    level: AlertLevel
    raised_s: float
    raised_ms: int = 0
    is_provisional: bool = False
    is_escalated: bool = False
    utterance: str | None = None
    segment: str | None = None
    words_ms: int = 0

    @property
    def key(self) -> Key:
        return (self.rule, self.session, self.channel)


Emit = Callable[[str, Event], None]
"""(session, event)"""


class AlertTracker:
    def __init__(
        self,
        emit: Emit,
        new_id: Callable[[], str],
        on_latency: Callable[[float], None],
    ) -> None:
        """emit: writes an event into the log of a session. on_latency: seconds from a word to its alert."""
        self._emit, self._new_id, self._on_latency = emit, new_id, on_latency
        self._rules: dict[str, Rule] = {}
        self._matcher: TextMatcher | None = None
        self._open: dict[str, OpenAlert] = {}
        self.limits = Limits()
        self.states = ChannelStates()
        self.raised = 0

    def use(self, found: RuleList, matcher: TextMatcher) -> None:
        """Use these rules from now on. Open alerts stay."""
        self._rules = {rule.name: rule for rule in found.rules if rule.enabled}
        self._matcher = matcher
        self.states.use(found)

    def restore(self, alerts: Iterable[OpenAlert]) -> None:
        """Continue the alerts of the process before; oldest first."""
        for alert in alerts:
            self._keep(alert)

    @property
    def open_count(self) -> int:
        return len(self._open)

    def take(self, session: str, event: Event, now: Now) -> None:
        """An event of a session."""
        match event:
            case SegmentInterim():
                self._on_interim(session, event, now)
            case SegmentFinal():
                self._on_final(session, event, now)
            case SegmentRevised():
                self._on_revised(session, event, now)
            case SegmentMarked(mark=Mark.NOT_SAID, is_set=True):
                self._withdraw_all(session, event.segment, NOT_SAID)
            case _:
                self._raise_found(self.states.take(session, event, now.wall_s, now.ms), now)

    def tick(self, now_of: Callable[[str], Now | None], wall_s: float) -> None:
        """What changes with time: silence, lost signals, escalation. now_of: the time of a session."""
        for found in self.states.due(wall_s):
            now = now_of(found.session)
            if now is not None and self._raise_found([found], now, is_counted=False):
                self.states.note_raised(found)
        for alert in list(self._open.values()):
            rule = self._rules.get(alert.rule)
            if rule is None or rule.escalate is None or alert.is_escalated or alert.is_provisional:
                continue
            if wall_s - alert.raised_s >= rule.escalate.after_s:
                level = rule.escalate.level
                self._open[alert.id] = replace(alert, level=level, is_escalated=True)
                self._emit(alert.session, AlertEscalated(channel=alert.channel, alert=alert.id, level=level))

    def acknowledge(self, channel: str, alert: str, by: str) -> AlertAcknowledged:
        """An operator has seen the alert. The caller writes the returned event, also into an old session."""
        known = self._open.pop(alert, None)
        if known is not None:
            # A provisional alert: its final must not raise the same alert again.
            self.limits.keep(known.key, known.raised_s)
        return AlertAcknowledged(channel=channel, alert=alert, by=by)

    # Text.

    def _on_interim(self, session: str, event: SegmentInterim, now: Now) -> None:
        for hit in self._find(event.text, event.channel, is_interim=True):
            words_ms = _share_ms(event.start_ms, event.end_ms, hit.end, len(event.text))
            known = self._provisional(session, event.channel, event.utterance, hit.rule.name)
            if known is None:
                alert = self._raise(hit, session, event, now, words_ms, is_provisional=True)
                if alert is not None:
                    self._keep(alert)
            else:
                self._open[known.id] = replace(known, words_ms=words_ms)

    def _on_final(self, session: str, event: SegmentFinal, now: Now) -> None:
        hits = {hit.rule.name: hit for hit in self._find(event.text, event.channel)}
        for alert in [one for one in self._open.values() if one.is_provisional]:
            if (alert.session, alert.channel) != (session, event.channel):
                continue
            is_same = alert.utterance == event.utterance
            if is_same and alert.rule in hits:
                self._confirm(alert, hits.pop(alert.rule), event)
            elif (event.end_ms if is_same else event.start_ms) >= alert.words_ms:
                self._withdraw(alert, FINAL_DIFFERS)
        for hit in hits.values():
            words_ms = spoken_ms(event, hit)
            raised = self._raise(hit, session, event, now, words_ms, is_provisional=False)
            if raised is not None:
                self._keep(raised)
                self._note_latency(event, raised.raised_ms, words_ms)

    def _on_revised(self, session: str, event: SegmentRevised, now: Now) -> None:
        """Only withdrawals: a line that an operator corrected was read, so it needs no alert."""
        hits = {hit.rule.name for hit in self._find(event.text, event.channel)}
        self._withdraw_all(session, event.segment, REVISED, but=hits)

    def _withdraw_all(self, session: str, segment: str, reason: str, but: Collection[str] = ()) -> None:
        """Withdraw the open alerts of a line. but: rules whose alerts stay."""
        for alert in list(self._open.values()):
            if (alert.session, alert.segment) == (session, segment) and alert.rule not in but:
                self._withdraw(alert, reason)

    def _find(self, text: str, channel: str, *, is_interim: bool = False) -> list[Hit]:
        if self._matcher is None or not text.strip():
            return []
        return self._matcher.find(text, channel, is_interim=is_interim)

    def _provisional(self, session: str, channel: str, utterance: str, rule: str) -> OpenAlert | None:
        of = (session, channel, utterance, rule)
        for one in self._open.values():
            if one.is_provisional and (one.session, one.channel, one.utterance, one.rule) == of:
                return one
        return None

    def _raise(
        self,
        hit: Hit,
        session: str,
        event: SegmentInterim | SegmentFinal,
        now: Now,
        words_ms: int,
        *,
        is_provisional: bool,
    ) -> OpenAlert | None:
        rule, key = hit.rule, (hit.rule.name, session, event.channel)
        if not self.limits.allows(rule, key, now.wall_s, now.minute, is_provisional=is_provisional):
            return None
        alert = OpenAlert(
            self._new_id(),
            session,
            event.channel,
            rule.name,
            rule.level,
            raised_s=now.wall_s,
            raised_ms=now.ms,
            is_provisional=is_provisional,
            utterance=event.utterance,
            segment=event.segment if isinstance(event, SegmentFinal) else None,
            words_ms=words_ms,
        )
        self._write_raised(alert, rule, hit.matched, event.start_ms, event.end_ms)
        return alert

    def _confirm(self, alert: OpenAlert, hit: Hit, event: SegmentFinal) -> None:
        self._open[alert.id] = replace(alert, is_provisional=False, segment=event.segment)
        self.limits.keep(alert.key, alert.raised_s)
        self._note_latency(event, alert.raised_ms, spoken_ms(event, hit))
        self._emit(
            alert.session,
            AlertConfirmed(
                channel=alert.channel,
                alert=alert.id,
                matched=hit.matched,
                segment=event.segment,
                start_ms=event.start_ms,
                end_ms=event.end_ms,
            ),
        )

    def _withdraw(self, alert: OpenAlert, reason: str) -> None:
        del self._open[alert.id]
        self._emit(alert.session, AlertWithdrawn(channel=alert.channel, alert=alert.id, reason=reason))

    def _note_latency(self, event: SegmentFinal, raised_ms: int, words_ms: int) -> None:
        """Text of late audio, and an alert of the process before, say nothing about this server."""
        if event.source is None and raised_ms:
            self._on_latency(max(0, raised_ms - words_ms) / 1000)

    # Channels.

    def _raise_found(self, found: Iterable[Found], now: Now, *, is_counted: bool = True) -> bool:
        """Raise alerts for states of channels. True: at least one was raised.

        is_counted: whether a refusal counts as suppressed; a silence is found again at every tick.
        """
        is_raised = False
        for one in found:
            key = (one.rule.name, one.session, one.channel)
            allows = self.limits.allows
            if not allows(one.rule, key, now.wall_s, now.minute, is_counted=is_counted):
                continue
            alert = OpenAlert(
                self._new_id(),
                one.session,
                one.channel,
                one.rule.name,
                one.rule.level,
                raised_s=now.wall_s,
                raised_ms=now.ms,
                utterance=one.utterance,
            )
            self._keep(alert)
            self._write_raised(alert, one.rule, None, one.from_ms, max(one.from_ms, now.ms))
            is_raised = True
        return is_raised

    def _write_raised(
        self, alert: OpenAlert, rule: Rule, matched: str | None, start_ms: int, end_ms: int
    ) -> None:
        self.raised += 1
        self._emit(
            alert.session,
            AlertRaised(
                channel=alert.channel,
                alert=alert.id,
                rule=rule.name,
                level=rule.level,
                cause=rule.when,
                matched=matched,
                is_provisional=alert.is_provisional,
                utterance=alert.utterance,
                segment=alert.segment,
                start_ms=start_ms,
                end_ms=end_ms,
            ),
        )

    def _keep(self, alert: OpenAlert) -> None:
        self._open[alert.id] = alert
        while len(self._open) > OPEN_MAX:
            del self._open[next(iter(self._open))]


def _share_ms(start_ms: int, end_ms: int, chars: int, of_chars: int) -> int:
    """Where the first `chars` characters of a text end, if all of them take the same time."""
    return start_ms + round((end_ms - start_ms) * chars / max(1, of_chars))
