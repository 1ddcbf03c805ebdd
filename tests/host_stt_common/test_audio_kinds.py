"""Rarer kinds of recordings are read, too, and one that is not complete says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from host_stt_common.audio_file import AudioFile, AudioFileError
from host_stt_common.audio_packets import SAMPLE_RATE
from tests.support.audio_files import encoded

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)


def read(path: Path, data: bytes) -> np.ndarray:
    path.write_bytes(data)
    with AudioFile(path, 3600, name=path.name) as file:
        return np.concatenate(list(file))


def refusal(path: Path, data: bytes) -> str:
    with pytest.raises(AudioFileError) as error:
        read(path, data)
    assert (error.value.code, error.value.status) == ("wrong_type", 415)
    return error.value.message


def assert_tone(samples: np.ndarray) -> None:
    assert len(samples) == pytest.approx(len(TONE), abs=0.15 * SAMPLE_RATE)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(samples) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("nut", "pcm_s16le"), ("sox", "pcm_s32le"), ("ircam", "pcm_s16le"), ("wtv", "mp2"), ("latm", "aac")],
)
def test_a_rare_container_is_read(tmp_path: Path, container: str, codec: str) -> None:
    assert_tone(read(tmp_path / "a", encoded(TONE[np.newaxis], SAMPLE_RATE, container, codec)))


def test_a_file_of_a_speech_corpus_is_read(tmp_path: Path) -> None:
    fields = (
        f"sample_count -i {len(TONE)}",
        *("sample_n_bytes -i 2", "channel_count -i 1", "sample_byte_format -s2 01", "sample_rate -i 16000"),
        *("sample_coding -s3 pcm", "end_head"),
    )
    header = "\n".join(("NIST_1A", "   1024", *fields, "")).encode().ljust(1024)
    assert_tone(read(tmp_path / "a.sph", header + (TONE * 32767).astype("<i2").tobytes()))


def test_telephone_audio_without_a_header_is_known_by_its_name(tmp_path: Path) -> None:
    assert_tone(read(tmp_path / "a.g722", encoded(TONE[np.newaxis], SAMPLE_RATE, "g722", "g722")))
    assert_tone(read(tmp_path / "a.sln", (TONE[::2] * 32767).astype("<i2").tobytes()))


def test_an_mp4_without_its_index_says_that_it_is_not_complete(tmp_path: Path) -> None:
    whole = encoded(TONE[np.newaxis], 48_000, "mp4", "aac")
    assert "index (moov) is missing" in refusal(tmp_path / "a.mp4", whole[: len(whole) // 2])
    assert "index (moov) is missing" in refusal(tmp_path / "b.mp4", whole[:40])


def test_a_wav_that_ends_in_its_header_says_that_it_is_cut_off(tmp_path: Path) -> None:
    whole = encoded(TONE[np.newaxis], SAMPLE_RATE)
    message = refusal(tmp_path / "a.wav", whole[: whole.index(b"LIST") + 8])
    assert "the file is cut off" in message and ".ulaw" not in message
