"""Which connection feeds which channel, the limits, and that a channel's blocks never go backwards."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.peers import BlockRecorder, PacketArchive, Rig
from webrtc_host.config import LimitsConfig
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.seams import Block, BlockKind, ChannelState, EventType, OpusPacket
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import MakeArchive
from webrtc_host.session.session import Session

MS = 16


class World(Rig):
    """A rig with a clock that only the test advances."""

    def __init__(
        self,
        limits: LimitsConfig | None = None,
        make_archive: MakeArchive | None = None,
        keeper: type[BlockRecorder] = BlockRecorder,
    ) -> None:
        self.now_s = 1000.0
        super().__init__(
            limits,
            clock=lambda: self.now_s,
            wall=lambda: datetime(2026, 11, 21, 6, 10, tzinfo=UTC),
            make_archive=make_archive,
            keeper=keeper,
        )
        self.ended: list[str] = []

    def connect(self, *specs: ChannelSpec, session: Session | None = None) -> Connection:
        async def end(reason: str) -> int:
            self.ended.append(reason)
            seqs = [await channel.close(reason) for channel in connection.channels]
            self.registry.disconnect(connection)
            return max(seqs)

        connection = self.registry.connect(
            session or self.registry.current(), DoorKind.WEBRTC, specs or [ChannelSpec()], end
        )
        return connection

    def open(self, *specs: ChannelSpec) -> Channel:
        channel = self.connect(*specs).channels[0]
        channel.open()
        return channel


def block(start_ms: int, ms: int = 20, kind: BlockKind = BlockKind.AUDIO) -> Block:
    samples = np.arange(start_ms * MS, (start_ms + ms) * MS).astype(np.float32)
    return Block(start_ms * MS, samples, kind)


def ids(connection: Connection) -> list[str]:
    return [channel.id for channel in connection.channels]


def test_the_current_session_is_created_once_and_begins_with_its_event() -> None:
    world = World()
    session = world.registry.current()
    assert world.registry.current() is session is world.registry.get(None)
    assert world.registry.get(session.id) is session
    started = {"name": session.name, "t0_wall": "2026-11-21T06:10:00.000Z", "is_current": True}
    assert world.logs[session.id].events == [(EventType.SESSION_STARTED, None, started)]


def test_time_runs_from_the_start_of_the_session() -> None:
    world = World()
    session = world.registry.current()
    world.now_s += 1.5
    assert (session.now_sample(), session.now_ms()) == (24_000, 1_500)


async def test_after_its_end_another_session_becomes_the_current_one() -> None:
    world = World()
    first = world.registry.current()
    channel = world.open()
    await world.registry.end(first)
    await world.registry.end(first)
    kinds = [kind for kind, _, _ in world.logs[first.id].events]
    assert kinds[-2:] == [EventType.CHANNEL_CLOSED, EventType.SESSION_ENDED]
    assert kinds.count(EventType.SESSION_ENDED) == 1
    assert world.ended == ["session_ended"] and channel.connection is None
    assert world.registry.current() is not first
    with pytest.raises(RequestError, match="has ended") as caught:
        world.registry.get_live(first.id)
    assert caught.value.status == 409


def test_an_unknown_session_is_404() -> None:
    with pytest.raises(RequestError) as caught:
        World().registry.get("s_nowhere")
    assert (caught.value.code, caught.value.status) == ("unknown_session", 404)


async def test_the_table_of_sessions_is_bounded_and_drops_ended_ones_first() -> None:
    world = World(LimitsConfig(sessions=2))
    first, second = world.registry.create("day"), world.registry.create("night")
    with pytest.raises(Overloaded, match="limits.sessions") as caught:
        world.registry.create()
    assert (caught.value.status, caught.value.retry_after_s) == (429, 5.0)
    await world.registry.end(second)
    third = world.registry.create()
    assert list(world.registry) == [first, third]


def test_the_lowest_free_channels_beside_the_named_ones_are_attached() -> None:
    world = World()
    named = ChannelSpec("C02", "Tower", "ko", ("Alpha-1",))
    connection = world.connect(ChannelSpec(), named, ChannelSpec())
    assert ids(connection) == ["C01", "C02", "C03"]
    tower = connection.channels[1]
    assert (tower.label, tower.language, tower.terms) == ("Tower", "ko", ("Alpha-1",))
    assert (connection.channels[0].label, connection.channels[0].language) == ("C01", "auto")
    assert ids(world.connect()) == ["C04"]
    world.registry.disconnect(connection)
    assert ids(world.connect()) == ["C01"]
    assert tower.label == "Tower"  # the channel keeps its label


@pytest.mark.parametrize("channel_id", ["C65", "C00", "C1", "c01", "C001", "", "C0١"])
def test_channel_ids_outside_the_range_are_refused(channel_id: str) -> None:
    with pytest.raises(RequestError, match="is outside C01-C64") as caught:
        World().connect(ChannelSpec(channel_id))
    assert caught.value.status == 422


def test_a_refused_connection_keeps_no_channel() -> None:
    world = World()
    world.connect(ChannelSpec("C02"))
    for specs in ([ChannelSpec("C01"), ChannelSpec("C02")], [ChannelSpec("C01"), ChannelSpec("C01")]):
        with pytest.raises(RequestError):
            world.connect(*specs)
    assert ids(world.connect(ChannelSpec("C01"))) == ["C01"]


def test_a_channel_with_a_sender_is_409_and_the_message_names_it() -> None:
    world = World()
    world.connect(ChannelSpec("C02"))
    with pytest.raises(RequestError, match="channel C02 is already fed") as caught:
        world.connect(ChannelSpec("C02"))
    assert (caught.value.code, caught.value.status) == ("channel_fed", 409)


def test_the_numbers_of_channels_of_session_and_process_are_limited() -> None:
    world = World(LimitsConfig(channels_per_session=3, channels_per_process=4))
    world.connect(*[ChannelSpec()] * 3)
    with pytest.raises(Overloaded) as caught:
        world.connect()
    assert caught.value.code == "no_free_channel"
    other = world.registry.create()
    with pytest.raises(Overloaded) as caught:
        world.connect(ChannelSpec(), ChannelSpec(), session=other)
    assert caught.value.code == "too_many_channels"
    assert ids(world.connect(session=other)) == ["C01"]
    with pytest.raises(RequestError, match="C04 is outside C01-C03"):
        world.registry.channel(other, "C04")


async def test_the_events_of_a_channel_that_opens_and_closes() -> None:
    world = World()
    channel = world.open(ChannelSpec("C03", "Tower", "en"))
    channel.open()
    channel.feed(block(0))
    seq = await channel.close("hung_up")
    log = world.logs[channel.session.id]
    assert seq == log.head_seq
    assert [(kind, fields) for kind, channel_id, fields in log.events if channel_id == "C03"] == [
        (
            EventType.CHANNEL_OPENED,
            {
                "connection": world.registry.connections.popitem()[0],
                "label": "Tower",
                "language": "en",
                "door": "webrtc",
                "start_ms": 0,
                "start": "00:00.000",
            },
        ),
        (EventType.CHANNEL_STATE, {"state": "idle", "at_ms": 0}),
        (EventType.COVERAGE, {"from_ms": 0, "to_ms": 20, "state": "failed", "reason": "not_read"}),
        (EventType.CHANNEL_STATE, {"state": "disconnected", "reason": "hung_up", "at_ms": 0}),
        (
            EventType.CHANNEL_CLOSED,
            {
                "connection": log.events[1][2]["connection"],
                "reason": "hung_up",
                "end_ms": 20,
                "end": "00:00.020",
            },
        ),
    ]
    assert world.pipeline("C03").is_closed


async def test_closing_a_channel_that_was_only_reserved_emits_no_event() -> None:
    world = World()
    channel = world.connect().channels[0]
    events = len(world.logs[channel.session.id].events)
    await channel.close("connect_timeout")
    assert channel.connection is None
    assert len(world.logs[channel.session.id].events) == events


async def test_a_state_is_reported_when_it_changes() -> None:
    world = World()
    channel = world.open()
    for state in (ChannelState.NO_SIGNAL, ChannelState.NO_SIGNAL, ChannelState.IDLE):
        channel.report(state)
    reported = world.logs[channel.session.id].of(EventType.CHANNEL_STATE)
    assert [event["state"] for event in reported] == ["idle", "no_signal", "idle"]


async def test_a_lost_signal_has_priority_over_the_silence_after_it() -> None:
    channel = World().open()
    assert channel.accept_state(ChannelState.TALKING)
    channel.report(ChannelState.NO_SIGNAL, "no_packets")
    assert not channel.accept_state(ChannelState.IDLE)
    assert channel.state is ChannelState.NO_SIGNAL
    assert channel.accept_state(ChannelState.BEHIND)


async def test_time_without_a_sender_is_in_the_coverage() -> None:
    world = World()
    world.now_s += 1.0
    session = world.registry.current()
    world.now_s += 1.0
    channel = world.open()
    channel.feed(block(1_200))
    await channel.close("hung_up")
    world.now_s += 5.0
    world.open(ChannelSpec(channel.id)).feed(block(6_000))
    holes = world.logs[session.id].of(EventType.COVERAGE)
    assert [(hole["from_ms"], hole["to_ms"], hole["state"], hole.get("reason")) for hole in holes] == [
        (1_000, 1_200, "lost", "not_fed"),
        (1_200, 1_220, "failed", "not_read"),
        (1_220, 6_000, "closed", None),
    ]
    assert list(channel.taken) == [(1_200 * MS, 1_220 * MS)]


async def test_a_pipeline_that_fails_while_closing_logs_one_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class FailsToClose(BlockRecorder):
        async def close(self) -> None:
            raise ValueError("a bug")

    world = World(keeper=FailsToClose)
    channel = world.connect().channels[0]
    channel.open()
    with caplog.at_level(logging.ERROR):
        await channel.close("hung_up")
    assert len(caplog.records) == 1
    assert world.logs[channel.session.id].of(EventType.CHANNEL_CLOSED)
    assert ids(world.connect(ChannelSpec(channel.id))) == [channel.id]


async def test_stopping_the_server_drains_every_connection_and_ends_no_session() -> None:
    world = World()
    world.open()
    world.open()
    await world.registry.close()
    assert world.ended == ["server_stopping"] * 2
    assert not world.registry.current().is_ended
    assert world.registry.statistics()["connections"] == 0


async def test_a_connection_that_is_slow_to_end_delays_no_other() -> None:
    world = World()
    order: list[str] = []
    free = asyncio.Event()

    async def slow(reason: str) -> int:
        await free.wait()
        order.append("slow")
        return 0

    async def quick(reason: str) -> int:
        order.append("quick")
        free.set()
        return 0

    for end in (slow, quick):
        world.registry.connect(world.registry.current(), DoorKind.WEBRTC, [ChannelSpec()], end)
    await world.registry.close()
    assert order == ["quick", "slow"]


def test_statistics_count_sessions_channels_and_connections() -> None:
    world = World()
    world.connect(ChannelSpec(), ChannelSpec())
    assert world.registry.statistics() == {
        "sessions": 1,
        "connections": 1,
        "channels_fed": 2,
        **{f"connections_{kind.value}": 0 for kind in DoorKind},
        "connections_webrtc": 1,
    }


def test_feeding_a_closed_channel_raises_an_error() -> None:
    world = World()
    with pytest.raises(RuntimeError, match="C01 is fed but not open"):
        world.connect().channels[0].feed(block(0))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2_000), st.integers(1, 300)), max_size=40))
async def test_blocks_never_overlap_and_never_go_back_over_reconnects(
    steps: list[tuple[bool, int, int]],
) -> None:
    world = World()
    channel = world.open()
    for is_reconnect, start_ms, ms in steps:
        if is_reconnect:
            await channel.close("hung_up")
            world.registry.connections.clear()
            world.open(ChannelSpec(channel.id))
        channel.feed(block(start_ms, ms))
    fed = [b for pipeline in world.pipelines for b in pipeline.blocks]
    for before, after in zip(fed, fed[1:], strict=False):
        assert before.end_sample <= after.start_sample
    for b in fed:
        assert len(b.samples) and b.samples[0] == b.start_sample  # cut at the front, never moved


async def test_packets_go_to_the_archive_unchanged_unless_they_overlap_earlier_audio() -> None:
    World().open().archive_packet(OpusPacket(0, 320, b"nobody keeps"))
    archive = PacketArchive()
    channel = World(make_archive=lambda *_: archive).open()
    for start_ms in (0, 20, 30, 60):
        packet = OpusPacket(start_ms * MS, 20 * MS, b"%d" % start_ms)
        channel.archive_packet(packet)
        channel.feed(block(start_ms))
    assert [packet.payload for packet in archive.packets] == [b"0", b"20", b"60"]


def test_a_channel_is_attached_by_one_connection_and_detached_by_it_alone() -> None:
    world = World()
    first = world.connect(ChannelSpec("C01"))
    channel = first.channels[0]
    second = world.connect(ChannelSpec("C02"))
    with pytest.raises(RuntimeError, match=f"channel C01 of .* is held by {first.id}"):
        channel.claim(second, ChannelSpec("C01"))
    channel.release(second)
    assert world.registry.holder_of(channel) is first
    channel.release(first)
    assert world.registry.holder_of(channel) is channel.connection is None
    channel.claim(second, ChannelSpec("C01", label="Tower", language="de", terms=("QNH",)))
    assert (channel.label, channel.language, channel.terms) == ("Tower", "de", ("QNH",))
    assert world.registry.holder_of(channel) is second


def test_time_reserved_for_an_upload_is_free_again_if_the_upload_failed() -> None:
    channel = World().connect().channels[0]
    with channel.reserve(100, 200):
        assert list(channel.taken) == [(100, 200)]
    with pytest.raises(ValueError, match="unreadable"), channel.reserve(150, 300):
        raise ValueError("unreadable")
    assert list(channel.taken) == [(100, 200)], "earlier reserved time stays reserved"


def test_archived_audio_beyond_the_record_moves_the_channel_only_forward() -> None:
    channel = World().connect().channels[0]
    channel.restore_archived(1_000, 5_000)
    channel.restore_archived(2_000, 1_500)
    assert (channel.end_sample, list(channel.taken)) == (5_000, [(1_000, 5_000)])
