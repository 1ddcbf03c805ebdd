"""The encoder's queue when it is full: uploads wait for space, live audio has a reserved part.

A lock that the encoder's thread needs to pass packets on stops the encoder, so no test depends on time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from tests.support.polling import until
from webrtc_host.archive.block_encoder import BlockEncoder
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.archive.upload_reservations import UploadReservations
from webrtc_host.seams import Block, OpusPacket

S = 16_000
LIVE, UPLOAD = ChannelKey("s_1", "C01"), ChannelKey("s_1", "C02")


class StoppedEncoder:
    """An encoder for 30 s of audio, 20 s of them for uploads, that encodes nothing until `go`."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self.kept: dict[ChannelKey, int] = {}
        self.room = UploadReservations(
            lambda space_freed: BlockEncoder(
                self._take,
                waiting_samples_max=30 * S,
                upload_samples_max=20 * S,
                on_space_freed=space_freed,
            )
        )
        self.encoder = self.room.encoder

    def go(self) -> None:
        self._gate.release()

    def close(self) -> None:
        if self._gate.locked():
            self.go()
        self.encoder.close()

    def _take(self, key: ChannelKey, packets: Sequence[OpusPacket]) -> None:
        with self._gate:
            self.kept[key] = self.kept.get(key, 0) + sum(packet.samples for packet in packets)

    def kept_s(self, key: ChannelKey) -> float:
        return round(self.kept.get(key, 0) / S, 1)


@pytest.fixture
def held() -> Iterator[StoppedEncoder]:
    made = StoppedEncoder()
    yield made
    made.close()


def block(seconds: float, start_s: float = 0) -> Block:
    return Block(round(start_s * S), np.zeros(round(seconds * S), np.float32))


async def test_an_upload_waits_for_space_and_is_archived_completely(held: StoppedEncoder) -> None:
    first = await held.room.reserve(15 * S, 0)
    assert first is not None
    first.keep("s_1", "C02", block(15))
    second = asyncio.create_task(held.room.reserve(10 * S, 30))
    await asyncio.sleep(0)
    assert not second.done()
    held.go()
    reserved = await second
    assert reserved is not None
    reserved.keep("s_1", "C03", block(10))
    await until(lambda: held.encoder.waiting_ms == 0, 20)
    held.encoder.close()
    assert held.kept_s(UPLOAD) == pytest.approx(15, abs=0.1)
    assert held.kept_s(ChannelKey("s_1", "C03")) == pytest.approx(10, abs=0.1)
    assert held.encoder.lost_ms == 0


async def test_uploads_do_not_use_the_part_of_live_channels(held: StoppedEncoder) -> None:
    reserved = await held.room.reserve(20 * S, 0)
    assert reserved is not None and await held.room.reserve(1, 0) is None
    for second in range(10):
        held.encoder.put(LIVE, block(1, second))
    assert held.encoder.lost_ms == 0 and held.encoder.trouble is None


async def test_live_audio_may_use_all_of_the_queue_and_then_uploads_wait(held: StoppedEncoder) -> None:
    held.encoder.put(LIVE, block(30))
    assert held.encoder.lost_ms == 0
    assert await held.room.reserve(1 * S, 0) is None


async def test_an_upload_longer_than_the_whole_part_gets_all_of_it(held: StoppedEncoder) -> None:
    reserved = await held.room.reserve(100 * S, 0)
    assert reserved is not None and await held.room.reserve(1, 0) is None
    reserved.keep("s_1", "C02", block(100))
    held.go()
    await until(lambda: held.encoder.waiting_ms == 0, 20)
    again = await held.room.reserve(20 * S, 0)
    assert again is not None  # exactly the reserved space was released
    assert await held.room.reserve(1, 0) is None


async def test_unused_space_is_given_to_the_next_in_order(held: StoppedEncoder) -> None:
    first = await held.room.reserve(20 * S, 0)
    waiting = [asyncio.create_task(held.room.reserve(n * S, 30)) for n in (15, 5, 1)]
    await asyncio.sleep(0)
    assert first is not None
    first.release()
    first.release()  # a second release changes nothing
    await asyncio.wait(waiting[:2])
    assert not waiting[2].done()
    waiting[2].cancel()
    await asyncio.wait(waiting)
    for task in waiting[:2]:
        reserved = task.result()
        assert reserved is not None
        reserved.release()
    assert await held.room.reserve(20 * S, 0) is not None


async def test_a_cancelled_upload_lets_a_smaller_one_continue(held: StoppedEncoder) -> None:
    assert await held.room.reserve(10 * S, 0) is not None
    large = asyncio.create_task(held.room.reserve(15 * S, 30))
    small = asyncio.create_task(held.room.reserve(5 * S, 30))
    await asyncio.sleep(0)
    large.cancel()
    await asyncio.wait({large, small})
    assert small.result() is not None


async def test_trouble_is_reported_as_long_as_it_lasts(held: StoppedEncoder) -> None:
    held.encoder.put(LIVE, block(30))
    held.encoder.put(LIVE, block(1, 30))
    assert held.encoder.lost_ms == 1000
    assert held.encoder.trouble == "the encoder is too far behind"
    held.go()
    await until(lambda: held.encoder.waiting_ms <= 15_000, 20)
    await until(lambda: held.encoder.trouble is None, 20)
