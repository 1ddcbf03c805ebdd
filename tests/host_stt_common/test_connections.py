"""The count of connections: who makes room for whom, and how long each may take. No socket, no clock."""

from __future__ import annotations

import pytest

from host_stt_common.connections import ConnectionLimits, Connections, Place, Stage


class Wire:
    """A connection's two ends, as the test says they are."""

    def __init__(self) -> None:
        self.unsent = self.owed = self.taken = 0
        self.wants_body = False
        self.stalled = 0

    def unsent_bytes(self) -> int:
        return self.unsent

    def owed_bytes(self) -> int:
        return self.owed

    def taken_bytes(self) -> int:
        return self.taken

    def is_waiting_for_body(self) -> bool:
        return self.wants_body

    def body_stalled(self) -> None:
        self.stalled += 1


class World:
    """Connections at a time that is set by hand."""

    def __init__(self, **limits: float) -> None:
        self.now_s = 1000.0
        self.closed: list[str] = []
        self.book = Connections(
            ConnectionLimits(**limits),  # type: ignore[arg-type]  # ints and floats as the test names them
            clock=lambda: self.now_s,
            is_trusted=lambda address: address == "10.0.0.1",
        )

    def admit(self, name: str, address: str = "192.0.2.1") -> Place:
        place = self.try_to(name, address)
        assert place is not None, name
        return place

    def try_to(self, name: str, address: str = "192.0.2.1") -> Place | None:
        return self.book.admit(address, lambda: self.closed.append(name))

    def after(self, seconds: float) -> None:
        self.now_s += seconds
        self.book.sweep()

    def serve(self, place: Place) -> Wire:
        self.book.count_received(place, 100)
        self.book.request_began(place)
        wire = place.wire = Wire()
        return wire


def test_at_the_limit_the_oldest_silent_connection_is_closed() -> None:
    world = World(total=3)
    busy = world.admit("busy")
    world.serve(busy)
    for name in ("a", "b", "c", "d"):
        world.admit(name)
    assert world.closed == ["a", "b"]
    assert len(world.book) == 3
    assert busy.stage is Stage.BUSY


def test_idle_connections_are_closed_after_silent_ones_and_only_without_unsent_data() -> None:
    world = World(total=3)
    owing, idle = world.admit("owing"), world.admit("idle")
    world.serve(owing).owed = 5
    world.serve(idle)
    world.book.request_ended(owing)
    world.book.request_ended(idle)
    world.admit("silent")
    world.admit("next")
    assert world.closed == ["silent"]
    world.serve(world.admit("again"))  # in place of `next`
    world.admit("last")
    assert world.closed == ["silent", "next", "idle"]


def test_the_newest_connection_is_refused_only_when_all_others_have_requests() -> None:
    world = World(total=2)
    for name in ("a", "b"):
        world.serve(world.admit(name))
    assert world.try_to("c") is None
    assert world.closed == []
    assert world.book.statistics()["refused"] == 1


@pytest.mark.parametrize(
    ("address", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "192.0.2.2")],
)
def test_strangers_of_one_address_have_a_limit_of_their_own(address: str, other: str) -> None:
    world = World(strangers_per_address=2)
    for name in ("a", "b", "c"):
        world.admit(name, address)
    world.admit("other", other)
    assert world.closed == ["a"]


def test_strangers_of_one_ipv6_network_count_together() -> None:
    world = World(strangers_per_address=2)
    for number in (1, 2, 3):
        world.admit(str(number), f"2001:db8::{number}")
    assert world.closed == ["1"]


def test_a_caller_with_a_valid_token_is_not_counted_as_a_stranger() -> None:
    world = World(strangers_per_address=1)
    for name in ("a", "b", "c"):
        place = world.admit(name)
        world.serve(place)
        world.book.mark_known(place)
        world.book.mark_known(place)
    assert world.closed == []
    world.admit("d")
    world.admit("e")
    assert world.closed == ["d"]


def test_strangers_with_requests_block_further_strangers_of_their_address() -> None:
    world = World(strangers_per_address=1)
    place = world.admit("a")
    world.serve(place)
    assert world.try_to("b") is None
    world.book.leave(place)
    world.book.leave(place)
    world.admit("c")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1"])
def test_loopback_and_own_proxies_have_no_limit_of_their_own(address: str) -> None:
    world = World(strangers_per_address=1)
    for number in range(50):
        world.serve(world.admit(str(number), address))
    assert world.closed == []


def test_descriptors_for_the_disk_are_not_given_to_the_network() -> None:
    world = World(descriptors=100)
    world.admit("a")
    world.book.count_others(99)  # files and sockets of other kinds: 98
    world.admit("b")
    assert world.closed == []
    third = world.admit("c")
    assert world.closed == ["a"]
    world.book.count_others(150)  # files on disk use descriptors that were reserved for them
    fourth = world.admit("d")
    assert world.closed == ["a", "b"]
    for place in (third, fourth):
        world.serve(place)
    assert world.try_to("e") is None


def test_a_request_head_must_be_complete_in_time() -> None:
    world = World(head_s=15)
    place = world.admit("a")
    for _ in range(14):
        world.book.count_received(place, 1)
        world.after(1)
    assert world.closed == []
    world.book.count_received(place, 1)
    world.after(1)
    assert world.closed == ["a"]


def test_a_second_request_head_has_the_same_time_limit() -> None:
    world = World(head_s=15)
    place = world.admit("a")
    world.serve(place)
    world.book.request_ended(place)
    world.after(60)
    world.book.count_received(place, 1)
    world.after(14)
    assert world.closed == []
    world.after(1)
    assert world.closed == ["a"]


def test_a_silent_connection_is_closed_after_its_time_limit() -> None:
    world = World(silent_s=30)
    world.admit("a")
    world.after(29)
    assert world.closed == []
    world.after(1)
    assert world.closed == ["a"]


def test_a_request_in_progress_has_no_time_limit() -> None:
    world = World()
    world.serve(world.admit("a"))
    for _ in range(100):
        world.after(60)
    assert world.closed == []


def test_a_connection_that_takes_none_of_its_response_is_closed() -> None:
    world = World(stall_s=30, progress_bytes=4096)
    wire = world.serve(world.admit("a"))
    wire.owed = 100_000
    for _ in range(10):
        world.after(29)
        wire.taken += 4096
    assert world.closed == []
    for _ in range(10):
        world.after(3)
        wire.taken += 100  # a byte now and then
    assert world.closed == []
    world.after(3)
    assert world.closed == ["a"]


def test_a_response_that_was_taken_does_not_count_for_the_next_one() -> None:
    world = World(stall_s=30)
    wire = world.serve(world.admit("a"))
    wire.owed = 10
    world.after(29)
    wire.owed = 0
    world.after(10)
    wire.owed = 10
    world.after(10)
    world.after(29)
    assert world.closed == []


def test_a_body_that_stops_raises_an_error_in_its_handler() -> None:
    world = World(stall_s=30, progress_bytes=4096)
    place = world.admit("a")
    wire = world.serve(place)
    wire.wants_body = True
    for _ in range(10):
        world.after(29)
        world.book.count_received(place, 4096)
    assert wire.stalled == 0
    world.after(29)
    world.after(30)
    assert wire.stalled == 1
    assert world.closed == []


def test_unsent_responses_are_limited_and_the_connection_with_most_is_closed() -> None:
    world = World(unsent_bytes=1000)
    for name, unsent in (("small", 300), ("large", 500), ("middle", 400)):
        wire = world.serve(world.admit(name))
        wire.unsent = wire.owed = unsent
    world.after(1)
    assert world.closed == ["large"]


def test_a_flood_is_logged_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    world = World(total=10)
    for second in range(20):
        for number in range(500):
            world.admit(f"{second}-{number}")
        world.after(1)
    assert len(caplog.records) == 2
    assert "made room" in caplog.text
    assert len(world.book) == 10


def test_limits_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ConnectionLimits(total=0)
    with pytest.raises(ValueError, match="longer than 0"):
        ConnectionLimits(head_s=0)
