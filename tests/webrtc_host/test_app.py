"""The 8082 process as a whole: how it starts, ends, and what it makes of bad input."""

from __future__ import annotations

import asyncio
import io
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.desk import (
    NOWHERE,
    SilentPipeline,
    a_config,
    abort_connection,
    close_code_and_reason,
    received,
    running_desk,
)
from tests.support.events import an_event
from tests.support.polling import until
from webrtc_host import app as host_app
from webrtc_host.app import build_app, serve
from webrtc_host.errors import ConfigError
from webrtc_host.keys import READINESS
from webrtc_host.seams import EventType
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection


async def test_a_port_that_is_taken_is_an_os_error_and_leaves_nothing_running(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        port = int(desk.url.rpartition(":")[2])
        before = asyncio.all_tasks()
        with pytest.raises(OSError, match="address already in use"):
            await serve(build_app(a_config(tmp_path / "other")), "127.0.0.1", port)
        assert asyncio.all_tasks() <= before


async def test_a_broken_glossary_is_one_sentence_and_no_start(tmp_path: Path) -> None:
    (tmp_path / "glossary.yaml").write_text("terms: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"glossary cannot be used: .*glossary\.yaml:1: the file is not"):
        await serve(build_app(a_config(tmp_path)), "127.0.0.1", 0, stop=asyncio.Event())


class LastWords(SilentPipeline):
    """Emits one more final some time after its channel closes."""

    def __init__(self, channel: Channel, takes_s: float) -> None:
        super().__init__()
        self.channel = channel
        self.takes_s = takes_s

    async def close(self) -> None:
        await asyncio.sleep(self.takes_s)
        self.channel.session.log.emit(
            an_event(EventType.SEGMENT_FINAL, self.channel.id, text="last words", start_ms=0, end_ms=1)
        )


def open_channels(desk: Any, count: int) -> None:
    """Connections that feed a channel each, and drain it when they end."""
    for _ in range(count):
        made: list[Connection] = []

        async def end(reason: str, made: list[Connection] = made) -> int:
            (connection,) = made
            seq = await connection.channels[0].close(reason)
            desk.registry.disconnect(connection)
            return seq

        made.append(desk.registry.connect(desk.session, DoorKind.WEBRTC, [ChannelSpec()], end))
        made[0].channels[0].open()


async def test_a_stop_drains_all_channels_in_parallel_then_closes_the_watchers(tmp_path: Path) -> None:
    config = a_config(tmp_path)
    all_close = asyncio.Barrier(16)

    class Together(LastWords):
        async def close(self) -> None:
            await all_close.wait()  # one after another, no channel would come further
            await super().close()

    async with running_desk(config, make_pipeline=lambda channel: Together(channel, 0)) as desk:
        open_channels(desk, 16)
        socket = await desk.watch(since=desk.session.log.head_seq)
        desk.stop.set()
        events = await received(socket, 1 + 16 * 3)
        assert events[0]["code"] == "server_stopping"
        finals = [event for event in events if event["type"] == "segment.final"]
        assert len(finals) == 16
        assert (await close_code_and_reason(socket))[0] == 1001
        await desk.stopped


async def test_a_channel_that_never_ends_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host_app, "FLUSH_S", 0.3)
    async with running_desk(a_config(tmp_path), make_pipeline=lambda channel: LastWords(channel, 60)) as desk:
        open_channels(desk, 1)
        socket = await desk.watch()
        desk.stop.set()
        assert (await close_code_and_reason(socket))[0] == 1001
        await asyncio.wait_for(desk.stopped, 30)
    assert any("was not transcribed within" in record.getMessage() for record in caplog.records)


async def test_a_stopping_server_refuses_new_clients(tmp_path: Path) -> None:
    async with running_desk(
        a_config(tmp_path), make_pipeline=lambda channel: LastWords(channel, 0.5)
    ) as desk:
        open_channels(desk, 1)
        desk.stop.set()
        await until(lambda: desk.app[READINESS].is_stopping)
        with pytest.raises(OSError):
            await desk.client.get(f"{desk.url}/ready")


BAD = [
    ("POST", "/offer", b"not json", 400),
    ("POST", "/offer", b"[]", 400),
    ("POST", "/offer", b"{}", 400),
    ("POST", "/offer", b'{"sdp":"garbage","type":"offer"}', 400),
    ("POST", "/offer", b" " * 2_000_000, 413),
    ("PUT", "/offer", b"", 405),
    ("POST", "/push", b"x", 415),
    ("POST", "/sessions/create", b"{", 400),
    ("GET", "/%00", b"", 404),
    ("GET", "/api/sessions/%ff/segments", b"", 404),
]


async def test_bad_input_gets_an_error_and_the_server_continues(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running_desk(a_config(tmp_path)) as desk:
        for method, path, body, status in BAD:
            async with desk.client.request(method, desk.url + path, data=io.BytesIO(body)) as response:
                answer = await response.json()
                assert response.status == status, (method, path, body[:50], answer)
                assert answer["error"]["code"]
                assert answer["error"]["message"]
        socket = await desk.watch(since=0)
        desk.final("still well")
        assert (await received(socket, 2))[1]["text"] == "still well"
    assert [r.getMessage() for r in caplog.records if NOWHERE not in r.getMessage()] == []


async def test_two_hundred_watchers_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    # Services use threads of the loop's pool at any time; with one thread, their number does not change.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await asyncio.to_thread(lambda: None)
    async with running_desk(a_config(tmp_path)) as desk:
        process = psutil.Process()

        async def come_and_go(number: int) -> None:
            socket = await desk.watch(since=0)
            await received(socket, 1)
            if number % 2:
                await socket.close()
            else:
                abort_connection(socket)

        def left() -> tuple[int, int, int]:
            return len(asyncio.all_tasks()), process.num_fds(), process.num_threads()

        for number in range(10):
            await come_and_go(number)
        await until(lambda: desk.subscribers.statistics().watchers == 0)
        before = left()
        for number in range(200):
            await come_and_go(number)
        await until(lambda: desk.subscribers.statistics().watchers == 0)
        await until(lambda: all(now <= then for now, then in zip(left(), before, strict=True)))
