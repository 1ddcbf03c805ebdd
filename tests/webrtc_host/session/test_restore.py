"""Session restore: time, channels, and the events about the time without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.support.peers import BlockRecorder, ListLog
from webrtc_host.config import LimitsConfig
from webrtc_host.seams import CoverageState, EventType
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.restore import restore_sessions
from webrtc_host.transcript.restart import (
    FormerChannel,
    FormerFeed,
    FormerRecord,
    FormerRun,
    FormerSession,
)

T0_WALL_MS = 1_795_241_400_000
T0_WALL_S = T0_WALL_MS / 1000


def a_channel(channel: str = "C01", closed_ms: int | None = None, **more: Any) -> FormerChannel:
    fields: dict[str, Any] = {
        "label": "Gate",
        "language": "ko",
        "first_opened_ms": 1000,
        "end_ms": 4000,
        "terms": ("Alpha-1",),
        "feeds": (FormerFeed("c_1", 1000, closed_ms),),
        "coverage": (FormerRun(1000, 3000, "silence", None),),
    }
    return FormerChannel(channel=channel, **(fields | more))


def a_session(*channels: FormerChannel, **more: Any) -> FormerSession:
    fields: dict[str, Any] = {
        "id": "s_1",
        "name": "night",
        "t0_wall_ms": T0_WALL_MS,
        "is_ended": False,
        "is_current": True,
        "head_seq": 41,
        "alive_ms": 5000,
    }
    return FormerSession(channels=channels, **(fields | more))


class World:
    def __init__(self) -> None:
        self.logs: dict[str, ListLog] = {}
        self.now_s = 1000.0
        self.registry = SessionRegistry(
            LimitsConfig(channels_per_session=8), self.make_log, BlockRecorder, clock=lambda: self.now_s
        )

    def make_log(self, session_id: str, now_ms: Any, head_seq: int = 0) -> ListLog:
        self.logs[session_id] = ListLog(session_id, now_ms, head_seq)
        return self.logs[session_id]

    def restore(self, *sessions: FormerSession, after_s: float = 60.0, was_stopped: bool = False) -> Any:
        former = FormerRecord(sessions, 7, 9, T0_WALL_MS + 5500, was_stopped)
        return restore_sessions(self.registry, former, self.make_log, T0_WALL_S + after_s)

    def coverage(self) -> list[tuple[Any, ...]]:
        told = self.logs["s_1"].of(EventType.COVERAGE)
        return [(one["from_ms"], one["to_ms"], one["state"], one.get("reason")) for one in told]


def test_a_restored_session_keeps_its_clock_its_seq_and_stays_current() -> None:
    world = World()
    (restored,) = world.restore(a_session(a_channel()))
    session = world.registry.current()
    assert session is restored.session is world.registry.get("s_1")
    assert (session.name, session.now_ms()) == ("night", 60_000)
    assert session.started_wall == datetime.fromtimestamp(T0_WALL_S, UTC)
    assert (restored.down_from_ms, restored.down_to_ms, restored.cut_off) == (5500, 60_000, ("C01",))
    world.now_s += 1.5
    assert session.now_ms() == 61_500


def test_time_does_not_run_backwards_when_the_wall_clock_was_set_back() -> None:
    world = World()
    (restored,) = world.restore(a_session(a_channel(), alive_ms=90_000), after_s=-3600.0)
    assert restored.session.now_ms() == 90_000
    assert world.coverage() == [(3000, 90_000, "lost", "server_down")]


def test_after_a_crash_open_channels_are_closed_and_the_time_until_now_is_lost() -> None:
    world = World()
    world.restore(a_session(a_channel("C01"), a_channel("C02", closed_ms=4000)))
    closed = world.logs["s_1"].of(EventType.CHANNEL_CLOSED)
    assert closed == [{"connection": "c_1", "reason": "server_crashed", "end_ms": 4000, "end": "00:04.000"}]
    assert world.coverage() == [
        (3000, 60_000, "lost", "server_down"),
        (3000, 5500, "lost", "not_fed"),
        (5500, 60_000, "lost", "server_down"),
    ]


def test_a_channel_that_was_closed_in_order_stays_closed_over_a_restart() -> None:
    world = World()
    feeds = (FormerFeed("c_1", 1000, 4000, "hung_up"),)
    (restored,) = world.restore(a_session(a_channel(feeds=feeds)))
    assert world.coverage() == [(3000, 5500, "closed", None), (5500, 60_000, "lost", "server_down")]
    assert restored.session.channels["C01"].coverage.gap.state is CoverageState.CLOSED


def test_restored_channels_keep_their_settings_and_can_be_fed_again() -> None:
    world = World()
    (restored,) = world.restore(a_session(a_channel(closed_ms=4000)))
    channel = restored.session.channels["C01"]
    assert (channel.label, channel.language, channel.terms) == ("Gate", "ko", ("Alpha-1",))
    assert (channel.end_sample, list(channel.taken)) == (64_000, [(16_000, 64_000)])
    assert channel.missing(0, 64_000) == [(48_000, 64_000)]

    async def end(reason: str) -> int:
        return 0

    specs = [ChannelSpec("C01")]
    (fed,) = world.registry.connect(restored.session, DoorKind.WEBRTC, specs, end).channels
    assert fed is channel


def test_an_orderly_stop_is_no_crash() -> None:
    world = World()
    (restored,) = world.restore(a_session(a_channel()), was_stopped=True)
    assert restored.was_stopped
    assert world.logs["s_1"].of(EventType.CHANNEL_CLOSED)[0]["reason"] == "server_stopping"


def test_an_ended_session_can_be_found_and_gets_no_events() -> None:
    world = World()
    assert world.restore(a_session(is_ended=True, is_current=False)) == ()
    assert world.registry.get("s_1").is_ended
    assert world.logs["s_1"].events == []
    assert world.registry.current().id != "s_1"


def test_a_channel_beyond_a_lowered_limit_is_left_out() -> None:
    world = World()
    (restored,) = world.restore(a_session(a_channel("C09"), a_channel("C02")))
    assert list(restored.session.channels) == ["C02"]
