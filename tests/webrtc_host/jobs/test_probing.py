"""What a recording becomes: one channel for a track, two for a stereo track with two speakers."""

from __future__ import annotations

import io
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.audio_file import AudioFileError
from tests.support.speech import say
from tests.webrtc_host.jobs.helpers import wav
from webrtc_host.jobs.options import ChannelMode
from webrtc_host.jobs.probing import PlannedChannel, ProbeLimits, check_readable, probe, sides_differ
from webrtc_host.jobs.reading import WHISPER_WINDOWS, ChannelReader, voice_detector

LIMITS = ProbeLimits(3600, 4)
ONE = say("alpha one proceed to gate seven and hold")
OTHER = say("echo six hold at gate nine and wait", voice="en-us")
APART = (np.pad(ONE, (0, len(OTHER))), np.pad(OTHER, (len(ONE), 0)))
NOISE = np.random.default_rng(1).normal(0, 0.0005, len(ONE)).astype(np.float32)


def planned(path: Path, mode: ChannelMode = ChannelMode.AUTO) -> list[tuple[str, str, int, int | None]]:
    found = probe(path, path.name, mode, LIMITS, voice_detector).channels
    return [(one.channel, one.label, one.track, one.side) for one in found]


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def tracks(*samples: Float32Array) -> bytes:
    """A Matroska file with one mono track for each."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        streams: list[Any] = [file.add_stream("flac", rate=SAMPLE_RATE, layout="mono") for _ in samples]
        for stream, one in zip(streams, samples, strict=True):
            frame = av.AudioFrame.from_ndarray(
                (one * 32767).astype(np.int16)[np.newaxis], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
            fifo = av.AudioResampler("s16", "mono", SAMPLE_RATE, frame_size=4096)
            for piece in [*fifo.resample(frame), *fifo.resample(None)]:
                file.mux(stream.encode(piece))
            file.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(
    ("left", "right", "differ"),
    [
        (*APART, True),
        (ONE, ONE, False),
        (ONE, ONE * 0.6, False),
        (ONE, ONE * 0.0, False),
        (ONE, NOISE, False),
        (ONE * 0.0, ONE * 0.0, False),
    ],
)
def test_sides_differ_only_when_each_has_a_speaker(
    left: Float32Array, right: Float32Array, differ: bool
) -> None:
    assert sides_differ(left, right) is differ


def test_a_stereo_track_with_two_speakers_becomes_two_channels(tmp_path: Path) -> None:
    path = written(tmp_path / "call.wav", wav(*APART))
    assert planned(path) == [("C01", "left", 0, 0), ("C02", "right", 0, 1)]
    assert planned(path, ChannelMode.MIX) == [("C01", "recording", 0, None)]


def test_ordinary_stereo_is_one_channel_unless_split_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "talk.wav", wav(ONE, ONE * 0.8))
    assert planned(path) == [("C01", "recording", 0, None)]
    assert [side for *_, side in planned(path, ChannelMode.SPLIT)] == [0, 1]


def test_each_track_becomes_a_channel(tmp_path: Path) -> None:
    path = written(tmp_path / "tracks.mkv", tracks(ONE, OTHER, ONE))
    assert planned(path) == [
        ("C01", "track 1", 0, None),
        ("C02", "track 2", 1, None),
        ("C03", "track 3", 2, None),
    ]
    with pytest.raises(AudioFileError) as refused:
        probe(path, path.name, ChannelMode.AUTO, ProbeLimits(3600, 2), voice_detector)
    assert (refused.value.code, refused.value.status) == ("too_many_channels", 422)
    assert planned(path, ChannelMode.MIX) == [("C01", "recording", 0, None)]


def encrypted(samples: Float32Array) -> bytes:
    """An MP4 whose audio is encrypted (CENC)."""
    out = io.BytesIO()
    keys = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    with av.open(out, "w", format="mp4", options=keys) as file:
        stream: Any = file.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        fifo = av.AudioResampler("fltp", "mono", SAMPLE_RATE, frame_size=1024)
        for piece in [*fifo.resample(frame), *fifo.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out.getvalue()


def test_an_encrypted_recording_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "secret.mp4", encrypted(ONE))
    reader = ChannelReader(path, PlannedChannel("C01", "recording", 0), WHISPER_WINDOWS, 3600)
    with pytest.raises(AudioFileError, match="is encrypted"):
        while not isinstance(reader.next(), AudioFacts):
            pass


def zipped(content: bytes, *, is_encrypted: bool) -> bytes:
    """A ZIP archive; encrypted: with the flag that programs set when they ask for a password."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("talk.wav", content)
    data = bytearray(out.getvalue())
    if is_encrypted:
        data[6] |= 1
    return bytes(data)


def film(*, has_sound: bool) -> bytes:
    """A Matroska film of a second, black."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as file:
        picture: Any = file.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound: Any = file.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono") if has_sound else None
        for _ in range(5):
            file.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        file.mux(picture.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, SAMPLE_RATE), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
            file.mux(sound.encode(frame))
            file.mux(sound.encode(None))
    return out.getvalue()


def test_a_film_is_read_by_its_sound(tmp_path: Path) -> None:
    path = written(tmp_path / "film.mkv", film(has_sound=True))
    assert check_readable(path, path.name, 3600) == pytest.approx(1, abs=0.3)
    assert planned(path) == [("C01", "recording", 0, None)]


@pytest.mark.parametrize(
    ("data", "code", "status"),
    [
        (b"", "empty_audio", 422),
        (b"this is no recording at all" * 40, "wrong_type", 415),
        (zipped(b"x" * 5000, is_encrypted=True), "wrong_type", 415),
        (film(has_sound=False), "empty_audio", 422),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1/a.ts\n", "wrong_type", 415),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, data: bytes, code: str, status: int) -> None:
    path = written(tmp_path / "x.mp3", data)
    with pytest.raises(AudioFileError) as refused:
        check_readable(path, path.name, 3600)
    assert (refused.value.code, refused.value.status) == (code, status)


def test_a_recording_is_known_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path / "talk.pdf", wav(ONE))
    assert check_readable(path, path.name, 3600) == pytest.approx(len(ONE) / SAMPLE_RATE, abs=0.01)


def test_a_recording_over_the_limit_is_refused_by_its_header(tmp_path: Path) -> None:
    path = written(tmp_path / "talk.wav", wav(ONE))
    with pytest.raises(AudioFileError) as refused:
        check_readable(path, path.name, 1)
    assert (refused.value.code, refused.value.status) == ("too_long", 413)
