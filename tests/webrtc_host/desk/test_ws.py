"""Watching over a WebSocket: order, resume, close codes, pings."""

from __future__ import annotations

import asyncio
import socket as sockets
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.desk import a_config, close_code_and_reason, received, running_desk
from tests.support.events import an_event
from tests.support.polling import until
from webrtc_host.desk.ws import WatchSocket
from webrtc_host.seams import EventType

TOKEN = "correct horse battery"


async def test_a_watcher_gets_stored_events_and_interims_in_order(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        socket = await desk.watch(since=0)
        assert (await received(socket, 1))[0]["type"] == "session.started"
        desk.interim()
        desk.final("alpha one")
        events = await received(socket, 2)
        assert [event["type"] for event in events] == ["segment.interim", "segment.final"]
        assert events[1]["text"] == "alpha one"
        assert events[1]["seq"] == 2


async def test_a_watcher_that_reconnects_with_since_misses_nothing(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        first = await desk.watch(since=0)
        desk.final("one")
        last = (await received(first, 2))[-1]["seq"]
        await first.close()
        desk.final("two")
        second = await desk.watch(since=last)
        desk.final("three")
        assert [event["text"] for event in await received(second, 2)] == ["two", "three"]


async def test_a_watcher_of_one_channel_gets_its_events_and_those_of_the_session(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        socket = await desk.watch(since=0, channels="C02,C03")
        desk.final("not mine", "C01")
        desk.final("mine", "C02")
        assert [event["seq"] for event in await received(socket, 2)] == [1, 3]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"session": "s_none"}, 4404, "no session"),
        ({"since": "-1"}, 4400, "since is the seq"),
        ({"since": "1" * 30}, 4400, "since is the seq"),
        ({"channels": "C1"}, 4400, "channels are"),
        ({"chanels": "C01"}, 4400, "known: session, channels, since"),
    ],
)
async def test_an_invalid_watch_request_is_closed_with_a_reason(
    tmp_path: Path, query: dict[str, Any], code: int, words: str
) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        socket = await desk.watch(**query)
        given, reason = await close_code_and_reason(socket)
        assert given == code
        assert words in reason
        assert desk.subscribers.statistics().watchers == 0


async def test_a_bad_token_is_4401_and_the_right_one_is_served(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, token=TOKEN)) as desk:
        assert (await close_code_and_reason(await desk.watch()))[0] == 4401
        assert (await close_code_and_reason(await desk.watch(token="wrong")))[0] == 4401
        socket = await desk.watch(token=TOKEN, since=0)
        desk.final()
        assert len(await received(socket, 2)) == 2


async def test_a_watcher_above_the_limit_is_4429(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"watchers": 1})) as desk:
        first = await desk.watch(since=0)
        assert (await close_code_and_reason(await desk.watch()))[0] == 4429
        await first.close()


async def test_a_page_of_a_foreign_origin_is_refused_before_the_upgrade(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(f"{desk.url}/ws", headers={"Origin": "https://evil.example"})
        assert refused.value.status == 403
        own = await desk.client.ws_connect(f"{desk.url}/ws", headers={"Origin": desk.url})
        await own.close()


async def test_the_response_to_a_plain_get_requires_an_upgrade(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        for path in ("/ws", "/ws/pcm/C01", "/ws/backfill/C01"):
            status, body = await desk.get(path)
            assert (status, body["error"]["code"]) == (400, "bad_request"), path
            assert f"{path} is a WebSocket" in body["error"]["message"]
            assert "Upgrade" in body["error"]["message"] and "proxy" in body["error"]["message"]


async def test_a_disconnected_watcher_leaves_no_state(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        socket = await desk.watch(since=0)
        await received(socket, 1)
        await socket.close()
        await until(lambda: desk.subscribers.statistics().watchers == 0)


async def test_a_watcher_that_never_reads_is_closed_and_uses_bounded_memory(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, limits={"watcher_queue": 50})) as desk:
        port = int(desk.url.rpartition(":")[2])
        deaf = sockets.socket()
        deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", port))
        request = (
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await loop.sock_sendall(deaf, request.encode())
        reader = await desk.watch(since=0)
        await until(lambda: desk.subscribers.statistics().watchers == 2)
        head, seqs = 0, list[int]()
        async with asyncio.timeout(30):
            while desk.subscribers.statistics().overflowed == 0:
                head = desk.final("x" * 20_000)
                assert desk.subscribers.statistics().waiting_max <= 51
                while len(seqs) < head:
                    seqs += [event["seq"] for event in await received(reader, 1)]
        assert seqs == list(range(1, head + 1)), "the watcher that reads got all events"
        deaf.close()


async def test_the_server_pings_and_closes_a_watcher_that_does_not_respond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WatchSocket.__init__, "__kwdefaults__", {"ping_s": 0.2})
    async with running_desk(a_config(tmp_path)) as desk:
        await desk.settled()
        mute = await desk.client.ws_connect(f"{desk.url}/ws", autoping=False)
        message = await mute.receive(timeout=30)
        assert message.type is aiohttp.WSMsgType.PING
        await until(lambda: desk.subscribers.statistics().watchers == 0)


async def test_stopping_sends_the_last_events_then_1001(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        socket = await desk.watch(since=0)
        desk.final("last words")
        desk.stop.set()
        events = await received(socket, 3)
        assert [event["type"] for event in events] == ["session.started", "segment.final", "error"]
        assert events[2]["code"] == "server_stopping"
        assert (await close_code_and_reason(socket))[0] == 1001
        await asyncio.wait_for(desk.stopped, 8)


async def test_an_interim_is_not_sent_to_a_watcher_of_another_session(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        other = desk.registry.create("other")
        socket = await desk.watch(session=other.id, since=0)
        desk.final("elsewhere")
        other.log.emit(an_event(EventType.CHANNEL_STATE, "C01", state="idle"))
        assert [event["type"] for event in await received(socket, 2)] == ["session.started", "channel.state"]
