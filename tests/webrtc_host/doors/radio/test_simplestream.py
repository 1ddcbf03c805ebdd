"""The UDP port of simplestream: a call on the air is a live channel, and other datagrams do no harm."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.desk import a_config, received, running_desk
from tests.support.peers import Rig
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.webrtc_host.doors.radio.test_importing import FIRE
from tests.webrtc_host.doors.radio.test_slices import datagram
from tests.webrtc_host.recovery.crashing import SHORT, of_log, word_per_half_second
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.doors.radio import simplestream
from webrtc_host.doors.radio.simplestream import SimplestreamPort
from webrtc_host.doors.radio.talkgroups import Talkgroups
from webrtc_host.keys import SIMPLESTREAM
from webrtc_host.seams import BlockKind, EventType
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.settings.radio import SimplestreamConfig

RATE = 8000
SLICE = 160  # samples, 20 ms


class World:
    def __init__(self, rig: Rig, port: SimplestreamPort, sender: socket.socket) -> None:
        self.rig, self.port, self._sender = rig, port, sender

    def send(self, data: bytes) -> None:
        self._sender.send(data)

    async def talk(self, samples: np.ndarray[Any, np.dtype[np.int16]], **fields: Any) -> None:
        """In real time, 20 ms in a datagram."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for at in range(0, len(samples), SLICE):
            await asyncio.sleep(max(0.0, began_s + at / RATE - loop.time()))
            self.send(datagram(samples[at : at + SLICE].tobytes(), audio_sample_rate=RATE, **fields))

    def events(self, kind: EventType) -> list[dict[str, Any]]:
        return self.rig.logs[self.rig.registry.current().id].of(kind, "C05")


@asynccontextmanager
async def listening(**settings: Any) -> AsyncIterator[World]:
    rig = Rig()
    config = SimplestreamConfig(**{"hang_s": 0.5, **settings})
    port = SimplestreamPort(rig.registry, Talkgroups((FIRE,), "refuse", 64), config)
    await port.open("127.0.0.1", 0)
    assert port.port is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port.port))
        try:
            yield World(rig, port, sender)
        finally:
            await port.close()
            await rig.registry.close()


def tone(seconds: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    t = np.arange(round(seconds * RATE)) / RATE
    return (8000 * np.sin(2 * np.pi * 300 * t)).astype("<i2")


async def test_a_call_is_a_live_channel_until_it_ends() -> None:
    async with listening() as world:
        world.send(datagram(b"", event="call_start", talkgroup_tag="FD Disp"))
        await world.talk(tone(1.0))
        await until(lambda: world.port.totals["datagrams"] == 51)
        assert world.rig.registry.current().channels["C05"].connection is not None
        world.send(datagram(b"", event="call_end"))
        await until(lambda: world.port.statistics()["streams"] == 0)
        (opened,), (closed,) = world.events(EventType.CHANNEL_OPENED), world.events(EventType.CHANNEL_CLOSED)
        assert (opened["door"], opened["label"], closed["reason"]) == ("simplestream", "Fire", "stopped")
        pipeline = world.rig.pipeline("C05")
        heard = np.concatenate([b.samples for b in pipeline.blocks if b.kind is BlockKind.AUDIO])
        assert abs(len(heard) - 16_000) <= 32
        assert abs(float(np.sqrt((heard**2).mean())) - 8000 / 32768 / 2**0.5) < 0.01
        assert world.rig.registry.connections == {}


async def test_without_an_end_a_call_is_over_after_a_silence_and_the_next_one_opens_the_channel_again() -> (
    None
):
    async with listening() as world:
        for calls in (1, 2):
            await world.talk(tone(0.2))
            await until(lambda: world.port.statistics()["streams"] == 1)
            await until(lambda: world.port.statistics()["streams"] == 0)
            assert len(world.events(EventType.CHANNEL_CLOSED)) == calls
        assert world.port.totals["calls"] == 2


async def test_datagrams_that_are_not_wanted_are_counted() -> None:
    async with listening() as world:
        for data in (b"", b"\x01", b"rubbish" * 20, datagram(talkgroup=9), datagram(short_name="elsewhere")):
            world.send(data)
        world.send(datagram(b"", event="call_end"))
        await until(lambda: world.port.totals["datagrams"] == 6)
        totals = world.port.totals
        assert (totals["malformed"], totals["unknown"], totals["calls"]) == (3, 2, 0)
        assert world.rig.registry.connections == {}


async def test_other_addresses_may_not_send() -> None:
    async with listening(allow=("192.0.2.0/24", "::1/128")) as world:
        world.send(datagram())
        await until(lambda: world.port.totals["refused"] == 1)
        assert world.port.totals["calls"] == 0


async def test_a_sender_that_is_too_fast_loses_what_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simplestream, "SLICES_MAX", 20)
    async with listening() as world:
        second = tone(1.0).tobytes()
        for _ in range(60):
            world.port.datagram_received(datagram(second, audio_sample_rate=RATE), ("127.0.0.1", 9))
        assert world.port.totals["dropped"] == 40
        await until(lambda: sum(len(b.samples) for b in world.rig.pipeline("C05").blocks) > 0)


async def test_at_the_stop_the_last_audio_reaches_the_channel() -> None:
    async with listening() as world:
        await world.talk(tone(0.5))
        await until(lambda: world.port.totals["datagrams"] == 25)
        await world.port.close()
        (closed,) = world.events(EventType.CHANNEL_CLOSED)
        assert closed["reason"] == "server_stopping"
        heard = sum(b.kind is BlockKind.AUDIO and len(b.samples) for b in world.rig.pipeline("C05").blocks)
        assert abs(heard - 8_000) <= 32
        assert world.port.port is None


async def test_a_channel_that_another_connection_feeds_is_left_to_it() -> None:
    async with listening() as world:

        async def end(reason: str) -> int:
            return 0

        registry = world.rig.registry
        held = registry.connect(registry.current(), DoorKind.SOCKET, [ChannelSpec("C05")], end)
        world.send(datagram())
        await until(lambda: world.port.totals["unknown"] == 1)
        assert held.channels[0].connection is held
        registry.disconnect(held)


async def test_the_port_is_off_by_default() -> None:
    rig = Rig()
    port = SimplestreamPort(rig.registry, Talkgroups((FIRE,), "refuse", 64), SimplestreamConfig())
    async with port.running():
        assert port.port is None


async def test_a_call_has_text_while_it_is_on_the_air(tmp_path: Path) -> None:
    """With the whole server; the engine gives a word for each half second of speech."""
    samples = (padded(say(f"{SHORT} {SHORT}"))[::2] * 32767).astype("<i2")
    radio = {"talkgroups": [FIRE.model_dump()], "simplestream": {"hang_s": 5}}
    async with (
        engine_server(word_per_half_second) as engine,
        running_desk(a_config(tmp_path, engine_url=engine.url, radio=radio), make_pipeline=None) as desk,
    ):
        port = desk.app[SIMPLESTREAM]
        await port.open("127.0.0.1", 0)
        assert port.port is not None
        watched = await desk.watch(session=desk.session.id, since=0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", port.port))
            world = World(Rig(), port, sender)
            talking = asyncio.create_task(world.talk(samples))
            seen = [""]
            while seen[-1] != "segment.interim":
                seen += [event["type"] for event in await received(watched, 1)]
            assert not talking.done() and "channel.closed" not in seen
            await talking
            world.send(datagram(b"", event="call_end"))
            await until(lambda: of_log(desk.session, "segment.final"))
        final = of_log(desk.session, "segment.final")[0]
        assert "source" not in final and final["channel"] == "C05"
        assert [talker["label"] for talker in final["talkers"]] == ["Engine 12"]
        await watched.close()
