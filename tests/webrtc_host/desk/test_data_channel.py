"""The data channel: resume, back pressure, drain, end. One test with real aiortc lies in tests/scenarios."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.support.events import an_event
from tests.support.polling import until
from webrtc_host.config import LimitsConfig
from webrtc_host.desk.data_channel import BUFFER_BYTES_MAX, DataChannels
from webrtc_host.desk.subscribers import Subscribers
from webrtc_host.seams import EventType
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.transcript.saved_log import SavedLog


class FakeDataChannel:
    """A data channel with aiortc's interface; the peer receives as many bytes as the test allows."""

    def __init__(self) -> None:
        self.readyState = "open"
        self.bufferedAmount = 0
        self.bufferedAmountLowThreshold = 0
        self.is_slow = False
        self.sent: list[str] = []
        self._handlers: dict[str, list[Callable[..., Any]]] = {}

    def on(self, event: str, f: Callable[..., Any]) -> Callable[..., Any]:
        self._handlers.setdefault(event, []).append(f)
        return f

    def fire(self, event: str, *arguments: Any) -> None:
        for handler in self._handlers.get(event, []):
            handler(*arguments)

    def send(self, data: bytes | str) -> None:
        assert isinstance(data, str)
        self.sent.append(data)
        if self.is_slow:
            self.bufferedAmount += len(data)

    def take_all(self) -> None:
        self.is_slow = False
        self.bufferedAmount = 0
        self.fire("bufferedamountlow")

    @property
    def seqs(self) -> list[int | None]:
        return [json.loads(text).get("seq") for text in self.sent]


class World:
    def __init__(self, resume_wait_s: float = 0.05, queue: int = 1000) -> None:
        self.subscribers = Subscribers(watchers_max=10, queue_events=queue)
        self.channels = DataChannels(self.subscribers, resume_wait_s=resume_wait_s)
        registry = SessionRegistry(
            LimitsConfig(), self._make_log, _no_pipeline, wall=lambda: datetime.now(UTC)
        )
        self.session: Session = registry.create()
        self.wire = FakeDataChannel()

    def _make_log(self, session_id: str, now_ms: Callable[[], int]) -> SavedLog:
        return SavedLog(session_id, capacity=10_000, now_ms=now_ms, listener=self.subscribers.publish)

    def final(self, channel: str = "C01", text: str = "x") -> None:
        self.session.log.emit(an_event(EventType.SEGMENT_FINAL, channel, text=text, start_ms=0, end_ms=1))


def _no_pipeline(channel: object) -> Any:
    raise AssertionError("no channel is opened here")


async def test_without_resume_it_sends_the_events_since_it_was_attached() -> None:
    world = World()
    world.final()
    world.channels.attach(world.wire, world.session, ["C01"])
    world.final()
    world.final("C02")
    world.final()
    await until(lambda: world.wire.seqs == [3, 5])
    await world.channels.close()


async def test_a_resume_replays_from_its_seq_and_only_the_first_counts() -> None:
    world = World(resume_wait_s=5)
    for _ in range(3):
        world.final()
    world.channels.attach(world.wire, world.session, ["C01"])
    for junk in ("no json", b"bytes", '{"type":"resume"}', '{"type":"resume","since":-1}', "[1]"):
        world.wire.fire("message", junk)
    world.wire.fire("message", '{"type":"resume","since":2}')
    world.wire.fire("message", '{"type":"resume","since":0}')
    await until(lambda: world.wire.seqs == [3, 4])
    await world.channels.close()


async def test_a_peer_that_does_not_read_has_a_bounded_buffer_and_gets_all_later() -> None:
    world = World()
    world.channels.attach(world.wire, world.session, ["C01"])
    world.wire.is_slow = True
    for _ in range(100):
        world.final(text="y" * 20_000)
    await until(lambda: world.wire.bufferedAmount > BUFFER_BYTES_MAX)
    await asyncio.sleep(0.05)
    assert world.wire.bufferedAmount < BUFFER_BYTES_MAX + 25_000
    world.wire.take_all()
    await until(lambda: world.wire.seqs == list(range(2, 102)))
    await world.channels.close()


async def test_draining_waits_for_emitted_events_also_before_the_resume_wait_is_over() -> None:
    world = World(resume_wait_s=30)
    drain = world.channels.attach(world.wire, world.session, ["C01"])
    await asyncio.sleep(0)
    world.final()
    await asyncio.wait_for(drain(), 5)
    assert world.wire.seqs == [2]
    await world.channels.close()


async def test_draining_a_peer_that_does_not_read_ends_by_itself() -> None:
    world = World()
    drain = world.channels.attach(world.wire, world.session, ["C01"])
    world.wire.is_slow = True
    world.final()
    await until(lambda: bool(world.wire.sent))
    await asyncio.wait_for(drain(), 5)
    await world.channels.close()


async def test_a_closed_channel_leaves_no_watcher() -> None:
    world = World()
    world.channels.attach(world.wire, world.session, ["C01"])
    await until(lambda: world.subscribers.statistics().watchers == 1)
    world.wire.readyState = "closed"
    world.wire.fire("close")
    await until(lambda: world.subscribers.statistics().watchers == 0)


async def test_a_stop_sends_the_waiting_events_and_ends() -> None:
    world = World()
    world.channels.attach(world.wire, world.session, ["C01"])
    await until(lambda: world.subscribers.statistics().watchers == 1)
    world.final()
    world.subscribers.close()
    await world.channels.close()
    assert world.wire.seqs == [2]
    await until(lambda: world.subscribers.statistics().watchers == 0)
