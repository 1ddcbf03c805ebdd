from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE, Float32Array, RequestError
from host_stt.files.sound_file import SoundFile
from tests.support.recordings import wav
from tests.support.sound_files import encoded, wav_header

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * 48_000) / 48_000)).astype(np.float32)
CONTAINERS = [
    ("wav", "pcm_s16le", 1),
    ("wav", "pcm_f32le", 2),
    ("wav", "pcm_mulaw", 1),
    ("flac", "flac", 2),
    ("ogg", "libopus", 1),
    ("mp3", "libmp3lame", 2),
    ("ipod", "aac", 1),
    ("adts", "aac", 1),
    ("webm", "libopus", 2),
    ("matroska", "ac3", 2),
    ("aiff", "pcm_s16be", 1),
    ("mpegts", "mp2", 1),
]


def read(path: Path, seconds_max: int = 3600) -> Float32Array:
    with SoundFile(path, seconds_max) as file:
        return np.concatenate(list(file))


def stored(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "recording"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("container", "codec", "channels"), CONTAINERS)
def test_any_container_becomes_16_khz_mono(tmp_path: Path, container: str, codec: str, channels: int) -> None:
    path = stored(tmp_path, encoded(np.stack([TONE] * channels), 48_000, container, codec))
    samples = read(path)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(3 * SAMPLE_RATE, abs=0.15 * SAMPLE_RATE)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(samples) == pytest.approx(440, abs=3)
    assert 0.2 < np.sqrt(np.mean(samples[8_000:-8_000] ** 2)) / np.sqrt(np.mean(TONE**2)) < 1.5


def refused(path: Path, seconds_max: int = 3600) -> tuple[str, int]:
    with pytest.raises(RequestError) as error:
        read(path, seconds_max)
    assert str(path) not in error.value.message
    return error.value.code, error.value.status


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ("empty_audio", 422)),
        (b"hello, this is a letter and not a recording" * 50, ("wrong_type", 415)),
        (wav_header(0), ("empty_audio", 422)),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), ("wrong_type", 415)),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n", ("wrong_type", 415)),
        (b"ffconcat version 1.0\nfile '/etc/hostname'\n", ("wrong_type", 415)),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", ("wrong_type", 415)),
        (bytes(10_000), ("wrong_type", 415)),
    ],
    ids=["empty", "text", "header_only", "picture", "hls", "concat", "sdp", "zeros"],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, data: bytes, expected: tuple[str, int]) -> None:
    assert refused(stored(tmp_path, data)) == expected


def test_a_recording_over_the_limit_is_refused(tmp_path: Path) -> None:
    assert refused(stored(tmp_path, wav(TONE)), 5) == ("too_long", 413)
    assert len(read(stored(tmp_path, wav(TONE)), 9)) == len(TONE)


def test_a_cut_off_recording_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = encoded(np.stack([TONE]), 48_000, "ogg", "libopus")
    samples = read(stored(tmp_path, whole[: len(whole) * 2 // 3]))
    assert SAMPLE_RATE < len(samples) < 3 * SAMPLE_RATE
    claimed = wav_header(10**9) + bytes(2 * SAMPLE_RATE)
    assert len(read(stored(tmp_path, claimed))) == SAMPLE_RATE


def test_numbers_that_are_none_become_silence(tmp_path: Path) -> None:
    bad = np.array([np.nan, np.inf, -np.inf, 1e30, 0.25] * 4_000, "<f4")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, SAMPLE_RATE, 4 * SAMPLE_RATE, 4, 32)
    body = form + b"data" + struct.pack("<I", bad.nbytes) + bad.tobytes()
    samples = read(stored(tmp_path, b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body))
    assert len(samples) == len(bad)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def test_a_hole_in_the_timestamps_is_silence(tmp_path: Path) -> None:
    samples = read(with_hole(tmp_path / "hole.mka", hole_s=4.0))
    assert len(samples) == pytest.approx(10 * SAMPLE_RATE, abs=0.1 * SAMPLE_RATE)
    assert np.abs(samples[round(3.2 * SAMPLE_RATE) : round(6.8 * SAMPLE_RATE)]).max() < 1e-3
    assert np.abs(samples[round(7.2 * SAMPLE_RATE) :]).max() > 0.1


def with_hole(path: Path, hole_s: float) -> Path:
    """The tone twice, the second time so much later than the first one ended."""
    with av.open(str(path), "w", format="matroska") as file:
        stream = file.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for number in range(2 * len(TONE) // 960):
            at = number * 960
            data = (TONE[at % len(TONE) :][:960] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(data[np.newaxis], format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 48_000, Fraction(1, 48_000)
            frame.pts = at + (round(hole_s * 48_000) if at >= len(TONE) else 0)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
