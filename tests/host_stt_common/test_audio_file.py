"""Recordings become samples in their places, bad ones a plain sentence, and cut ones say so."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from host_stt_common import container_facts
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.audio_file import AudioFile, AudioFileError, Float32Array
from host_stt_common.audio_packets import SAMPLE_RATE
from host_stt_common.container_facts import facts_of
from tests.support.audio_files import decoded, encoded, wav_header
from tests.support.recordings import wav

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
    with AudioFile(path, seconds_max) as file:
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
    with pytest.raises(AudioFileError) as error:
        read(path, seconds_max)
    assert str(path) not in error.value.message and "Error" not in error.value.message
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
        (b"\xff\xf1" + bytes(100), ("wrong_type", 415)),
        (b"R", ("wrong_type", 415)),
    ],
    ids=["empty", "text", "header_only", "picture", "hls", "concat", "sdp", "zeros", "aac_mark", "letter"],
)
def test_a_file_that_is_not_a_recording_is_refused(
    tmp_path: Path, data: bytes, expected: tuple[str, int]
) -> None:
    assert refused(stored(tmp_path, data)) == expected


def test_a_recording_over_the_limit_is_refused(tmp_path: Path) -> None:
    assert refused(stored(tmp_path, wav(TONE)), 5) == ("too_long", 413)
    assert len(read(stored(tmp_path, wav(TONE)), 9)) == len(TONE)


def test_a_truncated_recording_is_decoded_up_to_its_end(tmp_path: Path) -> None:
    whole = encoded(np.stack([TONE]), 48_000, "ogg", "libopus")
    samples = read(stored(tmp_path, whole[: len(whole) * 2 // 3]))
    assert SAMPLE_RATE < len(samples) < 3 * SAMPLE_RATE
    claimed = wav_header(10**9) + bytes(2 * SAMPLE_RATE)
    assert len(read(stored(tmp_path, claimed))) == SAMPLE_RATE


def test_nan_samples_become_silence(tmp_path: Path) -> None:
    bad = np.array([np.nan, np.inf, -np.inf, 1e30, 0.25] * 4_000, "<f4")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, SAMPLE_RATE, 4 * SAMPLE_RATE, 4, 32)
    body = form + b"data" + struct.pack("<I", bad.nbytes) + bad.tobytes()
    samples = read(stored(tmp_path, b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body))
    assert len(samples) == len(bad)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1


def test_a_gap_in_the_timestamps_becomes_silence(tmp_path: Path) -> None:
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


def facts(data: bytes | Path, name: str = "", track: int = 0) -> AudioFacts:
    with AudioFile(data, 3600, name=name, track=track) as file:
        for _ in file:
            pass
        return file.facts


KINDS = [
    *CONTAINERS,
    ("mp2", "mp2", 1),
    ("caf", "pcm_s16le", 1),
    ("au", "pcm_mulaw", 1),
    ("asf", "mp2", 1),
    ("ac3", "ac3", 1),
    ("eac3", "eac3", 1),
    ("mov", "pcm_s16le", 1),
    ("ogg", "flac", 1),
    ("tta", "tta", 1),
    ("wv", "wavpack", 1),
    ("w64", "pcm_s16le", 1),
    ("avi", "mp2", 1),
    ("flv", "aac", 1),
]


@pytest.mark.parametrize(("container", "codec", "channels"), KINDS)
def test_a_complete_recording_is_complete_and_a_truncated_one_is_not(
    container: str, codec: str, channels: int
) -> None:
    rate = 44_100 if container == "flv" else 48_000
    noise = np.random.default_rng(1).normal(0, 0.1, (channels, 4 * rate)).astype(np.float32)
    data = encoded(noise, rate, container, codec)
    whole = facts(data)
    assert whole.is_complete and whole.warning() is None
    assert whole.seconds == pytest.approx(4, abs=0.15)
    assert whole.announced_seconds is None or whole.announced_seconds == pytest.approx(4, abs=0.15)
    seen = 0
    for share in (0.91, 0.62, 0.33):
        try:
            cut = facts(data[: int(len(data) * share)])
        except AudioFileError as error:  # its index is missing, or all is one block
            assert (error.code, error.status) in (("wrong_type", 415), ("empty_audio", 422))
            continue
        seen += 1
        if container != "mpegts":  # a cut between two of its packets shows nowhere
            assert not cut.is_complete and "ends before its own end" in str(cut.warning()), share
    assert seen or container in ("mov", "ipod")


@pytest.mark.parametrize("live", [True, False])
def test_a_live_webm_is_complete_without_a_length(tmp_path: Path, live: bool) -> None:
    path = tmp_path / "live.webm"
    with av.open(str(path), "w", format="webm", options={"live": "1"} if live else {}) as file:
        stream = file.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler(stream.format.name, "mono", 48_000, frame_size=960)
        frame = av.AudioFrame.from_ndarray(TONE[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 48_000, Fraction(1, 48_000), 0
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    whole = facts(path)
    assert whole.is_complete and (whole.announced_seconds is None) == live
    assert not facts(path.read_bytes()[: path.stat().st_size * 2 // 3]).is_complete
    assert facts(path.read_bytes() * 2).is_complete  # a recorder that was started again


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF - 36, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
def test_a_streamed_wav_without_a_length_is_complete(size: int) -> None:
    assert facts(wav_header(size) + bytes(2 * SAMPLE_RATE)) == AudioFacts(1.0, None, True, 0, 1)


@pytest.mark.parametrize("off", [-44, 44, -1, 1])
def test_a_wav_whose_size_counts_the_header_is_complete(off: int) -> None:
    assert facts(wav_header(2 * SAMPLE_RATE + off) + bytes(2 * SAMPLE_RATE)).is_complete


def test_a_truncated_wav_reports_its_declared_length() -> None:
    cut = facts(wav_header(2 * SAMPLE_RATE * 3) + bytes(2 * SAMPLE_RATE))
    assert cut == AudioFacts(1.0, 3.0, False, 0, 1)
    said = "the file ends before its own end; 1.0 s of the 3.0 s that it announces were read"
    assert cut.warning() == said


def test_an_mp3_with_tags_around_it_is_complete() -> None:
    data = encoded(np.stack([TONE]), 48_000, "mp3", "libmp3lame")
    cover = b"\xff\xd8\xff\xe0" + bytes(3000)
    tag = b"APIC" + struct.pack(">I", len(cover) + 13) + b"\0\0\0image/png\0\3\0" + cover
    size = len(tag)
    head = b"ID3\3\0\0" + bytes((size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127))
    assert facts(head + tag + data + b"TAG" + bytes(125)).is_complete
    assert not facts(head + tag + data[: len(data) // 2]).is_complete


@pytest.mark.parametrize("rate", [1, 50, 3_999, 400_000, 2_000_000_000])
def test_an_impossible_sample_rate_is_refused(rate: int) -> None:
    with pytest.raises(AudioFileError) as error:
        facts(wav_header(64_000, rate=rate) + bytes(64_000))
    assert (error.value.code, error.value.status) in (("bad_audio", 422), ("wrong_type", 415))


def test_the_product_of_rate_and_channels_is_limited() -> None:
    with pytest.raises(AudioFileError, match="192000 Hz with 8 channels are over the limit"):
        facts(wav_header(64_000, rate=192_000, channels=8) + bytes(64_000))
    for rate, channels in ((192_000, 2), (48_000, 8), (4_000, 64)):
        data = wav_header(2 * channels * rate, rate, channels) + bytes(2 * channels * rate)
        assert facts(data).seconds == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("name", "codec"), [("call.ulaw", "mulaw"), ("CALL.ALAW", "alaw"), ("x.al", "alaw"), ("x.pcmu", "mulaw")]
)
def test_raw_telephony_audio_is_recognised_by_its_file_name(name: str, codec: str) -> None:
    data = encoded(np.stack([TONE[::6]]), 8_000, codec, f"pcm_{codec}")
    with AudioFile(data, 60, name=name) as file:
        samples = np.concatenate(list(file))
    assert len(samples) == pytest.approx(3 * SAMPLE_RATE, abs=50)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(samples) == pytest.approx(440, abs=3)
    assert facts(wav(TONE), name=name).seconds == len(TONE) / SAMPLE_RATE  # a WAV stays one


def test_a_track_that_does_not_exist_is_named_in_the_error() -> None:
    with pytest.raises(AudioFileError, match="one audio track, number 0; 1 is none") as error:
        facts(wav(TONE), track=1)
    assert (error.value.code, error.value.status) == ("unknown_track", 422)


def test_hours_of_audio_are_refused_by_the_header_before_decoding() -> None:
    with pytest.raises(AudioFileError, match="longer than 600 s"):
        AudioFile(wav_header(700 * 32_000) + bytes(700 * 32_000), 600)
    # The header says three hours; what is there is 108 s.
    data = wav_header(3 * 3600 * 32_000) + bytes(3 * 3600 * 32_000 // 100)
    assert len(decoded(data, 600)) == 108 * SAMPLE_RATE


def test_a_small_file_that_decodes_to_hours_is_stopped_at_the_limit() -> None:
    data = encoded(np.zeros((1, 30 * 48_000), np.float32), 48_000, "mp3", "libmp3lame")
    frames = data[data.rindex(b"Info") + 400 :]
    with pytest.raises(AudioFileError, match="longer than 60 s"):
        decoded(data + frames[frames.index(b"\xff\xfb") :] * 3, 60)


HEADS = [
    b"",
    b"RIFF\0\0\0\0WAVEfmt ",
    b"RF64\xff\xff\xff\xffWAVEds64",
    b"FORM",
    b".snd",
    b"caff\0\1\0\0",
    b"OggS",
    b"\x30\x26\xb2\x75",
    b"\0\0\0\x10ftypM4A ",
    b"\x1a\x45\xdf\xa3",
    b"\x47",
    b"ID3\3\0\0",
    b"\xff\xfb\x90\0",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HEADS), st.binary(max_size=300))
def test_no_input_breaks_the_inspection_of_a_container(head: bytes, rest: bytes) -> None:
    assert facts_of(head + rest).is_cut in (True, False)


@pytest.mark.parametrize(
    ("head", "element", "end"),
    [
        (b"\x1a\x45\xdf\xa3\x80", b"\xec\x80", b"\xec\x88"),
        (b"\0\0\0\x08ftyp", b"\0\0\0\x08free", b"\0\0\0\x18free"),
        (b"caff\0\1\0\0", b"free" + bytes(8), b"free" + (100).to_bytes(8)),
    ],
    ids=["webm", "mp4", "caf"],
)
def test_a_file_of_many_empty_elements_is_refused(
    monkeypatch: pytest.MonkeyPatch, head: bytes, element: bytes, end: bytes
) -> None:
    monkeypatch.setattr(container_facts, "ELEMENTS_MAX", 100)
    assert facts_of(head + element * 90 + end).is_cut
    assert not facts_of(head + element * 110 + end).is_cut


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
        ("wav", "pcm_u8", 16_000, 1),
        ("flac", "flac", 48_000, 1),
        ("ogg", "libopus", 48_000, 1),
        ("mp3", "libmp3lame", 44_100, 1),
        ("ipod", "aac", 44_100, 1),
        ("webm", "libopus", 48_000, 1),
    ],
)
def test_audio_keeps_its_position_after_decoding(
    container: str, codec: str, rate: int, channels: int
) -> None:
    samples = decoded(encoded(np.stack([burst(rate)] * channels), rate, container, codec))
    loud = np.flatnonzero(np.abs(samples) > 0.2)
    assert loud[0] / SAMPLE_RATE == pytest.approx(0.5, abs=0.03)
    assert loud[-1] / SAMPLE_RATE == pytest.approx(0.6, abs=0.03)
