"""Connections are counted and timed from the first moment, on both ports; the disk keeps its descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import psutil
import pytest

from host_stt_common import descriptors
from tests.security.ports import PORTS, Port, head, running, status_of
from tests.support.server import Server

pytestmark = pytest.mark.slow

HALF_HEADS = (b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
CROWD = 1100
SEGMENT_S = 10
"""The shortest segment that the archive takes."""
LEAD_S = 2.0
"""Sent ahead and read by the server in real time: a feeder that a busy machine holds up leaves no gap."""
ASK_HEALTH = head("GET", "/health", "Connection: close")


async def crowd(
    port: Port, said: bytes, count: int
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    opened = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
        writer.write(said)
        opened.append((reader, writer))
    return opened


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("said", [b"", *HALF_HEADS])
async def test_many_silent_connections_do_not_block_other_callers(
    port: str, said: bytes, tmp_path: Path
) -> None:
    async with running(port, tmp_path, connections={"total": 100}) as server:
        opened = await crowd(server, said, 150)
        for _ in range(5):
            assert status_of(await server.ask(ASK_HEALTH)) == 200
        assert await asyncio.wait_for(opened[0][0].read(), 5) == b"", "the oldest connections were closed"
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("said", HALF_HEADS)
async def test_a_request_head_without_end_is_closed_after_a_time(
    port: str, said: bytes, tmp_path: Path
) -> None:
    async with running(port, tmp_path, connections={"head_s": 0.2}) as server:
        assert status_of(await server.ask(said)) == 0


@pytest.mark.parametrize("port", PORTS)
async def test_a_slow_request_head_is_closed_after_a_time(port: str, tmp_path: Path) -> None:
    async with running(port, tmp_path, connections={"head_s": 0.3}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.number)
        ended = asyncio.create_task(reader.read())
        for letter in head("GET", "/health", "X: " + 1000 * "y"):
            if ended.done():
                break
            writer.write(bytes((letter,)))
            await asyncio.sleep(0.02)
        # The connection may end with a reset, because bytes were on their way.
        assert isinstance(ended.exception(), ConnectionError) or ended.result() == b""
        writer.close()


@pytest.mark.parametrize("port", PORTS)
async def test_an_incomplete_second_head_is_closed_after_a_time(port: str, tmp_path: Path) -> None:
    async with running(port, tmp_path, connections={"head_s": 1.0}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.number)
        writer.write(head("HEAD", "/health"))
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200
        writer.write(b"GET / HT")
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


@pytest.mark.parametrize("port", PORTS)
async def test_a_silent_connection_is_closed_after_a_time(port: str, tmp_path: Path) -> None:
    async with running(port, tmp_path, connections={"silent_s": 0.2}) as server:
        assert await server.ask(b"") == b""


def test_the_limit_of_open_files_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, before[1]), before[1]))
    try:
        assert descriptors.raise_limit() == min(before[1], descriptors.MOST)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert bool(caplog.records) == (before[1] < descriptors.WANTED)


@pytest.mark.parametrize(("of", "kept"), [(1024, 200), (65536, 200), (256, 128), (10, 5)])
def test_some_descriptors_are_reserved_for_the_disk(of: int, kept: int) -> None:
    assert descriptors.reserved_of(of) == kept


class Limited(Server):
    """A server with few descriptors, as `scripts/serve` has them on Debian."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        self._argv = ["bash", "-c", 'ulimit -n 1024; exec "$@"', "bash", *self._argv]


@pytest.mark.net
@pytest.mark.long
async def test_many_silent_connections_lose_no_second_of_archived_audio(tmp_path: Path) -> None:
    """1,100 silent connections and 1,100 half heads, with 1,024 descriptors, while one channel is fed."""
    crowd_is_there = asyncio.Event()
    options = ("--set", f"archive.segment_s={SEGMENT_S}", "--set", "coverage.report_every_s=1")
    with Limited(tmp_path, *options) as server, ExitStack() as stack:
        base = server.url
        port = int(base.rpartition(":")[2])
        async with aiohttp.ClientSession() as client:
            feed = await client.ws_connect(
                f"{base}/ws/pcm/C01?encoding=pcm_s16le&sample_rate=16000", compress=0
            )
            started = await feed.receive_json()
            sending = asyncio.create_task(_feed(feed, crowd_is_there))
            await asyncio.to_thread(_open_crowd, stack, port)
            crowd_is_there.set()
            statuses = []
            for _ in range(5):
                async with aiohttp.ClientSession() as newcomer, newcomer.get(f"{base}/health") as answer:
                    statuses.append(answer.status)
            seconds = await sending
            await feed.send_str(json.dumps({"type": "stop"}))
            while (message := await feed.receive()).type is aiohttp.WSMsgType.TEXT:
                if json.loads(message.data)["type"] == "stopped":
                    break
            assert set(statuses) == {200}, "new_address_budget are served"
            assert psutil.Process(server.process.pid).num_fds() < 1024 - 100
            kept = await _kept_ms(client, base, started["session"], seconds)
        assert kept == [1000] * (seconds - 1), "every second can be heard again"
    said = [line for line in server.err if re.search("ERROR|WARNING|Too many open|kept", line)]
    assert len([line for line in said if "open files" not in line and "ulimit" not in line]) <= 3, said
    assert len(server.err) < 120, "nothing floods the log"


def _open_crowd(stack: ExitStack, port: int) -> None:
    for number in range(2 * CROWD):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        if number >= CROWD:
            with contextlib.suppress(ConnectionError):
                one.sendall(HALF_HEADS[1])


async def _feed(feed: aiohttp.ClientWebSocketResponse, crowd_is_there: asyncio.Event) -> int:
    """A tone in real time, in frames of 20 ms, until `SEGMENT_S` and a second after the crowd is there.

    Returns its whole seconds. One segment of the archive ends in the time with the crowd, and one begins.
    """
    loop = asyncio.get_running_loop()
    began_s, frame = loop.time(), (b"\x00\x10\x00\xf0" * 160)
    number, frames_left = 0, int((SEGMENT_S + 1 + LEAD_S) * 50)
    while frames_left:
        await asyncio.sleep(max(0.0, began_s + number * 0.02 - LEAD_S - loop.time()))
        await feed.send_bytes(frame)
        number += 1
        frames_left -= crowd_is_there.is_set()
    return number // 50


async def _kept_ms(client: aiohttp.ClientSession, base: str, session: str, seconds: int) -> list[int]:
    """Of each whole second of the channel, how much was kept: 1000, or 0 when none of it was."""
    async with client.get(f"{base}/api/sessions/{session}/coverage?channel=C01") as answer:
        start_ms = (await answer.json())["channels"][0]["from_ms"]
    kept = []
    for second in range(seconds - 1):
        from_ms = start_ms + second * 1000 + 200
        path = f"{base}/api/sessions/{session}/channels/C01/audio?from_ms={from_ms}&to_ms={from_ms + 600}"
        async with client.get(path) as answer:
            kept.append(1000 if answer.status == 200 else 0)
    return kept
