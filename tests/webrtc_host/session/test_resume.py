"""A resume token identifies one client over all its connections, for the announced time."""

from __future__ import annotations

from tests.support.peers import Rig
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.resume import TOKENS_MAX, Claim, Refusal, ResumeTokens


class World:
    def __init__(self, resume_s: float = 900.0) -> None:
        self.now_s = 0.0
        self.rig = Rig()
        self.tokens = ResumeTokens(resume_s, clock=lambda: self.now_s)

    def connect(self, channel: str | None = None) -> Connection:
        async def end(reason: str) -> int:
            return 0

        registry = self.rig.registry
        return registry.connect(
            *(registry.current(), DoorKind.WEBRTC, [ChannelSpec(channel)], end),
            on_disconnect=self.tokens.closed,
        )

    def is_good(self, token: str) -> bool:
        return isinstance(self.tokens.find(token), Claim)


def test_a_token_is_valid_as_long_as_the_connection_is_open() -> None:
    world = World(resume_s=10.0)
    token = world.tokens.give(world.connect())
    world.now_s = 100_000.0
    assert world.is_good(token)


def test_a_token_is_valid_for_the_configured_time_after_the_close() -> None:
    world = World(resume_s=10.0)
    connection = world.connect()
    token = world.tokens.give(connection)
    world.now_s = 50.0
    world.rig.registry.disconnect(connection)
    world.now_s = 59.9
    assert world.is_good(token)
    world.now_s = 60.1
    assert world.tokens.find(token) is Refusal.EXPIRED


def test_the_next_connection_has_the_same_token_and_renews_it() -> None:
    world = World(resume_s=10.0)
    first = world.connect("C05")
    token = world.tokens.give(first)
    world.rig.registry.disconnect(first)
    claim = world.tokens.find(token)
    assert isinstance(claim, Claim)
    second = world.connect("C05")
    assert world.tokens.give(second, claim) == token
    world.tokens.closed(first)  # reported late
    world.now_s = 1000.0
    assert world.is_good(token)
    assert claim.connection == second.id
    assert len(world.tokens) == 1


def test_an_invented_token_is_unknown() -> None:
    assert World().tokens.find("made up") is Refusal.UNKNOWN


def test_the_oldest_tokens_are_dropped_first() -> None:
    world = World()
    session = world.rig.registry.current()

    async def end(reason: str) -> int:
        return 0

    tokens = [
        world.tokens.give(Connection(f"c_{n}", session, DoorKind.WEBRTC, 0.0, end))
        for n in range(TOKENS_MAX + 2)
    ]
    assert len(world.tokens) == TOKENS_MAX
    assert [world.is_good(token) for token in tokens[:3]] == [False, False, True]
