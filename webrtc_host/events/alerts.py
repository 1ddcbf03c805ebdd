"""The events of alerts."""

from __future__ import annotations

from dataclasses import dataclass

from webrtc_host.events.base import ChannelEvent, check_member, check_range
from webrtc_host.seams import AlertCause, AlertLevel, EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent(ChannelEvent):
    """An event of one alert. alert: its id."""

    alert: str

    def __post_init__(self) -> None:
        ChannelEvent.__post_init__(self)
        if not self.alert:
            raise ValueError(f"an event {self.kind} needs the id of its alert")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRaised(AlertEvent):
    """A rule found what it waits for. The event has no line of text: `segment` names the line."""

    kind = EventType.ALERT_RAISED

    rule: str
    level: AlertLevel
    cause: AlertCause
    matched: str | None = None
    """The words that the rule found; None: the cause is not in the text."""
    is_provisional: bool = False
    """True for words of an interim: `alert.confirmed` or `alert.withdrawn` follows with the final."""
    utterance: str | None = None
    segment: str | None = None
    """Id of the final that has the words; None: there is no final yet, or the cause is not in the text."""
    start_ms: int
    end_ms: int
    """The range of the audio: of the line, the silence or the lost signal."""

    def __post_init__(self) -> None:
        AlertEvent.__post_init__(self)
        check_member(AlertLevel, self.level)
        check_member(AlertCause, self.cause)
        check_range(self.alert, self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertConfirmed(AlertEvent):
    """The final has the words of a provisional alert."""

    kind = EventType.ALERT_CONFIRMED

    matched: str
    segment: str
    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        AlertEvent.__post_init__(self)
        check_range(self.alert, self.start_ms, self.end_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertWithdrawn(AlertEvent):
    """The words of an alert are not in the text: the final differs from the interim, or was revised."""

    kind = EventType.ALERT_WITHDRAWN

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEscalated(AlertEvent):
    """No operator acknowledged the alert in time, so it is more urgent now."""

    kind = EventType.ALERT_ESCALATED

    level: AlertLevel

    def __post_init__(self) -> None:
        AlertEvent.__post_init__(self)
        check_member(AlertLevel, self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAcknowledged(AlertEvent):
    kind = EventType.ALERT_ACKNOWLEDGED

    by: str
    """Name of the token of the operator."""
