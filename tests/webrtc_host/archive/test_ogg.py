import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenarios.voices import at_48k, opus_packets
from tests.support.speech import say
from webrtc_host.archive import ogg


def a_file(packets: list[bytes], pre_skip: int = 0, tags: dict[str, str] | None = None) -> bytes:
    pages = [
        ogg.page([ogg.opus_head(pre_skip)], 0, 7, 0, ogg.FIRST_PAGE),
        ogg.page([ogg.opus_tags(tags or {"TITLE": "C01"})], 0, 7, 1),
    ]
    for number, packet in enumerate(packets):
        is_last = number == len(packets) - 1
        granule = (number + 1) * 960
        pages.append(ogg.page([packet], granule, 7, number + 2, ogg.LAST_PAGE if is_last else 0))
    return b"".join(pages)


def decoded(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data), "r", format="ogg") as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_the_checksum_is_that_of_the_ogg_specification() -> None:
    """Bit by bit, as RFC 3533 defines it: polynomial 0x04c11db7, from zero, no turn and no final xor."""

    def slowly(data: bytes) -> int:
        register = 0
        for byte in data:
            register ^= byte << 24
            for _ in range(8):
                register = (register << 1) ^ (0x04C11DB7 if register & 0x80000000 else 0)
                register &= 0xFFFFFFFF
        return register

    for data in (b"", b"\x00", b"OggS", bytes(range(256)) * 3):
        assert ogg.checksum(data) == slowly(data)


def test_ffmpeg_decodes_every_sample_of_a_written_file() -> None:
    packets = opus_packets(at_48k(say("alpha one proceed to gate seven")))
    sound = decoded(a_file(packets))
    assert len(sound) == len(packets) * 960
    assert np.abs(sound).max() > 0.05


def test_pre_skip_and_a_short_last_granule_cut_to_the_sample() -> None:
    packets = opus_packets(at_48k(say("alpha one proceed to gate seven")))
    whole = decoded(a_file(packets))
    last = ogg.page([packets[-1]], len(packets) * 960 - 500, 7, len(packets) + 1, ogg.LAST_PAGE)
    cut = decoded(a_file(packets, 1000)[: -len(last)] + last)
    assert np.array_equal(cut, whole[1000:-500])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=700), min_size=1, max_size=40))
def test_packets_are_read_as_they_were_written(packets: list[bytes]) -> None:
    written = ogg.page(packets, 960, 1, 2)
    (page,) = ogg.read(written)
    assert page.packets == tuple(packets)
    assert (page.granule, page.serial, page.sequence, page.end) == (960, 1, 2, len(written))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_page_with_any_wrong_byte_is_not_read(data: st.DataObject) -> None:
    pages = [ogg.page([bytes((n,)) * 50], n * 960, 1, n) for n in range(4)]
    whole = bytearray(b"".join(pages))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    hit = at // len(pages[0])
    assert [page.sequence for page in ogg.read(bytes(whole))] == [n for n in range(4) if n != hit]


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read_without_an_error(junk: bytes) -> None:
    good = ogg.page([b"x"], 0, 1, 0)
    assert [page.packets for page in ogg.read(b"OggS" + junk + good)][-1:] == [(b"x",)]


def test_a_torn_last_page_is_not_read() -> None:
    whole = a_file([ogg.SILENCE_20_MS] * 3)
    for cut in range(1, 31):
        assert len(list(ogg.read(whole[:-cut]))) == 4


def test_a_page_with_too_much_data_is_refused() -> None:
    with pytest.raises(ValueError, match="256 segments"):
        ogg.page([b"x"] * 256, 0, 1, 0)


def test_the_length_of_a_packet_is_what_the_decoder_gives() -> None:
    for packet in opus_packets(at_48k(say("alpha one"))):
        assert ogg.samples_of(packet) == 960
    assert ogg.samples_of(bytes((0b00011_000,))) == 2880  # SILK, 60 ms
    assert ogg.samples_of(bytes((0b00000_011, 2))) == 960  # two frames of 10 ms
    assert ogg.samples_of(bytes((0b11100_001,))) == 240  # two of 2.5 ms
    assert ogg.samples_of(bytes((0b00011_011, 63))) == 0  # longer than Opus allows
    assert ogg.samples_of(b"") == 0


def test_the_silence_packet_is_silent_and_has_the_longest_duration() -> None:
    for samples in (0, 119, 120, 360, 959, 960, 48_000, 48_000 + 840 + 7):
        packets = ogg.silence(samples)
        length = sum(ogg.samples_of(packet) for packet in packets)
        assert 0 <= samples - length < 120
    sound = decoded(a_file([*ogg.silence(4800)]))
    assert not sound.any()


def test_ffmpeg_reads_the_tags() -> None:
    with av.open(
        io.BytesIO(a_file(ogg.silence(960), tags={"SESSION": "s_1", "TITLE": "탑"})), "r"
    ) as container:
        (stream,) = container.streams.audio
        assert stream.metadata == {"SESSION": "s_1", "TITLE": "탑"}
