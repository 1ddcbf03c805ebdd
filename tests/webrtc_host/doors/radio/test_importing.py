"""The place of a recorded call on its channel, and calls that are sent twice. Without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tests.support.audio_files import encoded
from tests.support.peers import Rig
from webrtc_host.doors.radio.calls import Call, CallTalker, Transmission
from webrtc_host.doors.radio.importing import CallImporter, Taken
from webrtc_host.doors.radio.talkgroups import Talkgroups, UnknownTalkgroup
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.events import Talker
from webrtc_host.recovery.audio import Run
from webrtc_host.seams import Block, EventType
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.settings.radio import RadioTalkgroup

SECOND = 16_000
NOON_S = 1_795_000_000.0
FIRE = RadioTalkgroup(talkgroup=5001, channel="C05", systems=("11", "county"), label="Fire")
CALL = Call(("11", "county"), 5001, NOON_S, "FD Disp", (CallTalker(1, 0.0, "Engine 12"), CallTalker(2, 2.0)))


def audio(seconds: float, level: float = 0.1) -> bytes:
    return encoded(np.full((1, round(seconds * 8000)), level, np.float32), 8000)


class Kept:
    """Takes calls in place of the recovery, and keeps them in a list."""

    def __init__(self) -> None:
        self.calls: list[tuple[Channel, Sequence[Run], Sequence[Talker]]] = []
        self.is_full = False

    def check_space(self, samples: int = 0) -> None:
        if self.is_full:
            raise Overloaded("calls_waiting", "too many calls wait", retry_after_s=5)

    async def take(self, channel: Channel, runs: Sequence[Run], talkers: Sequence[Talker]) -> None:
        self.calls.append((channel, runs, talkers))


class World:
    """A session that began at noon. `at` moves the clock to so many seconds after noon."""

    def __init__(self, known: tuple[RadioTalkgroup, ...] = (FIRE,), unknown: str = "refuse") -> None:
        self.now_s = 0.0
        self.rig = Rig(
            clock=lambda: self.now_s, wall=lambda: datetime.fromtimestamp(NOON_S + self.now_s, UTC)
        )
        self.kept = Kept()
        self.talkgroups = Talkgroups(known, unknown, 64)  # type: ignore[arg-type]  # one of the three words
        self.importer = CallImporter(
            *(self.rig.registry, self.talkgroups, self.kept),
            wall=lambda: NOON_S + self.now_s,
            call_s_max=60,
        )

    async def take(self, at_s: float, seconds: float, now_s: float | None = None, **call: object) -> Taken:
        """A call that began so long after noon, sent two seconds after its end."""
        self.now_s = at_s + seconds + 2 if now_s is None else now_s
        wanted = replace(CALL, start_s=NOON_S + at_s, **call)  # type: ignore[arg-type]  # fields of a call
        return await self.importer.take(wanted, audio(seconds), "call.wav", "radio room")

    @property
    def places(self) -> list[tuple[float, float]]:
        runs = [run for _, runs, _ in self.kept.calls for run in runs]
        return [(run.start_sample / SECOND, run.end_sample / SECOND) for run in runs]


@pytest.fixture
def world() -> World:
    world = World()
    world.rig.registry.current()
    return world


async def test_a_call_lies_at_its_time_and_its_channel_has_its_name(world: World) -> None:
    taken = await world.take(30.5, 4)
    assert (taken.channel, taken.is_duplicate, taken.start_ms, taken.seconds) == ("C05", False, 30_500, 4)
    assert world.places == [(30.5, 34.5)]
    assert world.kept.calls[0][2] == (Talker(1, 30_500, "Engine 12"), Talker(2, 32_500))
    (opened,) = world.rig.logs[taken.session].of(EventType.CHANNEL_OPENED, "C05")
    assert (opened["door"], opened["label"], opened["by"], opened["start_ms"]) == (
        *("call", "Fire", "radio room"),
        30_500,
    )
    (closed,) = world.rig.logs[taken.session].of(EventType.CHANNEL_CLOSED, "C05")
    assert (closed["reason"], closed["end_ms"]) == ("read", 34_500)
    assert world.rig.registry.connections == {}


async def test_a_call_that_is_sent_again_is_a_duplicate(world: World) -> None:
    for at_s, seconds in ((10, 5), (15, 0.5), (10, 5), (15, 0.5)):
        await world.take(at_s, seconds, now_s=40)
    assert world.places == [(10, 15), (15, 15.5)]


async def test_the_same_call_from_another_site_is_a_duplicate(world: World) -> None:
    assert not (await world.take(10, 5)).is_duplicate
    assert (await world.take(10.8, 4.7, systems=("county",))).is_duplicate
    assert world.places == [(10, 15)]


async def test_a_start_in_whole_seconds_is_moved_behind_the_call_before(world: World) -> None:
    await world.take(10, 5.4)
    await world.take(15, 3)
    assert world.places == [(10, 15.4), (15.4, 18.4)]
    assert world.kept.calls[1][2][1] == Talker(2, 17_400)


async def test_of_a_call_that_overlaps_another_one_the_rest_is_taken(world: World) -> None:
    await world.take(20, 5)
    await world.take(16, 6, now_s=30)
    assert world.places == [(20, 25), (16, 20)]
    assert (await world.take(18, 6, now_s=30)).is_duplicate


async def test_the_transmissions_of_a_call_lie_at_their_own_times(world: World) -> None:
    transmissions = (
        Transmission(0, NOON_S + 10),
        Transmission(2, NOON_S + 12),  # directly behind the first one
        Transmission(4.5, NOON_S + 18),  # after a pause of 3.5 s that the audio leaves out
    )
    talkers = (CallTalker(1, 0), CallTalker(2, 2), CallTalker(3, 4.5))
    taken = await world.take(10, 6, now_s=30, transmissions=transmissions, talkers=talkers)
    assert world.places == [(10, 14.5), (18, 19.5)]
    assert [talker.start_ms for talker in world.kept.calls[0][2]] == [10_000, 12_000, 18_000]
    log = world.rig.logs[taken.session]
    assert [one["end_ms"] for one in log.of(EventType.CHANNEL_CLOSED, "C05")] == [19_500]
    assert (await world.take(10, 6.1, now_s=30, transmissions=transmissions)).is_duplicate
    await world.take(15, 2, now_s=30)
    assert world.places[2:] == [(15, 17)]


async def test_the_first_call_of_a_new_session_is_its_beginning() -> None:
    world = World()
    taken = await world.take(100, 4)
    (started,) = world.rig.logs[taken.session].of(EventType.SESSION_STARTED)
    assert (taken.start_ms, started["is_current"]) == (0, True)
    assert started["t0_wall"].startswith(datetime.fromtimestamp(NOON_S + 100, UTC).isoformat()[:19])


async def test_a_call_from_before_the_session_is_refused_and_so_is_one_from_the_future(world: World) -> None:
    with pytest.raises(RequestError, match="began 30 s before the session") as early:
        await world.take(-30, 5, now_s=10)
    with pytest.raises(RequestError, match="check both clocks") as late:
        await world.take(500, 5, now_s=10)
    assert early.value.status == late.value.status == 422
    assert world.kept.calls == []


async def test_a_sender_whose_clock_is_a_little_ahead_does_no_harm(world: World) -> None:
    await world.take(23, 5, now_s=20)
    assert world.places == [(15, 20)]


async def test_a_channel_that_is_fed_live_keeps_its_connection(world: World) -> None:
    async def end(reason: str) -> int:
        return 0

    registry = world.rig.registry
    connection = registry.connect(registry.current(), DoorKind.SOCKET, [ChannelSpec("C05")], end)
    world.now_s = 100
    channel = connection.channels[0]
    channel.open()
    channel.feed(Block(100 * SECOND, np.zeros(5 * SECOND, np.float32)))
    await world.take(50, 5, now_s=106)
    assert (await world.take(101, 4, now_s=107)).is_duplicate
    assert world.places == [(50, 55)]
    assert channel.connection is connection
    assert len(world.rig.logs[channel.session.id].of(EventType.CHANNEL_OPENED)) == 1


async def test_nothing_stays_reserved_when_a_call_is_not_taken(world: World) -> None:
    world.kept.is_full = True
    with pytest.raises(Overloaded):
        await world.take(10, 5)
    world.kept.is_full = False
    with pytest.raises(RequestError) as bad:
        await world.importer.take(replace(CALL, start_s=NOON_S + 10), b"no audio", "x.wav", None)
    assert bad.value.status == 415
    with pytest.raises(RequestError) as long:
        await world.take(10, 61)
    assert long.value.status == 413
    assert not (await world.take(10, 5)).is_duplicate


async def test_talkgroups_that_are_not_known_are_refused_before_a_session_is_made() -> None:
    world = World()
    with pytest.raises(UnknownTalkgroup, match="talkgroup 9 of system 11 / county"):
        await world.take(10, 5, talkgroup=9)
    with pytest.raises(UnknownTalkgroup):
        await world.take(10, 5, systems=("12",))
    assert list(world.rig.registry) == []


async def test_further_talkgroups_get_the_next_channels() -> None:
    world = World((replace_channel(FIRE, "C01"),), "next")
    world.rig.registry.current()
    channels = [
        (await world.take(at_s, 2, talkgroup=talkgroup, label=label)).channel
        for at_s, talkgroup, label in ((10, 5001, None), (10, 7, None), (10, 8, "EMS"), (20, 7, None))
    ]
    assert channels == ["C01", "C02", "C03", "C02"]
    after_restart = Talkgroups((), "next", 64)
    session = world.rig.registry.current()
    spec = after_restart.channel_of(session, (), 8, "EMS")
    assert (spec.channel, spec.label) == ("C03", "EMS (8)")
    full = Talkgroups((), "next", 3)
    with pytest.raises(Overloaded, match="all 3 channels"):
        full.channel_of(session, (), 99, None)


def replace_channel(talkgroup: RadioTalkgroup, channel: str) -> RadioTalkgroup:
    return talkgroup.model_copy(update={"channel": channel})
