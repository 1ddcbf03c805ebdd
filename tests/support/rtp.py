"""RTP packets for tests and benchmarks: audio encoded by libopus, sent through a simulated network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from aiortc import RTCRtpReceiver
from aiortc.rtcdtlstransport import RtpRouter
from aiortc.rtcrtpreceiver import RemoteStreamTrack

from host_stt.contract import Float32Array
from webrtc_host.media.jitter import RtpPacket
from webrtc_host.media.libopus import OpusEncoder
from webrtc_host.seams import Block, BlockKind

PACKET = 320  # samples of 20 ms
TICKS = 960  # RTP time of 20 ms
MS = 16


@cache
def hum_packets(packets: int, seed: int = 1) -> tuple[bytes, ...]:
    """Packets of 20 ms with a hum whose loudness changes in each; most carry repair data (FEC)."""
    loudness = np.random.default_rng(seed).uniform(0.05, 0.3, packets).repeat(PACKET)
    hum = np.sin(2 * np.pi * 200 * np.arange(packets * PACKET) / 16_000)
    return tuple(encode((loudness * hum).astype(np.float32)))


def encode(sound: Float32Array, *, expected_loss_percent: int = 20) -> list[bytes]:
    encoder = OpusEncoder(with_repair=True, expected_loss_percent=expected_loss_percent)
    return [encoder.encode(piece) for piece in sound[: len(sound) // PACKET * PACKET].reshape(-1, PACKET)]


def packet(
    number: int,
    arrival_sample: int | None = None,
    *,
    payload: bytes = b"",
    ssrc: int = 1,
    first_sequence: int = 65_500,
    first_timestamp: int = 2**32 - 20 * TICKS,
) -> RtpPacket:
    """The packet with this number: 20 ms each, arriving when it ends unless said otherwise."""
    return RtpPacket(
        (first_sequence + number) % 2**16,
        (first_timestamp + number * TICKS) % 2**32,
        ssrc,
        payload or number.to_bytes(4, "big"),
        (number + 1) * PACKET if arrival_sample is None else arrival_sample,
    )


def assert_contiguous(blocks: Sequence[Block]) -> None:
    for before, after in zip(blocks, blocks[1:], strict=False):
        assert before.end_sample == after.start_sample
    assert all(len(block.samples) for block in blocks)


def samples_of(blocks: Iterable[Block], kind: BlockKind) -> int:
    return sum(len(block.samples) for block in blocks if block.kind is kind)


def joined_samples(blocks: Sequence[Block]) -> Float32Array:
    """All samples of contiguous blocks."""
    return np.concatenate([block.samples for block in blocks]).astype(np.float32, copy=False)


CODECS = {96: "audio/opus", 0: "audio/PCMU", 8: "audio/PCMA", 9: "audio/G722"}


async def do_nothing(*_: Any, **__: Any) -> None: ...


def a_receiver() -> Any:
    """A receiver of aiortc as it is after the negotiation, with a transport that does nothing."""
    transport: Any = SimpleNamespace(
        state="new", _handle_rtp_data=do_nothing, _handle_rtcp_data=do_nothing, _rtp_router=RtpRouter()
    )
    receiver: Any = RTCRtpReceiver("audio", transport)
    receiver._track = RemoteStreamTrack("audio")
    known: Any = RTCRtpReceiver.getCapabilities("audio")
    for payload_type, name in CODECS.items():
        codec = next(codec for codec in known.codecs if codec.mimeType == name)
        receiver._RTCRtpReceiver__codecs[payload_type] = codec
    return receiver


async def receive(receiver: Any, packet: Any, arrival_ms: int = 0) -> None:
    """Pass a packet to the receiver as aiortc's transport does."""
    await receiver._handle_rtp_packet(packet, arrival_time_ms=arrival_ms)


def sources_of(receiver: Any) -> dict[int, Any]:
    """The statistics of each source (SSRC) that aiortc puts into its reports."""
    sources: dict[int, Any] = receiver._RTCRtpReceiver__remote_streams
    return sources
