"""The hub: which desk gets which packets, and the audio that is encoded for desks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from host_stt.contract import Float32Array
from tests.support.opus_packets import packet_at
from tests.support.polling import until
from tests.support.speech import say
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.listening import hub as hub_module
from webrtc_host.listening.hub import ChannelAudio, Hub
from webrtc_host.media.opus import Codec, make_decoder
from webrtc_host.seams import Block, BlockKind, OpusPacket

C01 = ChannelKey("s_1", "C01")
C02 = ChannelKey("s_1", "C02")


class Ears:
    """A desk that keeps what it gets."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, OpusPacket]] = []

    def take(self, channel: str, packet: OpusPacket) -> None:
        self.heard.append((channel, packet))


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    made = Hub()
    yield made
    made.close()


def audio_of(hub: Hub, key: ChannelKey = C01) -> ChannelAudio:
    return hub.of_channel(key.session, key.channel)


def put(audio: ChannelAudio, samples: Float32Array, start: int = 0, piece: int = 1600) -> None:
    for at in range(0, len(samples), piece):
        audio.take_block(Block(start + at, samples[at : at + piece]))


async def test_a_desk_gets_the_packets_of_the_channels_that_it_listens_to_and_no_others(hub: Hub) -> None:
    one, other = Ears(), Ears()
    audio = {key: audio_of(hub, key) for key in (C01, C02)}
    hub.add(one, C01)
    hub.add(one, C01)
    hub.add(other, C02)
    audio[C01].take_packet(packet_at(0))
    audio[C02].take_packet(packet_at(20))
    assert one.heard == [("C01", packet_at(0))]
    assert other.heard == [("C02", packet_at(20))]
    hub.remove(one, C01)
    hub.remove(one, C01)
    audio[C01].take_packet(packet_at(40))
    assert len(one.heard) == 1
    assert hub.statistics()["channels"] == 1


async def test_the_same_channel_of_another_session_is_another_channel(hub: Hub) -> None:
    ears = Ears()
    hub.add(ears, C01)
    hub.of_channel("s_2", "C01").take_packet(packet_at(0))
    assert ears.heard == []


async def test_audio_without_packets_is_encoded_once_for_all_desks_at_its_place(hub: Hub) -> None:
    one, other, said = Ears(), Ears(), say("alpha one proceed to gate seven")
    hub.add(one, C01)
    hub.add(other, C01)
    put(audio_of(hub), said, start=32_000)
    whole = (len(said) - 104) // 320
    await until(lambda: len(other.heard) >= whole)
    assert one.heard == other.heard
    packets = [packet for _, packet in one.heard]
    assert [p.start_sample for p in packets] == [32_000 - 104 + 320 * n for n in range(len(packets))]
    decoder = make_decoder(Codec.OPUS)
    heard = np.concatenate([decoder.decode(packet.payload) for packet in packets])[104:]
    n = min(len(heard), len(said))
    assert np.corrcoef(heard[:n], said[:n])[0, 1] > 0.95
    assert hub.statistics()["encoded_ms"] == len(packets) * 20


async def test_nothing_is_encoded_while_no_desk_listens(hub: Hub) -> None:
    audio, ears = audio_of(hub), Ears()
    put(audio, np.zeros(16_000, np.float32))
    hub.add(ears, C01)
    put(audio, np.zeros(3_200, np.float32), start=16_000)
    await until(lambda: len(ears.heard) == 10)
    assert ears.heard[0][1].start_sample == 16_000 - 104
    assert hub.statistics()["encoded_ms"] == 200


async def test_after_a_gap_the_packets_continue_where_the_audio_is(hub: Hub) -> None:
    audio, ears = audio_of(hub), Ears()
    hub.add(ears, C01)
    put(audio, np.zeros(1_600, np.float32))
    audio.take_block(Block(1_600, np.zeros(8_000, np.float32), BlockKind.PAUSED))
    put(audio, np.zeros(1_600, np.float32), start=9_600)
    await until(lambda: len(ears.heard) == 10)
    starts = [packet.start_sample for _, packet in ears.heard]
    assert starts[4:6] == [4 * 320, 9_600 - 104]


async def test_an_encoder_that_is_behind_loses_audio_and_counts_it(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "BLOCKS_WAITING_MAX", 3)
    audio, ears = audio_of(hub), Ears()
    hub.add(ears, C01)
    put(audio, np.zeros(16_000, np.float32))  # ten blocks, and the loop does not run meanwhile
    assert hub.statistics()["not_encoded_ms"] == 700
    await until(lambda: len(ears.heard) == 15)
    put(audio, np.zeros(1_600, np.float32), start=16_000)
    await until(lambda: len(ears.heard) == 20)


async def test_a_closed_hub_takes_audio_and_does_nothing(hub: Hub) -> None:
    audio = audio_of(hub)
    hub.add(Ears(), C01)
    hub.close()
    put(audio, np.zeros(3_200, np.float32))
    await asyncio.sleep(0)
    assert hub.statistics()["encoded_ms"] == 0
