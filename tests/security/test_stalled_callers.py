"""Callers that neither read nor send: their places and memory become free, and others are served."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from host_stt_common.accepting import CONNECTIONS
from tests.security.ports import PORTS, TOKEN, Port, head, running, status_of
from tests.support.desk import Desk
from tests.support.polling import until
from webrtc_host.desk.audio_api import READS_MAX
from webrtc_host.desk.export_api import EXPORTS_MAX
from webrtc_host.doors.push import PUSHES_MAX
from webrtc_host.keys import ARCHIVE
from webrtc_host.seams import OpusPacket
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.channel_seams import DoorKind

pytestmark = pytest.mark.slow

SHORT = {"stall_s": 0.5}
PATIENT = {"stall_s": 600}
FORM = "Content-Type: multipart/form-data; boundary=b"
PACKETS = 2900
PAYLOAD_BYTES = 1200


async def nothing(reason: str) -> int:
    return 0


@asynccontextmanager
async def with_text_and_audio(folder: Path, connections: dict[str, Any]) -> AsyncIterator[tuple[Port, Desk]]:
    """3 MB of text in the session, and 3.4 MB of kept audio on C01."""
    async with running("8082", folder, connections=connections) as port:
        desk = port.desk
        assert desk is not None
        for _ in range(1500):
            desk.final("x" * 2000)
        desk.registry.connect(desk.session, DoorKind.SOCKET, [ChannelSpec("C01")], nothing)
        channel = desk.registry.channel(desk.session, "C01")
        channel.open()
        archive = desk.app[ARCHIVE].archive
        assert archive is not None
        for number in range(PACKETS):
            payload = bytes((0x78, *(number.to_bytes(2, "big")))) * (PAYLOAD_BYTES // 3)
            channel.archive_packet(OpusPacket(number * 320, 320, payload))
        rounds = archive.writer.statistics().rounds
        await until(lambda: archive.writer.statistics().rounds >= rounds + 2)
        await desk.written()
        yield port, desk


def audio_of(desk: Desk) -> bytes:
    path = f"/api/sessions/{desk.session.id}/channels/C01/audio?from_ms=0&to_ms=58000"
    return head("GET", path, token=TOKEN)


def export_of(desk: Desk) -> bytes:
    return head("GET", f"/api/sessions/{desk.session.id}/export.jsonl", token=TOKEN)


async def ask_without_reading(port: Port, sent: bytes) -> socket.socket:
    one = await asyncio.to_thread(port.connect, 4096)
    one.sendall(sent)
    return one


@pytest.mark.parametrize(("wish", "places"), [(audio_of, READS_MAX), (export_of, EXPORTS_MAX)])
async def test_unread_responses_keep_their_places_for_a_limited_time(
    wish: Callable[[Desk], bytes], places: int, tmp_path: Path
) -> None:
    async with with_text_and_audio(tmp_path, PATIENT) as (port, desk):
        sent = wish(desk)
        unread = [await ask_without_reading(port, sent) for _ in range(places)]
        ask = sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")

        async def status() -> int:
            return status_of(await port.ask(ask))

        async def is_full() -> bool:
            return await status() == 503

        async def is_free() -> bool:
            return await status() == 200

        await until(is_full)
        connections = desk.app[CONNECTIONS]
        connections.limits = replace(connections.limits, stall_s=0.5)
        await until(is_free)
        for one in unread:
            one.close()


async def test_memory_of_unread_audio_is_bounded_by_the_places(tmp_path: Path) -> None:
    async with with_text_and_audio(tmp_path, PATIENT) as (port, desk):
        before = psutil.Process().memory_info().rss
        unread = [await ask_without_reading(port, audio_of(desk)) for _ in range(80)]
        limits = desk.app[CONNECTIONS]
        await until(lambda: len(limits) >= 80)
        await asyncio.sleep(0)
        assert (await desk.get("/health"))[0] == 200
        held = psutil.Process().memory_info().rss - before
        assert held < 40 * PACKETS * PAYLOAD_BYTES, "not 80 answers of 3.4 MB"
        for one in unread:
            one.close()


async def test_a_slow_reader_gets_the_whole_response(tmp_path: Path) -> None:
    stall_s = 1.0
    async with with_text_and_audio(tmp_path, {"stall_s": stall_s, "progress_bytes": 1}) as (port, desk):
        sent = audio_of(desk).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        one = await ask_without_reading(port, sent)
        began_s, got = time.monotonic(), bytearray()
        while piece := await asyncio.to_thread(one.recv, 256 * 1024):
            got += piece
            if len(got) < 200_000:
                await asyncio.sleep(0.05)  # a slow reader
        one.close()
        assert time.monotonic() - began_s > 1.5 * stall_s
        assert status_of(bytes(got)) == 200
        assert len(got) > PACKETS * PAYLOAD_BYTES


async def test_an_event_stream_that_is_not_read_is_ended(tmp_path: Path) -> None:
    async with with_text_and_audio(tmp_path, SHORT) as (port, desk):
        sent = head("GET", f"/events?session={desk.session.id}&since=0", token=TOKEN)
        one = await ask_without_reading(port, sent)
        await until(lambda: desk.subscribers.statistics().watchers == 1)
        await until(lambda: desk.subscribers.statistics().watchers == 0)
        one.close()


@pytest.mark.parametrize("path", ["/push", "/offer", "/sessions/create"])
@pytest.mark.parametrize("is_trickling", [False, True])
async def test_an_upload_that_stops_is_408_and_its_place_is_free(
    path: str, is_trickling: bool, tmp_path: Path
) -> None:
    async with running("8082", tmp_path, connections=SHORT) as port:
        kind = FORM if path != "/offer" else "Content-Type: application/json"
        lines = (kind, "Content-Length: 1000000")
        opened = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(PUSHES_MAX)]
        for _, writer in opened:
            writer.write(head("POST", path, *lines, token=TOKEN) + b"--b\r\n")

        async def trickle() -> None:
            while True:
                for _, writer in opened:
                    writer.write(b"x")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle()) if is_trickling else None
        for reader, writer in opened:
            with_head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            assert status_of(with_head) == 408
            assert b"upload_stalled" in await reader.readuntil(b"}}")
            writer.close()
        if trickling is not None:
            trickling.cancel()
        answer = await port.ask(
            head("POST", path, kind, "Content-Length: 2", "Connection: close", token=TOKEN) + b"{}"
        )
        assert status_of(answer) == 400


async def test_a_recording_that_stops_is_408_and_its_place_is_free(tmp_path: Path) -> None:
    async with running("8081", tmp_path, connections=SHORT) as port:
        await until(port.is_ready)
        sent = head("POST", "/v1/audio/transcriptions", FORM, "Content-Length: 1000000", token=TOKEN)
        part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
        for answer in await asyncio.gather(*(port.ask(sent + part) for _ in range(4))):
            assert status_of(answer) == 408
        for answer in await asyncio.gather(*(port.ask(sent + part) for _ in range(4))):
            assert status_of(answer) == 408, "not 429"


async def test_disconnected_watchers_are_detected_at_once(tmp_path: Path) -> None:
    async with running("8082", tmp_path) as port:
        assert port.desk is not None
        subscribers = port.desk.subscribers
        for path in ("/events", "/ws"):
            upgrade: tuple[str, ...] = ()
            if path == "/ws":
                upgrade = (
                    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                )
            opened = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(20)]
            for _, writer in opened:
                writer.write(head("GET", path, *upgrade, token=TOKEN))
            await until(lambda: subscribers.statistics().watchers == 20)
            for _, writer in opened:
                writer.close()
            await until(lambda: subscribers.statistics().watchers == 0, within_s=10)


@pytest.mark.parametrize("path", ["/events", "/ws", "/ws/pcm/C01", "/ws/backfill/C01", "/v1/windows"])
@pytest.mark.parametrize("port", PORTS)
async def test_head_of_a_stream_has_no_body_and_keeps_no_place(port: str, path: str, tmp_path: Path) -> None:
    async with running(port, tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.number)
        upgrade = (
            *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        for lines in ((), upgrade):
            writer.write(head("HEAD", path, *lines, token=TOKEN) + head("HEAD", "/health"))
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert status_of(answer) in (404, 405)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert status_of(answer) == 200, "the next answer begins where the head ended"
        writer.close()
