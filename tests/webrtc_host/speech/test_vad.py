from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from faster_whisper import decode_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import Float32Array
from tests.support.speech import padded, say
from tests.webrtc_host.speech.helpers import MS, S
from webrtc_host.seams import Block, BlockKind
from webrtc_host.speech.vad import (
    FRAME_SAMPLES,
    DetectorName,
    SileroDetector,
    SpeechProbabilities,
    VadConfig,
    VoiceActivity,
)

FOLDER = os.environ.get("HOST_STT_SPEECH_DIR", "")


class Loudness:
    """A detector that can be predicted: the mean of a frame."""

    def __init__(self) -> None:
        self.frames: list[Float32Array] = []

    def probability(self, frame: Float32Array) -> float:
        self.frames.append(frame.copy())
        return float(frame.mean())


def starts(runs: list[SpeechProbabilities]) -> list[int]:
    return [run.start_sample + i * FRAME_SAMPLES for run in runs for i in range(len(run.values))]


@settings(deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_frames_are_the_same_whatever_the_size_of_the_blocks(sizes: list[int]) -> None:
    samples = np.arange(sum(sizes), dtype=np.float32)
    detector = Loudness()
    vad = VoiceActivity(VadConfig(), detector)
    runs, at = [], 0
    for size in sizes:
        runs += vad.feed(Block(at, samples[at : at + size]))
        at += size
    count = len(samples) // FRAME_SAMPLES
    assert starts(runs) == [i * FRAME_SAMPLES for i in range(count)]
    heard = np.concatenate(detector.frames) if detector.frames else np.zeros(0)
    assert np.array_equal(heard, samples[: count * FRAME_SAMPLES])


def test_positions_stay_exact_over_a_short_gap_which_counts_as_silence() -> None:
    detector = Loudness()
    vad = VoiceActivity(VadConfig(), detector)
    runs = vad.feed(Block(0, np.ones(700, dtype=np.float32)))
    runs += vad.feed(Block(1000, np.ones(1048, dtype=np.float32)))
    assert starts(runs) == [0, 512, 1024, 1536]
    assert detector.frames[1].tolist() == [1.0] * 188 + [0.0] * 300 + [1.0] * 24


def test_a_long_gap_ends_the_current_frame_and_starts_a_new_grid() -> None:
    vad = VoiceActivity(VadConfig(), Loudness())
    runs = vad.feed(Block(0, np.ones(600, dtype=np.float32)))
    runs += vad.feed(Block(10 * S + 7, np.ones(512, dtype=np.float32)))
    assert starts(runs) == [0, 512, 10 * S + 7]


def test_flush_fills_the_last_frame_with_silence() -> None:
    vad = VoiceActivity(VadConfig(), Loudness())
    vad.feed(Block(0, np.ones(100, dtype=np.float32)))
    (run,) = vad.flush()
    assert run.start_sample == 0
    assert run.values.tolist() == pytest.approx([100 / 512])
    assert vad.flush() == []


def test_lost_audio_is_no_speech_and_is_not_passed_to_the_model() -> None:
    detector = Loudness()
    vad = VoiceActivity(VadConfig(), detector)
    (run,) = vad.feed(Block(0, np.ones(5120, dtype=np.float32), BlockKind.LOST))
    assert run.values.tolist() == [0.0] * 10
    assert detector.frames == []


def test_a_block_that_goes_back_in_time_is_refused() -> None:
    vad = VoiceActivity(VadConfig(), Loudness())
    vad.feed(Block(1000, np.ones(512, dtype=np.float32)))
    with pytest.raises(ValueError, match="before the last one ended"):
        vad.feed(Block(1100, np.ones(512, dtype=np.float32)))


@pytest.mark.parametrize("detector", list(DetectorName))
def test_each_detector_finds_speech_and_not_silence(detector: DetectorName) -> None:
    vad = VoiceActivity(VadConfig(detector))
    spoken = say("alpha one proceed to gate seven")
    runs = vad.feed(Block(0, padded(spoken, 1.0, 1.0)))
    values = np.concatenate([run.values for run in runs])
    frame_s = FRAME_SAMPLES / S
    silent = values[: int(0.9 / frame_s)]
    talking = values[int(1.1 / frame_s) : int((0.9 + len(spoken) / S) / frame_s)]
    assert (silent < 0.3).all()
    assert (talking > 0.5).mean() > 0.7


@pytest.mark.parametrize("detector", list(DetectorName))
def test_the_state_continues_from_block_to_block(detector: DetectorName) -> None:
    samples = padded(say("alpha one"))
    whole = VoiceActivity(VadConfig(detector)).feed(Block(0, samples))
    pieces, vad = [], VoiceActivity(VadConfig(detector))
    for at in range(0, len(samples), 20 * MS):
        pieces += vad.feed(Block(at, samples[at : at + 20 * MS]))
    assert np.array_equal(np.concatenate([r.values for r in pieces]), whole[0].values)


def test_silero_stays_on_one_thread_and_leaves_the_environment_alone() -> None:
    """Spread over OpenMP threads it costs twelve times as much; the limit is read when its library is
    loaded."""
    program = (
        "import os, numpy as np\n"
        "from webrtc_host.speech.vad import SileroDetector\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "d = SileroDetector()\n"
        "d.probability(np.zeros(512, dtype=np.float32))\n"
        "assert len(os.listdir('/proc/self/task')) == before, 'threads were started'\n"
        "assert 'OMP_THREAD_LIMIT' not in os.environ\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=60)


def test_a_mode_that_webrtc_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="webrtc_mode is 4"):
        VadConfig(webrtc_mode=4)


def probabilities(detector: SileroDetector, samples: Float32Array) -> Float32Array:
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return np.array([detector.probability(frame) for frame in frames], dtype=np.float32)


def line_noise(seconds: float) -> Float32Array:
    values = np.random.default_rng(5).standard_normal(round(seconds * S)) * 10 ** (-66 / 20)
    return values.astype(np.float32)


@pytest.mark.skipif(not FOLDER, reason="HOST_STT_SPEECH_DIR is not set: no recordings here")
def test_a_channel_that_has_spoken_for_a_minute_is_still_heard() -> None:
    """These three recordings in this order: the last one got a probability of 0 for all of its 12 s."""
    names = ("read-fleurs-000", "read-fleurs-005", "noisy-3")
    clips = [decode_audio(f"{FOLDER}/real/en/en-{name}.flac", sampling_rate=S) for name in names]
    noise = line_noise(12.0)
    stream = np.concatenate([noise[: 3 * S], clips[0], noise, clips[1], noise[: 11 * S], clips[2]])
    found = probabilities(SileroDetector(), stream)[-(len(clips[2]) // FRAME_SAMPLES) :]
    assert (found >= 0.5).mean() > 0.4
