"""A server that is killed: its sessions are restored, no seq is missing, open channels are closed."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.polling import until
from tests.support.server import Server

pytestmark = pytest.mark.net

SILENCE = bytes(3200)  # 0.1 s at 16 kHz
RAW = {"encoding": "pcm_s16le", "sample_rate": 16_000}
Event = dict[str, Any]


def media_server(folder: Path, *options: str) -> Server:
    """8082 alone, on the data folder `data` in `folder`; no engine answers, and none is needed."""
    return Server(folder, "--set", "engine.port=9", *options, command_name="media")


@asynccontextmanager
async def watching(http: aiohttp.ClientSession, url: str, since: int = 0) -> AsyncIterator[list[Event]]:
    """All events that a watcher of the current session gets from `since` on."""
    events: list[Event] = []

    async def read(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            events.append(json.loads(message.data))

    async with http.ws_connect(f"{url}/ws", params={"since": str(since)}) as socket:
        reading = asyncio.create_task(read(socket))
        try:
            yield events
        finally:
            await socket.close()
            await reading


async def until_has(events: list[Event], kind: str, **fields: Any) -> Event:
    """Wait for the first event of this kind with these fields."""
    wanted = {"type": kind, **fields}
    return await until(
        lambda: next((e for e in events if wanted.items() <= e.items()), None), 60, f"{wanted}"
    )


def seqs(events: list[Event]) -> list[int]:
    return [event["seq"] for event in events if "seq" in event]


async def sessions(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with http.get(f"{url}/api/sessions") as response:
        listed = (await response.json())["sessions"]
    assert isinstance(listed, list)
    return listed


async def test_a_killed_server_restores_its_sessions(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        with media_server(tmp_path) as server:
            drill, drill_seq = await an_ended_session(http, server.url)
            async with watching(http, server.url) as events:
                fed = await http.ws_connect(f"{server.url}/ws/pcm/C01")
                await fed.send_json({**RAW, "label": "Gate 7", "language": "ko"})
                for _ in range(5):
                    await fed.send_bytes(SILENCE)
                opened = await until_has(events, "channel.opened", channel="C01")
                server.stop(signal.SIGKILL)
            seen = list(events)
            await fed.close()

        with media_server(tmp_path) as server:
            async with watching(http, server.url) as events:
                closed = await until_has(events, "channel.closed", channel="C01")
                await until_has(events, "coverage", channel="C01", state="lost", reason="server_down")
                assert (closed["connection"], closed["reason"]) == (opened["connection"], "server_crashed")
                assert closed["end_ms"] >= opened["start_ms"]
                assert closed["seq"] > max(seqs(seen))
                told_again = [event for event in events if event["seq"] <= max(seqs(seen))]
                assert told_again == [event for event in seen if "seq" in event], "word for word"

                by_id = {session["session"]: session for session in await sessions(http, server.url)}
                session = by_id[seen[0]["session"]]
                assert (session["t0_wall"], session["is_ended"]) == (seen[0]["t0_wall"], False)
                assert [one["label"] for one in session["channels"]] == ["Gate 7"]
                assert (by_id[drill]["is_ended"], by_id[drill]["head_seq"]) == (True, drill_seq)

                fed = await http.ws_connect(f"{server.url}/ws/pcm/C01")
                await fed.send_json(RAW)
                await fed.send_bytes(SILENCE)
                again = await until_opened_again(events, opened["connection"])
                assert again["start_ms"] > closed["end_ms"]
                await fed.send_json({"type": "stop"})
                await until_has(events, "channel.closed", seq=await until_stopped(fed))
                assert seqs(events) == list(range(1, len(seqs(events)) + 1))

            url, params = f"{server.url}/ws", {"session": drill, "since": "0"}
            async with http.ws_connect(url, params=params) as socket:
                of_drill = [await socket.receive_json(timeout=30) for _ in range(drill_seq)]
            assert [event["type"] for event in of_drill] == ["session.started", "session.ended"]


async def an_ended_session(http: aiohttp.ClientSession, url: str) -> tuple[str, int]:
    """(its id, the seq of its last event)."""
    async with http.post(f"{url}/sessions/create", json={"name": "drill"}) as response:
        session = (await response.json())["session_id"]
    async with http.post(f"{url}/api/sessions/{session}/end") as response:
        return session, (await response.json())["final_seq"]


async def until_opened_again(events: list[Event], but: str) -> Event:
    """The event of a channel that another connection than `but` has opened."""

    def opened_again() -> Event | None:
        opened = [event for event in events if event["type"] == "channel.opened"]
        return next((event for event in opened if event["connection"] != but), None)

    return await until(opened_again, 60)


async def until_stopped(socket: aiohttp.ClientWebSocketResponse) -> int:
    async with asyncio.timeout(60):
        while True:
            body = await socket.receive_json()
            if body["type"] == "stopped":
                return int(body["final_seq"])
