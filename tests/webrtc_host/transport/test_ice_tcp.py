from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.polling import until
from webrtc_host.transport import ice_tcp
from webrtc_host.transport.ice_tcp import IceTcp
from webrtc_host.transport.udp_socket import DATAGRAM_MAX

Ends = tuple[IceTcp, list[bytes], asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected() -> AsyncIterator[Ends]:
    """The server's end with the frames that it received, and the client's end."""
    frames: list[bytes] = []
    made: list[IceTcp] = []

    def make() -> IceTcp:
        made.append(IceTcp(lambda data, _: frames.append(data), lambda _: None))
        return made[-1]

    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await until(lambda: bool(made and made[0].address[1]))
    try:
        yield made[0], frames, reader, writer
    finally:
        writer.close()
        made[0].close()
        server.close()
        await server.wait_closed()


async def test_frames_are_found_however_the_bytes_are_cut() -> None:
    async with connected() as (_, frames, _, writer):
        packets = [bytes([n % 256]) * n for n in (1, 2, 200, DATAGRAM_MAX)]
        for byte in b"".join(len(p).to_bytes(2, "big") + p for p in packets[:3]):
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(b"".join(len(p).to_bytes(2, "big") + p for p in packets * 2))
        await until(lambda: len(frames) == 11)
        assert frames == packets[:3] + packets * 2


async def test_sent_packets_arrive_framed() -> None:
    async with connected() as (stream, _, reader, _):
        stream.send(b"abc")
        stream.send(b"")
        assert await reader.readexactly(7) == b"\x00\x03abc\x00\x00"


async def test_a_frame_of_an_impossible_length_closes_the_connection() -> None:
    async with connected() as (_, frames, reader, writer):
        writer.write((DATAGRAM_MAX + 1).to_bytes(2, "big"))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert frames == []


async def test_a_stream_that_names_no_peer_is_closed_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice_tcp, "OWNER_S", 0.05)
    async with connected() as (_, _, reader, _):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    async with connected() as (stream, _, reader, _):
        stream.bind(object())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.2)


async def test_for_a_client_that_does_not_read_packets_are_dropped_and_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ice_tcp, "SEND_BYTES_MAX", 10_000)
    async with connected() as (stream, _, _, _):
        for _ in range(20_000):
            stream.send(bytes(1000))
        assert stream.unsent > 1000
        assert 0 < stream.waiting_bytes < 12_000
