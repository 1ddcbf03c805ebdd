"""Jobs in a whole server in this process: submit recordings, read their events."""

from __future__ import annotations

import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.support.audio_files import encoded
from tests.support.desk import Desk, a_config, running_desk
from tests.support.speech import say, silence
from tests.webrtc_host.speech.engine_server import EngineServer

WAIT_S = 60.0
PHRASES = ("alpha one proceed to gate seven", "echo six hold at gate nine", "bravo two calls you back")


@asynccontextmanager
async def a_server(folder: Path, engine: EngineServer | None = None, **parts: Any) -> AsyncIterator[Desk]:
    os.makedirs(folder, exist_ok=True)
    url = {} if engine is None else {"engine_url": engine.url}
    jobs = {"free_bytes_min": 0, **parts.pop("jobs", {})}
    config = a_config(folder, store={"url": ""}, jobs=jobs, **url, **parts)
    async with running_desk(config) as desk:
        yield desk


def talk(*phrases: str, pause_s: float = 2.5) -> Float32Array:
    """Phrases with pauses that end a window."""
    parts = [silence(0.5)]
    for phrase in phrases or PHRASES:
        parts += [say(phrase), silence(pause_s)]
    return np.concatenate(parts)


def wav(*planes: Float32Array) -> bytes:
    longest = max(len(plane) for plane in planes)
    padded = [np.pad(plane, (0, longest - len(plane))) for plane in planes]
    return encoded(np.stack(padded), SAMPLE_RATE)


async def submit(
    desk: Desk,
    data: bytes | None,
    name: str = "talk.wav",
    *,
    key: str = "",
    **fields: str,
) -> tuple[int, dict[str, Any]]:
    form = aiohttp.FormData()
    headers = {"Idempotency-Key": key} if key else {}
    for field, value in fields.items():
        form.add_field(field, value)
    if data is not None:
        form.add_field("file", io.BytesIO(data), filename=name, content_type="application/octet-stream")
    async with desk.client.post(f"{desk.url}/api/jobs", data=form, headers=headers) as response:
        return response.status, await response.json()


async def accepted(desk: Desk, data: bytes, name: str = "talk.wav", **fields: str) -> str:
    """The id of a job that must be accepted."""
    status, body = await submit(desk, data, name, **fields)
    assert status == 202, body
    return str(body["job"])


def left_over(folder: Path) -> list[str]:
    """The names of the files of jobs in a data folder."""
    return sorted(os.listdir(folder / "jobs")) if os.path.exists(folder / "jobs") else []


Event = tuple[str, str | None, dict[str, Any]]
"""(name, id, data)."""


async def events_of(desk: Desk, job: str, last_id: str | None = None) -> list[Event]:
    """All events of a job, until the server ends the stream."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    url = f"{desk.url}/api/jobs/{job}/events"
    async with desk.client.get(url, headers=headers, timeout=timeout) as response:
        if response.status == 204:
            return []
        assert response.status == 200, await response.text()
        return parsed(await response.text())


def parsed(text: str) -> list[Event]:
    events = []
    for frame in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
        if "data" in lines:
            events.append((lines["event"], lines.get("id"), json.loads(lines["data"])))
    return events


def named(events: list[Event], name: str) -> list[dict[str, Any]]:
    return [data for one, _, data in events if one == name]


async def job_of(desk: Desk, job: str) -> dict[str, Any]:
    status, body = await desk.get(f"/api/jobs/{job}")
    assert status == 200, body
    return dict(body)
