"""Stereo through the decoder of every input: each speech of each side is in the resulting mono.

Inputs with several rates are tested at 8, 16 and 48 kHz. The words, through the real inputs and the starter
model: `test_stereo_is_read_at_every_door.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.audio_file import AudioFile
from tests.support.audio_files import encoded
from tests.support.socket_audio import interleaved
from tests.support.stereo import hum, noise, phases_and_levels, sides, speech, stereo_packets
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.doors.socket_audio import make_reader
from webrtc_host.doors.socket_start import start_of
from webrtc_host.doors.upload_tracks import read_recording
from webrtc_host.media.jitter import RtpPacket
from webrtc_host.media.opus import Codec
from webrtc_host.media.resample import Piece
from webrtc_host.media.rtp import RtpStream
from webrtc_host.recovery.audio import PastDecoder
from webrtc_host.seams import OpusPacket

pytestmark = pytest.mark.slow

Decode = Callable[[Float32Array, int, Path], Float32Array]
"""(2, n) float32 at a rate becomes (m,) at 16 kHz."""
PACKET_SAMPLES = SAMPLE_RATE // 50


class Sink:
    """Collects what the reader of a socket passes on, in the order of media time."""

    def __init__(self) -> None:
        self.parts: list[Float32Array] = []

    async def put(self, piece: Piece, collected_samples: int = 0) -> None:
        self.parts.append(piece.samples)

    def archive_packet(self, timestamp: int, samples: int, payload: bytes) -> None: ...


def over_socket(frames: Sequence[bytes], **start: object) -> Float32Array:
    async def read() -> Float32Array:
        sink = Sink()
        reader = make_reader(start_of(dict(start), "C01"), sink)
        for frame in frames:
            await reader.write(frame)
        await reader.finish()
        await reader.close()
        return np.concatenate(sink.parts)

    return asyncio.run(read())


def cut(data: bytes, size: int = 3_201) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def by_webrtc(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    """WHIP and /offer: RTP packets through jitter buffer, decoder and timeline."""
    stream, blocks = RtpStream(Codec.OPUS), []
    for number, payload in enumerate(stereo_packets(planes)):
        packet = RtpPacket(number, 960 * number, 7, payload, PACKET_SAMPLES * (number + 1))
        blocks += stream.feed(packet)
    blocks += stream.flush()
    return np.concatenate([block.samples for block in blocks])


def by_opus_socket(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    return over_socket(stereo_packets(planes), encoding="opus", channels=2)


def by_webm_socket(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    return over_socket(cut(encoded(planes, rate, "webm", "libopus")), encoding="webm")


def by_ogg_socket(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    return over_socket(cut(encoded(planes, rate, "ogg", "libopus")), encoding="ogg")


def by_raw_socket(encoding: str) -> Decode:
    def decode(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
        frames = cut(interleaved(planes, encoding))
        return over_socket(frames, encoding=encoding, sample_rate=rate, channels=len(planes))

    return decode


def by_push(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    return read_recording(encoded(planes, rate), 60).samples


def by_push_of_flac(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    return read_recording(encoded(planes, rate, "flac", "flac"), 60).samples


def by_recording(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    """8081 and `host-stt transcribe`."""
    path = folder / "call.wav"
    path.write_bytes(encoded(planes, rate))
    with AudioFile(path, 60) as file:
        return np.concatenate(list(file))


class Kept(Archive):
    """An archive that holds these packets in memory."""

    def __init__(self, packets: Sequence[OpusPacket]) -> None:
        self._packets_held = packets

    def packets(self, place: ChannelKey, from_sample: int, to_sample: int) -> list[OpusPacket]:
        return [p for p in self._packets_held if from_sample < p.end_sample and p.start_sample < to_sample]


def by_recovery(planes: Float32Array, rate: int, folder: Path) -> Float32Array:
    """Archived packets, decoded again after a crash, piece by piece."""
    packets = [
        OpusPacket(PACKET_SAMPLES * number, PACKET_SAMPLES, payload)
        for number, payload in enumerate(stereo_packets(planes))
    ]
    archive, decoder, parts = Kept(packets), PastDecoder(), []
    for at in range(0, packets[-1].end_sample, SAMPLE_RATE):
        blocks = decoder.blocks(archive, ChannelKey("s_1", "C01"), at, at + SAMPLE_RATE)
        parts += [block.samples for block in blocks]
    return np.concatenate(parts)


DOORS: list[tuple[str, Decode, tuple[int, ...]]] = [
    ("webrtc", by_webrtc, (48_000,)),
    ("socket opus", by_opus_socket, (48_000,)),
    ("socket webm", by_webm_socket, (48_000,)),
    ("socket ogg", by_ogg_socket, (48_000,)),
    ("socket pcm_s16le", by_raw_socket("pcm_s16le"), (8_000, 16_000, 48_000)),
    ("socket pcm_f32le", by_raw_socket("pcm_f32le"), (16_000, 48_000)),
    ("socket mulaw", by_raw_socket("mulaw"), (8_000, 16_000)),
    ("socket alaw", by_raw_socket("alaw"), (8_000, 16_000)),
    ("push wav", by_push, (8_000, 16_000, 48_000)),
    ("push flac", by_push_of_flac, (8_000, 16_000, 48_000)),
    ("recording", by_recording, (8_000, 16_000, 48_000)),
    ("recovery", by_recovery, (48_000,)),
]
INPUTS = [(f"{name} {rate}", decode, rate) for name, decode, rates in DOORS for rate in rates]
EVERY = [pytest.param(decode, rate, id=name) for name, decode, rate in INPUTS]


def likeness(heard: Float32Array, clean: Float32Array) -> float:
    """Correlation, whatever the polarity, with up to 15 ms of a codec's own delay."""
    n = min(len(heard), len(clean)) - 240
    about_0 = clean[:n] - clean[:n].mean()
    delayed = np.lib.stride_tricks.sliding_window_view(heard[: n + 239], n)[::2]
    covariances = np.abs(delayed @ about_0) / n  # about_0 has no mean, so that of `heard` drops out
    return float((covariances / (delayed.std(axis=1) * about_0.std())).max())


@pytest.mark.parametrize(
    ("decode", "rate", "right_db", "phase"),
    [
        pytest.param(decode, rate, right_db, phase, marks=marks, id=f"{name}-{right_db}-{phase}")
        for number, (name, decode, rate) in enumerate(INPUTS)
        for phase, right_db, marks in phases_and_levels(number)
    ],
)
def test_each_speech_of_each_side_is_there(
    tmp_path: Path, decode: Decode, rate: int, right_db: float, phase: str
) -> None:
    planes, said = sides(phase, rate, right_db)
    heard = decode(planes, rate, tmp_path)
    assert abs(len(heard) - planes.shape[1] * SAMPLE_RATE / rate) <= 2 * PACKET_SAMPLES
    for one in said:
        clean = speech(SAMPLE_RATE) * (one.samples.std() / speech(rate).std())
        part = heard[one.start * SAMPLE_RATE // rate :][: len(clean)]
        assert likeness(part, clean) > 0.9
        assert part.std() > 0.4 * clean.std(), "the mean of two sides, one of them silent, is half"


@pytest.mark.parametrize("what", ["hum", "noise"])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(("decode", "rate"), EVERY)
def test_a_speaker_beside_loud_noise_on_the_other_side_is_heard(
    tmp_path: Path, decode: Decode, rate: int, side: int, what: str
) -> None:
    clean = speech(rate) * np.float32(0.3)
    loud = hum(len(clean), rate) if what == "hum" else noise(len(clean), 0.1)
    planes = np.stack([clean, loud] if side == 0 else [loud, clean])
    heard = decode(planes, rate, tmp_path)
    first, last = SAMPLE_RATE // 2, SAMPLE_RATE * 5 // 2  # it speaks all the time
    assert likeness(heard[first:last], speech(SAMPLE_RATE)[first:last]) > 0.9
