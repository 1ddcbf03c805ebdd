"""Reading a channel of a recording: stretches without gaps, and from the middle after a restart."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.read_rests import REST_S_MAX, rest_s
from tests.support.speech import say, silence
from tests.webrtc_host.jobs.helpers import talk, wav
from webrtc_host.jobs.channels import JobChannel
from webrtc_host.jobs.probing import PlannedChannel
from webrtc_host.jobs.reading import (
    STARTER_WINDOWS,
    WHISPER_WINDOWS,
    ChannelReader,
    ReadFrom,
    Stretch,
    Turn,
    Windows,
    windows_for,
)

MONO = PlannedChannel("C01", "recording", 0)
BEGINNING = ReadFrom()


def read(
    path: Path,
    planned: PlannedChannel = MONO,
    start: ReadFrom = BEGINNING,
    windows: Windows = WHISPER_WINDOWS,
) -> tuple[list[Stretch], AudioFacts]:
    reader = ChannelReader(path, planned, windows, 3600, start=start)
    found: list[Stretch] = []
    while True:
        item = reader.next()
        if isinstance(item, AudioFacts):
            return found, item
        if not isinstance(item, Turn):
            found.append(item)


def assert_gapless(stretches: list[Stretch], samples: Float32Array, start: int = 0) -> None:
    assert stretches[0].start_sample == start
    for one, following in zip(stretches, stretches[1:], strict=False):
        assert one.end_sample == following.start_sample
    assert stretches[-1].end_sample == len(samples)
    joined = np.concatenate([one.samples for one in stretches])
    assert np.abs(joined - samples[start:]).max() < 1e-3


@pytest.fixture
def recording(tmp_path: Path) -> tuple[Path, Float32Array]:
    samples = np.concatenate((talk(), silence(45), talk("hotel five")))
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(samples))
    return path, samples


def test_stretches_follow_each_other_and_speech_lies_inside(recording: tuple[Path, Float32Array]) -> None:
    path, samples = recording
    stretches, facts = read(path)
    assert_gapless(stretches, samples)
    assert facts.is_complete and facts.seconds == pytest.approx(len(samples) / SAMPLE_RATE, abs=0.01)
    spoken = [one for one in stretches if one.speech is not None]
    assert len(spoken) == 4
    for one in spoken:
        assert one.speech is not None
        assert one.start_sample <= one.speech[0] < one.speech[1] == one.end_sample
        assert len(one.window) == one.speech[1] - one.speech[0]
    assert max(len(one.samples) for one in stretches) < 40 * SAMPLE_RATE


def test_reading_goes_on_where_it_was(recording: tuple[Path, Float32Array]) -> None:
    path, samples = recording
    stretches, _ = read(path)
    at = stretches[1].end_sample
    again, _ = read(path, start=ReadFrom(at, at))
    assert_gapless(again, samples, at)
    assert [one.end_sample for one in again if one.speech] == [
        one.end_sample for one in stretches[2:] if one.speech
    ]


def test_a_reading_from_any_window_on_cuts_like_the_one_from_the_beginning(tmp_path: Path) -> None:
    """With pauses near the limit, and quiet speech between loud speech."""
    parts = [silence(0.3)]
    for n, pause_s in enumerate((0.5, 0.55, 0.6, 0.45, 0.7, 0.5, 0.65, 0.5, 1.0, 0.55)):
        parts += [say(("alpha one proceed to gate seven", "echo six hold")[n % 2]) * (1.0, 0.02)[n % 3 == 0]]
        parts += [silence(pause_s)]
    path = tmp_path / "talk.wav"
    path.write_bytes(wav(np.concatenate(parts)))
    stretches, _ = read(path, windows=STARTER_WINDOWS)
    assert len(stretches) > 4
    for number, stretch in enumerate(stretches[:-1], start=1):
        rest, _ = read(path, start=ReadFrom(stretch.end_sample, stretch.end_sample), windows=STARTER_WINDOWS)
        assert [one.speech for one in rest] == [one.speech for one in stretches[number:]]


def test_audio_that_the_archive_lacks_comes_first(recording: tuple[Path, Float32Array]) -> None:
    path, samples = recording
    stretches, _ = read(path)
    at = stretches[1].end_sample
    again, _ = read(path, start=ReadFrom(at, at - 8000))
    early = [one for one in again if not one.is_text]
    assert (early[0].start_sample, early[-1].end_sample) == (at - 8000, at)
    assert_gapless(again, samples, at - 8000)


def test_a_side_of_a_stereo_track_is_read_alone(tmp_path: Path) -> None:
    left, right = np.pad(say("alpha one"), (0, 40_000)), np.pad(say("echo six"), (40_000, 0))
    path = tmp_path / "two.wav"
    path.write_bytes(wav(left, right))
    for side, samples in enumerate((left, right)):
        stretches, _ = read(path, PlannedChannel("C01", "left", 0, side))
        joined = np.concatenate([one.samples for one in stretches])
        assert np.abs(joined[: len(samples)] - samples).max() < 1e-3


def test_a_job_waits_until_the_engine_has_said_which_model_it_has() -> None:
    assert windows_for(is_starter=None, is_ready=False) is None
    assert windows_for(is_starter=True, is_ready=False) is STARTER_WINDOWS
    assert windows_for(is_starter=False, is_ready=True) is WHISPER_WINDOWS
    assert windows_for(is_starter=None, is_ready=True) is WHISPER_WINDOWS


async def test_reading_rests_for_most_of_the_time_while_somebody_speaks() -> None:
    facts = AudioFacts(2.0, 2.0, True, 0, 1)

    class Reader:
        def __init__(self) -> None:
            self.left: list[Any] = [Turn(), Turn(), facts]

        def next(self) -> Any:
            time.sleep(0.02)
            return self.left.pop(0)

    asked: list[bool] = []

    def is_live() -> bool:
        asked.append(True)
        return True

    progress: Any = None
    one = JobChannel(progress, progress, cast(Any, Reader()), progress, is_live)
    begin_s = time.monotonic()
    assert await one.next() is None
    assert time.monotonic() - begin_s > 2 * 9 * 0.02, "a tenth of the time is for reading"
    assert one.facts is facts and len(asked) == 2
    assert rest_s(60.0) == REST_S_MAX
