"""A page whose server was killed resumes by its token: same channel, same clock, and the gap is filled."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.scenarios.test_record_outlives_the_server import media_server
from tests.support.peers import Client, SampleTrack
from tests.support.polling import until

pytestmark = pytest.mark.net

Answer = dict[str, Any]


@asynccontextmanager
async def a_page(http: aiohttp.ClientSession, url: str, **fields: Any) -> AsyncIterator[Answer]:
    """A page that sends silence until the block ends; returns the answer to its offer."""
    client = Client([SampleTrack(np.zeros(48_000, np.int16))])
    try:
        body = {**await client.offer(), **fields}
        async with http.post(f"{url}/offer", json=body) as response:
            client.answer = await response.json()
            assert response.status == 200, client.answer
        await client.apply_answer()
        yield client.answer
    finally:
        await client.close()


async def until_fed(http: aiohttp.ClientSession, url: str, connection: str) -> Answer:
    """Wait until audio of the page has arrived; returns the state of its channels."""

    async def fed() -> Answer | None:
        async with http.get(f"{url}/offer/{connection}") as response:
            standing: Answer = await response.json()
        return standing if standing["channels"][0]["received_to_ms"] > 0 else None

    return await until(fed, 60)


async def until_token_stored(folder: Path) -> None:
    """Wait until the token is in the record."""

    def tokens() -> int:
        with closing(sqlite3.connect(f"file:{folder}/data/record.sqlite3?mode=ro", uri=True)) as record:
            return int(record.execute("SELECT count(*) FROM resumes").fetchone()[0])

    await until(tokens, 60)


async def fill(http: aiohttp.ClientSession, url: str, resume: str, start_ms: int, ms: int) -> Answer:
    async with http.ws_connect(f"{url}/ws/backfill/C05") as socket:
        start = {"resume": resume, "start_ms": start_ms, "encoding": "pcm_s16le", "sample_rate": 16_000}
        await socket.send_json(start)
        await socket.send_bytes(bytes(32 * ms))
        await socket.send_json({"type": "stop"})
        said: Answer = {}
        async for message in socket:
            said = json.loads(message.data)
        return said


async def test_the_same_channel_the_same_clock_and_the_gap_filled(tmp_path: Path) -> None:
    wish = [{"channel": "C05", "label": "Gate 7"}]
    async with aiohttp.ClientSession() as http:
        with media_server(tmp_path) as server:
            async with a_page(http, server.url, channels=wish) as before:
                await until_fed(http, server.url, before["connection"])
                await until_token_stored(tmp_path)
                server.stop(signal.SIGKILL)

        with media_server(tmp_path) as server:
            async with a_page(http, server.url, resume="made up") as stranger:
                assert (stranger["resumed"], stranger["resume_refused"]) == (False, "unknown")
                assert stranger["channels"][0]["channel"] != "C05"
            async with a_page(http, server.url, resume=before["resume"]) as after:
                assert after["resumed"], after
                assert (after["session"], after["resume"]) == (before["session"], before["resume"])
                assert after["channels"][0]["channel"] == "C05"
                assert after["now_ms"] > before["now_ms"]
                await until_fed(http, server.url, after["connection"])
                async with http.get(f"{server.url}/offer/{after['connection']}") as response:
                    standing = (await response.json())["channels"][0]
                start_ms, end_ms = standing["missing"][0]
                assert end_ms - start_ms > 200
                said = await fill(http, server.url, after["resume"], start_ms, end_ms - start_ms)
                assert said["type"] == "stopped" and said["filled"][0][0] == start_ms, said
            server.stop()

        with media_server(tmp_path, "--set", "media.resume_s=0") as server:
            async with a_page(http, server.url, resume=before["resume"]) as late:
                assert (late["resumed"], late["resume_refused"]) == (False, "expired")
