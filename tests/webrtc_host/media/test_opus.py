"""A packet becomes as many 16 kHz samples as RTP time requires, whether it is whole, lost or damaged."""

from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.support.opus_reference import packet_samples
from tests.support.stereo import phases_and_levels, sides, speech, stereo_packets
from webrtc_host.media import libopus, opus
from webrtc_host.media.libopus import OpusEncoder, OpusError
from webrtc_host.media.opus import Codec, DecodeError, Decoder, G711Decoder, OpusDecoder, PyavOpusDecoder

FRAME = 320  # 20 ms


def tone(frames: int, hertz: float = 440.0, rate: int = SAMPLE_RATE) -> Float32Array:
    n = frames * rate // 50
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(n) / rate)).astype(np.float32)


def packets_of(samples: Float32Array, frame: int = FRAME) -> list[bytes]:
    encoder = OpusEncoder(with_repair=True, expected_loss_percent=20)
    return [encoder.encode(piece) for piece in samples.reshape(-1, frame)]


def likeness(a: Float32Array, b: Float32Array, delay_max: int = 200) -> float:
    """The highest correlation of a with b shifted by up to delay_max samples, because codecs delay audio."""
    n = len(a) - delay_max
    return max(float(np.corrcoef(a[d : d + n], b[:n])[0, 1]) for d in range(delay_max))


@pytest.mark.parametrize("make", [OpusDecoder, PyavOpusDecoder])
@pytest.mark.parametrize("ms", [5, 10, 20, 40, 60])
def test_a_packet_decodes_to_its_own_length(make: type[Decoder], ms: int) -> None:
    samples = tone(30)
    decoder = make()
    heard = [decoder.decode(packet) for packet in packets_of(samples, ms * 16)]
    assert {len(piece) for piece in heard} == {ms * 16}
    assert likeness(np.concatenate(heard), samples) > 0.98


def test_a_lost_packet_is_restored_from_the_copy_in_the_next_one() -> None:
    rng = np.random.default_rng(1)
    speech = (tone(40, 200.0) * rng.uniform(0.2, 1.0, 40).repeat(FRAME)).astype(np.float32)
    packets = packets_of(speech)
    assert libopus.has_repair(packets[21])
    whole, holed = OpusDecoder(), OpusDecoder()
    truth = [whole.decode(packet) for packet in packets]
    for packet in packets[:20]:
        holed.decode(packet)
    repaired = holed.repair(packets[21], FRAME)
    assert len(repaired) == FRAME
    assert np.corrcoef(repaired, truth[20])[0, 1] > 0.9
    np.testing.assert_allclose(holed.decode(packets[21]), truth[21], atol=0.2)


def test_a_packet_without_a_copy_repairs_nothing() -> None:
    encoder = OpusEncoder()
    packets = [encoder.encode(piece) for piece in tone(5).reshape(-1, FRAME)]
    assert not libopus.has_repair(packets[-1])
    assert len(OpusDecoder().repair(packets[-1], FRAME)) == 0


def test_concealment_has_the_requested_length_in_steps_of_2_5_ms() -> None:
    decoder = OpusDecoder()
    for packet in packets_of(tone(10)):
        decoder.decode(packet)
    assert [len(decoder.conceal(n)) for n in (320, 100, 39)] == [320, 80, 0]


@pytest.mark.parametrize("make", [OpusDecoder, PyavOpusDecoder])
def test_an_undecodable_packet_raises_an_error_and_later_packets_decode(make: type[Decoder]) -> None:
    decoder = make()
    packets = packets_of(tone(5))
    for packet in packets[:3]:
        decoder.decode(packet)
    for broken in (b"", b"\xff", b"\x7b\xff\xff\xff"):
        with pytest.raises(DecodeError):
            decoder.decode(broken)
    assert len(decoder.decode(packets[3])) == FRAME


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_any_bytes_give_audio_in_range_or_a_decode_error(payloads: list[bytes]) -> None:
    decoder = OpusDecoder()
    for payload in payloads:
        try:
            samples = decoder.decode(payload)
        except DecodeError:
            continue
        assert len(samples) == packet_samples(payload) <= libopus.PACKET_SAMPLES_MAX
        assert np.all(np.abs(samples) <= 1.0)
        assert len(decoder.repair(payload, FRAME)) in (0, FRAME)


@pytest.mark.parametrize(("codec", "name"), [(Codec.PCMU, "pcm_mulaw"), (Codec.PCMA, "pcm_alaw")])
def test_g711_is_decoded_as_by_ffmpeg(codec: Codec, name: str) -> None:
    context = av.CodecContext.create(name, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 8_000, "mono"
    theirs = context.decode(av.Packet(bytes(range(256))))[0].to_ndarray()[0] / 32768
    np.testing.assert_array_equal(opus.g711_table(codec), theirs.astype(np.float32))


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA])
def test_g711_becomes_twice_as_many_samples_two_milliseconds_late(codec: Codec) -> None:
    table = opus.g711_table(codec)
    sound = tone(20, rate=8_000)
    data = np.abs(table[None, :] - sound[:, None]).argmin(axis=1).astype(np.uint8).tobytes()
    decoder = G711Decoder(codec)
    heard = [decoder.decode(data[at : at + 160]) for at in range(0, len(data), 160)]
    assert {len(piece) for piece in heard} == {FRAME}
    late = np.concatenate(heard)[32:]
    assert np.corrcoef(late, tone(20)[: len(late)])[0, 1] > 0.999


def test_g711_packets_of_no_or_absurd_length_are_refused() -> None:
    decoder = G711Decoder(Codec.PCMU)
    for payload in (b"", bytes(opus.G711_BYTES_MAX + 1)):
        with pytest.raises(DecodeError):
            decoder.decode(payload)


def test_the_self_test_passes_here_and_gives_libopus() -> None:
    assert opus.libopus_works()
    assert isinstance(opus.make_decoder(Codec.OPUS), OpusDecoder)
    assert isinstance(opus.make_decoder(Codec.PCMA), G711Decoder)


def test_without_libopus_ffmpeg_decodes_and_one_warning_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing() -> None:
        raise OpusError("no libopus was found")

    monkeypatch.setattr(libopus, "library", missing)
    opus.libopus_works.cache_clear()
    try:
        assert isinstance(opus.make_decoder(Codec.OPUS), PyavOpusDecoder)
        assert isinstance(opus.make_decoder(Codec.OPUS), PyavOpusDecoder)
        assert [r.levelname for r in caplog.records] == ["WARNING"]
    finally:
        opus.libopus_works.cache_clear()


def test_the_encoder_refuses_lengths_that_opus_does_not_have() -> None:
    with pytest.raises(OpusError, match="333 samples"):
        OpusEncoder().encode(np.zeros(333, np.float32))


@pytest.mark.parametrize(
    ("make", "right_db", "phase"),
    [
        pytest.param(make, right_db, phase, marks=marks)
        for number, make in enumerate((OpusDecoder, PyavOpusDecoder))
        for phase, right_db, marks in phases_and_levels(number)
    ],
)
def test_stereo_packets_keep_both_sides(make: type[Decoder], phase: str, right_db: float) -> None:
    planes, said = sides(phase, 48_000, right_db)
    packets = stereo_packets(planes)
    assert all(packet[0] & 4 for packet in packets)
    decoder = make()
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert len(heard) == len(packets) * FRAME
    for one in said:
        clean = speech(SAMPLE_RATE) * (np.abs(one.samples).max() / np.abs(speech(48_000)).max())
        part = heard[one.start // 3 :][: len(clean)]
        assert max(likeness(part, clean[: len(part)]), likeness(-part, clean[: len(part)])) > 0.9
        assert part.std() > 0.4 * clean.std()


def test_lost_stereo_is_repaired_and_concealed_with_its_length() -> None:
    side = speech(48_000)[24_000:72_000]
    packets = stereo_packets(np.stack([side, -side]))
    decoder = OpusDecoder()
    heard = [decoder.decode(packet) for packet in packets[:20]]
    assert len(decoder.repair(packets[22], FRAME)) in (0, FRAME)
    concealed = decoder.conceal(2 * FRAME)
    assert len(concealed) == 2 * FRAME
    assert concealed.std() > 0.05 * np.concatenate(heard).std(), (
        "two opposite sides do not cancel here either"
    )
    assert all(len(decoder.decode(packet)) == FRAME for packet in packets[22:])


def test_a_stream_may_change_between_mono_and_stereo() -> None:
    side = speech(48_000)[24_000:72_000]
    mono = [OpusEncoder(48_000).encode(side[at : at + 960]) for at in range(0, 48_000, 960)]
    stereo = stereo_packets(np.stack([side, -side]))
    decoder = OpusDecoder()
    for packet in [*mono[:10], *stereo[10:20], *mono[20:30], *stereo[30:40]]:
        assert len(decoder.decode(packet)) == FRAME
