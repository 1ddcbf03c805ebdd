"""A restarted server with few events in memory: WebSocket, SSE and data channel send the same events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.desk import Desk, a_config, received, running_desk
from tests.support.polling import until
from tests.webrtc_host.desk.test_data_channel import FakeDataChannel
from webrtc_host.keys import DATA_CHANNELS

HELD = 100
SPOKEN = 450
SETTINGS: dict[str, Any] = {"store": {"url": ""}, "limits": {"events_in_memory": HELD}}


async def over_socket(desk: Desk, since: int, last: int) -> list[int]:
    socket = await desk.watch(since=since)
    return [event["seq"] for event in await received(socket, last - since)]


async def over_stream(desk: Desk, since: int, last: int) -> list[int]:
    seqs: list[int] = []
    headers = {"Last-Event-ID": str(since)}
    async with desk.client.get(f"{desk.url}/events?since=0", headers=headers) as response:
        async for line in response.content:
            if line.startswith(b"id: "):
                seqs.append(int(line[4:]))
            if seqs and seqs[-1] == last:
                return seqs
    raise AssertionError(f"the stream ended at {seqs[-1:]}")


async def over_data_channel(desk: Desk, since: int, last: int) -> list[int]:
    wire = FakeDataChannel()
    desk.app[DATA_CHANNELS].attach(wire, desk.session, ["C01", "C02"])
    wire.fire("message", json.dumps({"type": "resume", "since": since}))
    await until(lambda: wire.seqs[-1:] == [last], 60)
    wire.readyState = "closed"
    wire.fire("close")
    return [seq for seq in wire.seqs if seq is not None]


async def test_every_watcher_that_reconnects_gets_all_events_once_in_order(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, **SETTINGS)) as desk:
        for number in range(SPOKEN):
            desk.final(f"word {number}", channel="C01" if number % 3 else "C02", at_ms=number)
        before = await desk.settled()
    async with running_desk(a_config(tmp_path, **SETTINGS)) as desk:
        last = desk.session.log.head_seq + 150
        coming = [
            asyncio.create_task(over(desk, since, last))
            for over in (over_socket, over_stream, over_data_channel)
            for since in (0, 5, before - 1)
        ]
        for number in range(150):  # while the watchers read old events
            desk.final(f"later {number}", at_ms=number)
            if number % 10 == 0:
                await desk.settled()
        async with asyncio.timeout(100):
            got = await asyncio.gather(*coming)
        assert got == [list(range(since + 1, last + 1)) for _ in range(3) for since in (0, 5, before - 1)]
        await until(lambda: desk.subscribers.statistics().watchers <= 3)  # the sockets are still open
