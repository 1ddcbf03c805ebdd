"""Frames of any format become 16 kHz mono, and every sample keeps its time."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from host_stt_common.frames import FrameError, planes_of
from webrtc_host.media.resample import MEDIA_RATE, Piece, Resampler


def frame_of(
    planes: NDArray[np.float64], rate: int = 48_000, pts: int | None = 0, sample_format: str = "s16"
) -> av.AudioFrame:
    """planes: (channels, n) in [-1, 1]."""
    layout = {1: "mono", 2: "stereo", 4: "quad"}[len(planes)]
    if sample_format.startswith("s16"):
        data = np.round(planes * 32767).astype(np.int16)
    elif sample_format.startswith("s32"):
        data = np.round(planes * (2**31 - 1)).astype(np.int32)
    elif sample_format.startswith("u8"):
        data = np.round(planes * 127 + 128).astype(np.uint8)
    else:
        data = planes.astype(np.float32)
    if not sample_format.endswith("p"):
        data = data.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format=sample_format, layout=layout)
    frame.sample_rate = rate
    frame.pts = pts
    frame.time_base = Fraction(1, rate)
    return frame


def tone(n: int, rate: int = 48_000, hertz: float = 440) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(n) / rate)


def run(signal: NDArray[np.float64], size: int = 960, rate: int = 48_000, start: int = 0) -> list[Piece]:
    """Cut one signal (channels, n) into frames; returns the resampled pieces with the flushed end."""
    resampler, pieces = Resampler(), []
    for at in range(0, signal.shape[1], size):
        pieces += resampler.feed(frame_of(signal[:, at : at + size], rate, start + at))
    return pieces + resampler.flush()


def joined(pieces: list[Piece]) -> NDArray[np.float32]:
    return np.concatenate([piece.samples for piece in pieces])


def assert_contiguous(pieces: list[Piece]) -> None:
    for before, after in zip(pieces, pieces[1:], strict=False):
        assert before.timestamp + 3 * len(before.samples) == after.timestamp


@pytest.mark.parametrize(("rate", "at"), [(48_000, 4800), (44_100, 4410), (32_000, 3200), (8_000, 800)])
def test_an_impulse_keeps_its_time(rate: int, at: int) -> None:
    signal = np.zeros((1, rate // 5))
    signal[0, at] = 1.0
    out = joined(run(signal, rate // 50, rate))
    assert abs(int(out.argmax()) - at * 16_000 / rate) <= 1
    assert abs(len(out) - 16_000 // 5) <= 2


def test_frames_leave_no_seam() -> None:
    whole = tone(9_600)
    in_frames, at_once = joined(run(whole[np.newaxis])), joined(run(whole[np.newaxis], 9_600))
    assert np.abs(in_frames - at_once).max() < 1e-6
    truth = tone(3_200, 16_000)
    assert np.abs(in_frames[100:-100] - truth[100:-100]).max() < 0.01


def test_timestamps_are_contiguous_and_begin_with_the_first_frame() -> None:
    pieces = run(tone(9_600)[np.newaxis], start=123_456)
    assert pieces[0].timestamp == 123_456
    assert_contiguous(pieces)


def test_a_gap_in_media_time_flushes_and_restarts_the_resampler() -> None:
    resampler = Resampler()
    pieces = resampler.feed(frame_of(tone(960)[np.newaxis], pts=0))
    pieces += resampler.feed(frame_of(tone(960)[np.newaxis], pts=5 * 960))
    pieces += resampler.flush()
    assert [piece.timestamp for piece in pieces] == [0, 304 * 3, 5 * 960, 5 * 960 + 304 * 3]
    assert [len(piece.samples) for piece in pieces] == [304, 16, 304, 16]


def test_rounding_of_a_containers_time_base_is_no_gap() -> None:
    resampler, pieces = Resampler(), []
    for i in range(50):
        frame = frame_of(tone(1152, 44_100)[np.newaxis], 44_100)
        frame.time_base, frame.pts = Fraction(1, 1000), round(i * 1152 / 44.1)
        pieces += resampler.feed(frame)
    pieces += resampler.flush()
    assert_contiguous(pieces)


def test_frames_without_a_timestamp_follow_each_other() -> None:
    resampler, pieces = Resampler(), []
    for _ in range(5):
        pieces += resampler.feed(frame_of(tone(960)[np.newaxis], pts=None))
    pieces += resampler.flush()
    assert_contiguous(pieces)
    assert sum(len(piece.samples) for piece in pieces) == 5 * 320


def test_rate_layout_and_format_may_change_later() -> None:
    resampler, pieces = Resampler(), []
    frames = [
        frame_of(np.stack([tone(960)] * 2), pts=0),
        frame_of(tone(960)[np.newaxis], pts=960),
        frame_of(tone(960)[np.newaxis], pts=1920, sample_format="fltp"),
        frame_of(tone(160, 8_000)[np.newaxis], 8_000, pts=480),
        frame_of(np.stack([tone(960)] * 4), pts=3840, sample_format="s32p"),
    ]
    for frame in frames:
        pieces += resampler.feed(frame)
    pieces += resampler.flush()
    assert_contiguous(pieces)
    assert sum(len(piece.samples) for piece in pieces) == 5 * 320
    assert 0.45 < np.abs(joined(pieces)).max() < 0.6


@pytest.mark.parametrize(
    "sample_format", ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"]
)
def test_every_sample_format_has_the_same_scale(sample_format: str) -> None:
    if sample_format.startswith("dbl"):
        source = frame_of(np.stack([tone(960), 0.5 * tone(960)]), sample_format="fltp")
        frame = av.AudioResampler(sample_format, "stereo", 48_000).resample(source)[0]
    else:
        frame = frame_of(np.stack([tone(960), 0.5 * tone(960)]), sample_format=sample_format)
    planes = planes_of(frame)
    assert planes.shape == (2, 960)
    assert np.abs(planes[0] - tone(960)).max() < 0.01
    assert np.abs(planes[1] - 0.5 * tone(960)).max() < 0.01


def test_not_a_number_becomes_silence() -> None:
    planes = tone(960)[np.newaxis]
    planes[0, 10:20] = np.nan
    planes[0, 30] = np.inf
    out = joined(run_float(planes))
    assert np.isfinite(out).all() and np.abs(out).max() <= 1.0


def run_float(planes: NDArray[np.float64]) -> list[Piece]:
    resampler = Resampler()
    return resampler.feed(frame_of(planes, sample_format="fltp")) + resampler.flush()


@pytest.mark.parametrize("rate", [1, 3_999, 400_000])
def test_an_implausible_rate_is_refused(rate: int) -> None:
    with pytest.raises(FrameError, match=str(rate)):
        Resampler().feed(frame_of(tone(960)[np.newaxis], rate))


def test_media_time_is_that_of_opus() -> None:
    assert MEDIA_RATE == 48_000


def test_a_gap_does_not_reset_the_detected_stereo_wiring() -> None:
    """Otherwise every speech after a pause would begin with a cancelled hop."""
    resampler, side = Resampler(), tone(960)
    frame = np.stack([side, -side])
    for at in range(10):
        resampler.feed(frame_of(frame, pts=960 * at))
    after_gap = resampler.feed(frame_of(frame, pts=960 * 100))[-1].samples
    assert np.abs(after_gap[:80]).max() > 0.4
