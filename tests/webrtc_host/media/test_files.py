"""Files become samples in their places, and bad ones a plain sentence."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.sound_files import encoded, wav_header
from webrtc_host.errors import RequestError
from webrtc_host.media.files import decode_file, kind_of


def burst(rate: int, at_s: float = 0.5, seconds: float = 1.5) -> NDArray[np.float32]:
    """Silence with 100 ms of 440 Hz."""
    t = np.arange(int(rate * seconds)) / rate
    is_on = (t >= at_s) & (t < at_s + 0.1)
    return (0.5 * np.sin(2 * np.pi * 440 * t) * is_on).astype(np.float32)


@pytest.mark.parametrize(
    ("container", "codec", "rate", "channels"),
    [
        ("wav", "pcm_s16le", 8_000, 1),
        ("wav", "pcm_s16le", 44_100, 2),
        ("wav", "pcm_f32le", 48_000, 2),
        ("wav", "pcm_u8", 16_000, 1),
        ("flac", "flac", 48_000, 1),
        ("ogg", "libopus", 48_000, 1),
        ("ogg", "flac", 44_100, 2),
        ("mp3", "libmp3lame", 44_100, 1),
    ],
)
def test_every_kind_comes_out_in_its_place(container: str, codec: str, rate: int, channels: int) -> None:
    data = encoded(np.stack([burst(rate)] * channels), rate, container, codec)
    samples = decode_file(data, 10)
    assert samples.dtype == np.float32
    assert abs(len(samples) / 16_000 - 1.5) < 0.06
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    assert abs(loud[0] / 16_000 - 0.5) < 0.02
    assert abs(loud[-1] / 16_000 - 0.6) < 0.02


def refused(data: bytes, seconds_max: int = 600) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode_file(data, seconds_max)
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is no sound at all\n" * 100,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:1/a.ts\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\xff\xf1" + b"\0" * 100,  # AAC
        b"\x89PNG\r\n\x1a\n",
        b"R",
    ],
)
def test_what_is_no_sound_file_is_415(data: bytes) -> None:
    assert (refused(data).code, refused(data).status) == ("wrong_type", 415)


def test_an_empty_file_and_one_without_a_sample_are_422() -> None:
    assert (refused(b"").code, refused(b"").status) == ("empty_audio", 422)
    assert refused(wav_header(0)).status == 422


@pytest.mark.parametrize("kind", [b"RIFF\x24\0\0\0WAVE", b"fLaC", b"OggS", b"ID3\x04\0\0"])
def test_a_file_that_ends_after_its_mark_is_422(kind: bytes) -> None:
    assert refused(kind + b"\0" * 50).status == 422


def test_three_hours_are_refused_by_their_header_before_anything_is_decoded() -> None:
    data = wav_header(3 * 3600 * 32_000) + bytes(3 * 3600 * 32_000 // 100)
    began = time.process_time()
    # the header says three hours; what is there would be 108 s
    assert len(decode_file(data, 600)) == 108 * 16_000
    data = wav_header(700 * 32_000) + bytes(700 * 32_000)
    error = refused(data)
    assert (error.code, error.status) == ("too_long", 413)
    assert "600 s" in error.message
    assert time.process_time() - began < 2.0


def test_a_small_file_that_unpacks_to_hours_is_stopped_at_the_limit() -> None:
    silence = np.zeros((1, 30 * 48_000), np.float32)
    data = encoded(silence, 48_000, "mp3", "libmp3lame")
    frames = data[data.rindex(b"Info") + 400 :] if b"Info" in data else data
    sync = frames.index(b"\xff\xfb")
    error = refused(data + frames[sync:] * 3, 60)
    assert (error.code, error.status) == ("too_long", 413)


def test_a_stream_that_announces_no_length_is_read_to_its_end() -> None:
    data = wav_header(0xFFFFFFFF) + bytes(32_000)
    assert len(decode_file(data, 10)) == 16_000


def test_a_rate_nobody_records_at_is_422() -> None:
    data = wav_header(64_000, rate=1) + bytes(64_000)
    assert refused(data, 7200).status in (413, 422)


def test_the_kind_is_read_from_the_first_bytes() -> None:
    assert kind_of(wav_header(10)) == "wav"
    assert kind_of(b"RF64\xff\xff\xff\xffWAVEds64") == "wav"
    assert [kind_of(b"fLaC"), kind_of(b"OggS"), kind_of(b"ID3\x03"), kind_of(b"\xff\xfb\x90")] == [
        "flac",
        "ogg",
        "mp3",
        "mp3",
    ]
