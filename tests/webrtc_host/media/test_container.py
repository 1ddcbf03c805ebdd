"""Streamed containers: the same audio for every cut; bounded queues on both sides; the thread always ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from tests.support.peers import onsets_of, tone_bursts
from tests.support.socket_audio import container_of
from webrtc_host.media import container
from webrtc_host.media.container import StreamDecoder, StreamError

SOUND = tone_bursts(500, [0.1, 1.0, 2.4], 3.0)


@pytest.fixture
async def decoders() -> AsyncIterator[list[StreamDecoder]]:
    made: list[StreamDecoder] = []
    yield made
    for decoder in made:
        await decoder.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


async def all_audio(decoder: StreamDecoder) -> np.ndarray:
    parts = []
    while pieces := await decoder.pieces():
        parts += [piece.samples for piece in pieces]
    return np.concatenate(parts)


@pytest.mark.parametrize("encoding", ["webm", "ogg"])
@pytest.mark.parametrize("size", [1, 333, 100_000])
async def test_the_decoded_audio_is_the_same_for_every_cut(
    decoders: list[StreamDecoder], encoding: str, size: int
) -> None:
    data = container_of(encoding, SOUND)
    decoder = StreamDecoder(encoding)
    decoders.append(decoder)
    reading = asyncio.create_task(all_audio(decoder))
    for at in range(0, len(data), size):
        await decoder.write(data[at : at + size])
    decoder.end_input()
    sound = await asyncio.wait_for(reading, 20)
    assert abs(len(sound) - 48_000) <= 16
    assert [round(onset, 2) for onset in onsets_of(sound)] == [0.1, 1.0, 2.4]


async def test_audio_is_decoded_before_the_stream_ends(decoders: list[StreamDecoder]) -> None:
    data = container_of("webm", SOUND)
    decoder = StreamDecoder("webm")
    decoders.append(decoder)
    await decoder.write(data[: len(data) // 2])
    assert await asyncio.wait_for(decoder.pieces(), 10)


async def test_the_writer_waits_for_a_slow_reader(
    decoders: list[StreamDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "BYTES_MAX", 2000)
    monkeypatch.setattr(container, "SAMPLES_MAX", 4000)
    data = container_of("webm", SOUND)
    decoder = StreamDecoder("webm")
    decoders.append(decoder)

    async def write() -> None:
        for at in range(0, len(data), 500):
            await decoder.write(data[at : at + 500])
        decoder.end_input()

    writing = asyncio.create_task(write())
    await asyncio.sleep(0.3)
    assert not writing.done()
    assert len(await asyncio.wait_for(all_audio(decoder), 20)) > 47_000
    await writing


@pytest.mark.parametrize("encoding", ["webm", "ogg"])
async def test_unreadable_containers_raise_an_error(decoders: list[StreamDecoder], encoding: str) -> None:
    decoder = StreamDecoder(encoding)
    decoders.append(decoder)
    await decoder.write(b"this is no container " * 5000)
    decoder.end_input()
    with pytest.raises(StreamError, match=encoding):
        await asyncio.wait_for(decoder.pieces(), 20)
    with pytest.raises(StreamError, match=encoding):
        await decoder.write(b"more")


async def test_a_limit_holds_for_bytes_without_audio(
    decoders: list[StreamDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "BYTES_WITHOUT_AUDIO_MAX", 50_000)
    decoder = StreamDecoder("webm")
    decoders.append(decoder)
    void = b"\xec\x40\x00"  # an empty element of the format
    await decoder.write(container_of("webm", SOUND)[:200])
    with pytest.raises(StreamError, match="webm"):
        for _ in range(100):
            await decoder.write(void * 500)


async def test_closing_ends_a_thread_that_waits_for_bytes_or_space(
    decoders: list[StreamDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "SAMPLES_MAX", 100)
    hungry, full = StreamDecoder("ogg"), StreamDecoder("webm")
    decoders += [hungry, full]
    await full.write(container_of("webm", SOUND))
    await asyncio.wait_for(asyncio.gather(hungry.close(), full.close()), 10)


async def test_audio_before_a_damaged_part_is_decoded(decoders: list[StreamDecoder]) -> None:
    data = bytearray(container_of("webm", SOUND))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    decoder = StreamDecoder("webm")
    decoders.append(decoder)
    await decoder.write(bytes(data))
    decoder.end_input()
    sound = await asyncio.wait_for(all_audio(decoder), 20)
    assert len(sound) > 16_000
