"""An export or playback is in the audit from the first byte on, for every end of the connection."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from pathlib import Path

import pytest

from tests.security.ports import TOKEN, Port, head, running
from tests.security.test_stalled_callers import (
    FORM,
    PATIENT,
    SHORT,
    ask_without_reading,
    audio_of,
    export_of,
    with_text_and_audio,
)
from tests.support.desk import Desk
from tests.support.polling import until
from webrtc_host.http.server import GATE
from webrtc_host.keys import RECORD
from webrtc_host.transcript import records

pytestmark = pytest.mark.slow


async def details(desk: Desk) -> list[str]:
    rows = await desk.app[RECORD].store.read(lambda connection: records.audit_page(connection, 100))
    return [f"{row.action} {row.detail}" for row in reversed(rows)]


def reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


async def until_said(desk: Desk, end: str) -> str:
    async def is_said() -> bool:
        return any(line.endswith(end) for line in await details(desk))

    await until(is_said)
    (line,) = await details(desk)
    return line


WISHES = {"exported": export_of, "listened": audio_of}


@pytest.mark.parametrize("action", WISHES)
@pytest.mark.parametrize("way", ["reset", "closed", "stalled"])
async def test_an_interrupted_response_has_its_audit_line_from_the_beginning(
    action: str, way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with with_text_and_audio(tmp_path, PATIENT if way != "stalled" else SHORT) as (port, desk):
        one = await ask_without_reading(port, WISHES[action](desk))
        await asyncio.to_thread(one.recv, 1000)
        if way != "stalled":
            line = await until_said(desk, "begun")
            assert line.startswith(action)
            reset(one) if way == "reset" else one.close()
        line = await until_said(desk, "broken off")
        assert line.startswith(action)
        one.close()
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info], caplog.text


@pytest.mark.parametrize("action", WISHES)
async def test_a_complete_response_is_not_marked_as_interrupted(action: str, tmp_path: Path) -> None:
    async with with_text_and_audio(tmp_path, PATIENT) as (port, desk):
        sent = WISHES[action](desk).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert len(await port.ask(sent)) > 2_000_000

        async def is_whole() -> bool:
            (line,) = await details(desk)
            return not line.endswith("begun")

        await until(is_whole)
        assert "broken" not in (await details(desk))[0]


@pytest.mark.parametrize("port", ["8081", "8082"])
async def test_uploads_that_are_reset_leave_no_traceback(
    port: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, logger="aiohttp.access")  # another test may have set up the real log
    path = "/push" if port == "8082" else "/v1/audio/transcriptions"
    async with running(port, tmp_path) as server:
        await until(server.is_ready if port == "8081" else lambda: _is_served(server))
        sent = head("POST", path, FORM, "Content-Length: 1000000", token=TOKEN)
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
        opened = [await asyncio.to_thread(server.connect) for _ in range(4)]
        for one in opened:
            one.sendall(sent + part)
        assert await _is_served(server)
        if server.desk is not None:  # a request that is reset before the server received it has no audit line
            limits = server.desk.app[GATE].limits
            await until(lambda: limits.statistics()["in_hand"] == len(opened))
        for one in opened:
            reset(one)
        wanted = "-> 499" if port == "8082" else "a caller disconnected"
        await until(lambda: sum(wanted in r.getMessage() for r in caplog.records) == 4)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING or r.exc_info], caplog.text


async def _is_served(port: Port) -> bool:
    return (await port.ask(head("GET", "/health", "Connection: close"))).startswith(b"HTTP/1.1 200")
