"""Watching as Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from pathlib import Path

import pytest

from tests.support.desk import a_config, running_desk
from tests.support.polling import until
from webrtc_host.desk.sse import EventStream


async def test_stored_events_have_their_seq_as_id_and_interims_have_none(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        desk.final("one")
        async with desk.client.get(f"{desk.url}/events?since=0") as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            assert response.headers["X-Accel-Buffering"] == "no"
            assert response.headers["Cache-Control"] == "no-store"
            assert await response.content.readuntil(b"\n\n") == b"retry: 2000\n\n"
            first = await response.content.readuntil(b"\n\n")
            assert first.startswith(b"id: 1\ndata: {")
            assert (await response.content.readuntil(b"\n\n")).startswith(b"id: 2\ndata: ")
            desk.interim("tw")
            interim = await response.content.readuntil(b"\n\n")
            assert interim.startswith(b"data: ")
            assert json.loads(interim[6:])["type"] == "segment.interim"


async def test_last_event_id_resumes_and_wins_over_since(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        for text in ("one", "two", "three"):
            desk.final(text)
        headers = {"Last-Event-ID": "3"}
        async with desk.client.get(f"{desk.url}/events?since=0", headers=headers) as response:
            await response.content.readuntil(b"\n\n")
            assert (await response.content.readuntil(b"\n\n")).startswith(b"id: 4\n")


async def test_a_silent_stream_is_kept_alive_by_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventStream.__init__, "__kwdefaults__", {"comment_s": 0.1})
    async with (
        running_desk(a_config(tmp_path)) as desk,
        desk.client.get(f"{desk.url}/events") as response,
    ):
        for _ in range(2):  # the first line of the stream, and session.started
            await response.content.readuntil(b"\n\n")
        for _ in range(2):
            assert await response.content.readuntil(b"\n\n") == b":\n\n"
        desk.final("after the silence")
        while (frame := await response.content.readuntil(b"\n\n")) == b":\n\n":
            continue
        assert frame.startswith(b"id: 2")


async def test_a_stream_with_a_disconnected_client_ends_at_the_next_event(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        response = await desk.client.get(f"{desk.url}/events")
        await until(lambda: desk.subscribers.statistics().watchers == 1)
        response.close()

        def gone() -> bool:
            desk.final()
            return desk.subscribers.statistics().watchers == 0

        await until(gone)


async def test_a_stream_ends_in_order_when_the_server_stops(tmp_path: Path) -> None:
    async with (
        running_desk(a_config(tmp_path)) as desk,
        desk.client.get(f"{desk.url}/events?since=0") as response,
    ):
        desk.final("last words")
        desk.stop.set()
        text = await asyncio.wait_for(response.content.read(), 8)
        assert b"last words" in text
        assert b"server_stopping" in text


async def test_a_stream_that_is_not_read_is_closed_and_uses_bounded_memory(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"watcher_queue": 50})) as desk:
        with sockets.socket() as deaf:
            deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", int(desk.url.rpartition(":")[2])))
            deaf.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await until(lambda: desk.subscribers.statistics().watchers == 1)
            async with asyncio.timeout(30):
                while desk.subscribers.statistics().overflowed == 0:
                    desk.final("x" * 20_000)
                    await desk.settled()
                    assert desk.subscribers.statistics().waiting_max <= 51
            assert desk.subscribers.statistics().watchers == 0
