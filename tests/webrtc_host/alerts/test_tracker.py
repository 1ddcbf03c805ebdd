"""The life of an alert: provisional, confirmed or withdrawn, escalated, acknowledged, and never too often."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.events import an_event
from webrtc_host.alerts.limits import PER_MINUTE_MAX
from webrtc_host.alerts.matching import TextMatcher
from webrtc_host.alerts.rules import parse
from webrtc_host.alerts.tracker import AlertTracker, Now, OpenAlert
from webrtc_host.events import AlertAcknowledged, AlertEscalated, AlertRaised, AlertWithdrawn, Event
from webrtc_host.glossary.entries import Snapshot
from webrtc_host.seams import AlertLevel, EventType


class World:
    """A tracker with rules, a clock, and the events that it writes."""

    def __init__(self, *rules: dict[str, Any], **more: Any) -> None:
        self.written: list[Event] = []
        self.latencies: list[float] = []
        self.wall_s = 1_000_000.0
        self.minute = 12 * 60
        self._ids = iter(f"a_{n}" for n in range(100_000))
        self.tracker = AlertTracker(
            lambda session, event: self.written.append(event),
            lambda: next(self._ids),
            self.latencies.append,
        )
        self.use(*rules, **more)

    def use(self, *rules: dict[str, Any], **more: Any) -> None:
        found = parse({"rules": [{"name": f"r{i}", **rule} for i, rule in enumerate(rules)], **more})
        self.tracker.use(found, TextMatcher(found, Snapshot()))

    @property
    def now(self) -> Now:
        return Now(self.wall_s, self.minute, round((self.wall_s - 1_000_000) * 1000))

    def say(self, kind: EventType, channel: str = "C01", **fields: Any) -> None:
        self.tracker.take("s_1", an_event(kind, channel, **fields), self.now)

    def interim(self, text: str, utterance: str = "u_1", end_ms: int = 1000, **fields: Any) -> None:
        self.say(EventType.SEGMENT_INTERIM, text=text, utterance=utterance, end_ms=end_ms, **fields)

    def final(self, text: str, utterance: str = "u_1", end_ms: int = 1200, **fields: Any) -> None:
        self.say(EventType.SEGMENT_FINAL, text=text, utterance=utterance, end_ms=end_ms, **fields)

    def tick(self) -> None:
        self.tracker.tick(lambda session: self.now, self.wall_s)

    def kinds(self) -> list[str]:
        kinds = [event.kind.removeprefix("alert.") for event in self.written]
        self.written.clear()
        return kinds


MAYDAY = {"when": "terms", "terms": ["mayday"], "cooldown_s": 60}


def test_an_interim_raises_and_its_final_confirms() -> None:
    world = World(MAYDAY)
    world.wall_s += 1.0
    world.interim("this is mayday")
    (raised,) = world.written
    assert isinstance(raised, AlertRaised)
    assert (raised.is_provisional, raised.segment, raised.matched) == (True, None, "mayday")
    world.interim("this is mayday may", end_ms=1100)
    assert world.kinds() == ["raised"]
    world.wall_s += 1.0
    words = [
        {"text": w, "start_ms": 0, "end_ms": e} for w, e in (("this", 300), ("is", 400), ("mayday", 800))
    ]
    world.final("this is mayday", segment="g_7", words=words)
    assert world.kinds() == ["confirmed"]
    assert world.latencies == [pytest.approx(0.2)], "from the end of the word at 0.8 s to the alert at 1.0 s"


def test_a_final_without_the_words_withdraws_and_does_not_use_up_the_cooldown() -> None:
    world = World(MAYDAY)
    world.interim("mayday")
    world.final("my day off")
    assert world.kinds() == ["raised", "withdrawn"]
    world.interim("mayday", "u_2")
    assert world.kinds() == [], "one provisional alert in a cooldown"
    world.final("mayday", "u_2")
    assert world.kinds() == ["raised"]


def test_an_early_final_that_ends_before_the_words_decides_nothing() -> None:
    world = World(MAYDAY)
    world.interim("we are on our way to the gate mayday", end_ms=6000)
    world.final("we are on our way", end_ms=2500)
    assert world.kinds() == ["raised"]
    world.final("to the gate, mayday", start_ms=2500, end_ms=6000)
    assert world.kinds() == ["confirmed"]


def test_a_final_of_a_later_utterance_withdraws_what_its_own_utterance_left_open() -> None:
    world = World(MAYDAY)
    world.interim("mayday", end_ms=1000)
    world.final("nothing", "u_2", start_ms=3000, end_ms=4000)
    assert world.kinds() == ["raised", "withdrawn"]


def test_an_alert_of_a_final_is_raised_once_in_a_cooldown_for_each_channel() -> None:
    world = World(MAYDAY)
    world.final("mayday")
    world.final("mayday", "u_2")
    world.final("mayday", "u_3", channel="C02")
    assert world.kinds() == ["raised", "raised"]
    world.wall_s += 60
    world.final("mayday", "u_4")
    assert world.kinds() == ["raised"]


def test_no_rules_raise_more_alerts_in_a_minute_than_can_be_read() -> None:
    world = World(*({"when": "pattern", "pattern": ".*", "cooldown_s": 5} for _ in range(20)))
    for number in range(60):
        world.final("anything", f"u_{number}", channel=f"C{number + 1:02d}")
    assert len(world.written) == PER_MINUTE_MAX
    assert world.tracker.limits.suppressed == 20 * 60 - PER_MINUTE_MAX


def test_quiet_hours_raise_nothing() -> None:
    world = World({**MAYDAY, "quiet": [{"from": "11:00", "to": "13:00"}]})
    world.final("mayday")
    assert world.kinds() == []
    world.minute = 13 * 60
    world.final("mayday")
    assert world.kinds() == ["raised"]


def test_an_alert_that_no_operator_acknowledges_escalates_once() -> None:
    world = World({**MAYDAY, "level": "info", "escalate": {"after_s": 30, "level": "critical"}})
    world.final("mayday")
    world.wall_s += 29
    world.tick()
    assert world.kinds() == ["raised"]
    world.wall_s += 1
    world.tick()
    world.tick()
    (escalated,) = world.written
    assert isinstance(escalated, AlertEscalated) and escalated.level is AlertLevel.CRITICAL


def test_an_acknowledged_alert_does_not_escalate_and_its_final_raises_no_second_one() -> None:
    world = World({**MAYDAY, "escalate": {"after_s": 30}})
    world.interim("mayday")
    acknowledged = world.tracker.acknowledge("C01", "a_0", "kim")
    assert acknowledged == AlertAcknowledged(channel="C01", alert="a_0", by="kim")
    world.final("mayday")
    world.wall_s += 31
    world.tick()
    assert world.kinds() == ["raised"]


def test_a_revision_without_the_words_withdraws_the_alert() -> None:
    world = World(MAYDAY)
    world.final("mayday", segment="g_5")
    world.say(EventType.SEGMENT_REVISED, segment="g_5", text="mayday, mayday", by="kim")
    assert world.kinds() == ["raised"]
    world.say(EventType.SEGMENT_REVISED, segment="g_5", text="my day", revision=2, by="kim")
    (withdrawn,) = world.written
    assert isinstance(withdrawn, AlertWithdrawn) and withdrawn.reason == "revised"


def test_a_line_that_nobody_said_withdraws_its_alert() -> None:
    world = World(MAYDAY)
    world.final("mayday", segment="g_5")
    world.say(EventType.SEGMENT_MARKED, segment="g_5", mark="star", is_set=True)
    world.say(EventType.SEGMENT_MARKED, segment="g_6", mark="not_said", is_set=True)
    world.say(EventType.SEGMENT_MARKED, segment="g_5", mark="not_said", is_set=False)
    assert world.kinds() == ["raised"]
    world.say(EventType.SEGMENT_MARKED, segment="g_5", mark="not_said", is_set=True)
    (withdrawn,) = world.written
    assert isinstance(withdrawn, AlertWithdrawn) and withdrawn.reason == "not_said"


def test_activity_is_the_beginning_of_speech() -> None:
    world = World({"when": "activity", "channels": ["C02"]})
    world.say(EventType.SPEECH_STARTED, "C01")
    world.say(EventType.SPEECH_STARTED, "C02", start_ms=500)
    world.say(EventType.SPEECH_STARTED, "C02", start_ms=900)
    assert world.kinds() == ["raised"]


def test_a_silence_is_found_once_until_there_is_speech_again() -> None:
    world = World({"when": "silence", "after_s": 100, "cooldown_s": 5})
    world.say(EventType.CHANNEL_OPENED, start_ms=0)
    world.wall_s += 99
    world.tick()
    assert world.kinds() == []
    world.wall_s += 1
    world.tick()
    world.wall_s += 500
    world.tick()
    assert world.kinds() == ["raised"]
    world.say(EventType.SPEECH_STARTED, start_ms=1000)
    world.wall_s += 500
    world.tick()
    assert world.kinds() == [], "it is talking"
    world.say(EventType.SPEECH_ENDED, start_ms=1000, end_ms=2000)
    world.wall_s += 100
    world.tick()
    assert world.kinds() == ["raised"]


def test_a_lost_signal_is_found_after_its_time_but_not_when_the_sender_ended() -> None:
    world = World({"when": "no_signal", "after_s": 10, "cooldown_s": 5})
    world.say(EventType.CHANNEL_OPENED, start_ms=0)
    world.say(EventType.CHANNEL_STATE, state="no_signal", reason="no_packets")
    world.wall_s += 9
    world.say(EventType.CHANNEL_STATE, state="idle")
    world.wall_s += 9
    world.tick()
    assert world.kinds() == [], "it came back in time"
    world.say(EventType.CHANNEL_STATE, state="disconnected", reason="lost")
    world.say(EventType.CHANNEL_CLOSED, reason="lost")
    world.wall_s += 10
    world.tick()
    world.tick()
    assert world.kinds() == ["raised"]
    world.say(EventType.CHANNEL_OPENED, start_ms=0)
    world.say(EventType.CHANNEL_STATE, state="disconnected", reason="hung_up")
    world.say(EventType.CHANNEL_CLOSED, reason="hung_up")
    world.wall_s += 100
    world.tick()
    assert world.kinds() == []


def test_a_restarted_server_continues_alerts_and_cooldowns() -> None:
    world = World({**MAYDAY, "escalate": {"after_s": 30}})
    old = OpenAlert(
        *("a_old", "s_1", "C01", "r0", AlertLevel.WARNING),
        raised_s=world.wall_s - 20,
        is_provisional=True,
        utterance="u_1",
        words_ms=1000,
    )
    world.tracker.restore([old])
    world.tracker.limits.restore([(old.key, old.raised_s)])
    world.final("mayday")
    assert world.kinds() == ["confirmed"] and world.latencies == []
    world.wall_s += 10
    world.final("mayday", "u_2")
    world.tick()
    assert world.kinds() == ["escalated"]


def test_a_rule_that_was_removed_leaves_its_alerts_open() -> None:
    world = World(MAYDAY)
    world.final("mayday")
    world.use()
    world.final("mayday", "u_2")
    world.tick()
    assert world.kinds() == ["raised"] and world.tracker.open_count == 1
