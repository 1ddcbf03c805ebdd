from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from host_stt_cli.errors import StartError
from host_stt_cli.loadtest.plan import Load, Part, Saying, Utterance, script
from host_stt_cli.loadtest.sounds import (
    EDGE_FRAMES,
    FRAME,
    RATE,
    Clip,
    Sound,
    given,
    opus_decoded,
    opus_packets,
    spoken,
    to_16k,
    voices,
)


def tone(seconds: float, hertz: float = 440.0) -> Sound:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.round(9000 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def write(file: Path, samples: Sound) -> None:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())


def test_phrases_are_spoken_without_silence_at_their_ends() -> None:
    clips = spoken("en", 3)
    assert len({clip.text for clip in clips}) == 3
    for clip in clips:
        assert 800 < clip.ms < 6000
        loudest = int(np.abs(clip.samples).max())
        assert np.abs(clip.samples[:10]).max() > loudest // 200


def test_an_opus_packet_is_one_frame_of_audio() -> None:
    clip = Clip("a tone", "en", tone(0.5))
    assert len(clip.packets) == len(clip.framed) == len(clip.at_16k) == 25
    sound = opus_decoded(clip.packets).reshape(-1)[FRAME * 5 : FRAME * 20].astype(np.float64)
    peak = np.argmax(np.abs(np.fft.rfft(sound))) * RATE / len(sound)
    assert abs(peak - 440) < 5


def test_the_window_of_a_clip_has_the_noise_of_the_line_around_it_and_is_as_opus_leaves_it() -> None:
    clip = Clip("a tone", "en", tone(0.5))
    edge = EDGE_FRAMES * 320
    sent, received = (
        clip.window_at_16k(is_encoded=is_encoded).reshape(-1).astype(np.float64)
        for is_encoded in (False, True)
    )
    assert len(sent) == 2 * edge + clip.at_16k.size and abs(len(received) - len(sent)) <= 320
    assert np.abs(sent[edge + 100 : -edge - 100] - clip.at_16k.reshape(-1)[100:-100]).max() < 10
    for samples in (sent, received):
        assert 1 < np.abs(samples[100 : edge - 500]).max() < 200  # of 9000
    assert not np.array_equal(received[: len(sent)], sent[: len(received)])
    n = 4000
    lags = [
        np.corrcoef(sent[edge + 1000 :][:n], received[edge + 1000 + lag :][:n])[0, 1]
        for lag in range(-160, 161)
    ]
    assert max(lags) > 0.98


def test_sixteen_kilohertz_holds_the_same_tone() -> None:
    thin = to_16k(tone(0.4).reshape(-1, FRAME)).reshape(-1)
    assert len(thin) == 6400 and abs(int(np.abs(thin).max()) - 9000) < 200
    peak = np.argmax(np.abs(np.fft.rfft(thin))) * 16_000 / len(thin)
    assert abs(peak - 440) < 5


def test_a_voice_sends_its_clips_at_their_frames_and_faint_noise_between() -> None:
    clip = Clip("tone", "en", tone(0.1))
    part = Part((Utterance((Saying(0, 10),), 200, 300),), ())
    (voice,) = voices([part], [clip])
    assert [voice.packet(n) for n in range(10, 15)] == list(clip.packets)
    assert voice.packet(9) in voice.silence and voice.packet(15) in voice.silence
    assert len(set(voice.silence)) > 10, "no dead line: its packets differ"
    between = np.frombuffer(voice.samples(9), np.int16)
    assert len(between) == 320 and 0 < np.abs(between).max() < 100
    assert np.abs(np.frombuffer(voice.samples(12), np.int16)).max() > 5000


def test_every_frame_of_a_script_has_its_audio() -> None:
    clips = [Clip("a", "en", tone(0.31)), Clip("b", "en", tone(0.52))]
    parts = script(Load(channels=2, seconds=10, talk=0.9), [clip.ms for clip in clips])
    for part, voice in zip(parts, voices(parts, clips), strict=True):
        frames = sum(len(clips[s.clip].framed) for u in part.utterances for s in u.sayings)
        sounding = sum(voice.place(frame) is not None for frame in range(520))
        assert sounding == frames, "no two clips share a frame"


def test_recordings_come_with_their_words(tmp_path: Path) -> None:
    silence = np.zeros(RATE, np.int16)
    write(tmp_path / "one.wav", np.concatenate([silence, tone(0.5), silence]))
    (tmp_path / "one.txt").write_text(" alpha\n bravo ")
    (clip,) = given(tmp_path, "en")
    assert clip.text == "alpha bravo" and abs(clip.ms - 500) <= 2


@pytest.mark.parametrize("case", ["empty", "no words", "no sound", "too short"])
def test_an_unusable_folder_is_reported_with_the_file_concerned(tmp_path: Path, case: str) -> None:
    expected = {
        "empty": "no recordings",
        "no words": "one.txt",
        "no sound": "one.wav",
        "too short": "0.2 to 25 s",
    }
    if case != "empty":
        write(tmp_path / "one.wav", tone(0.05))
    if case == "no sound":
        (tmp_path / "one.wav").write_bytes(b"nothing of the kind")
    if case in ("no sound", "too short"):
        (tmp_path / "one.txt").write_text("alpha")
    with pytest.raises(StartError, match=expected[case]):
        given(tmp_path, "en")


def test_a_missing_espeak_is_reported_with_a_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StartError, match=r"apt-get install espeak-ng.*--audio"):
        spoken()


def test_opus_is_made_once() -> None:
    clip = Clip("tone", "en", tone(0.1))
    assert clip.packets is clip.packets
    assert opus_packets(clip.framed) == clip.packets
