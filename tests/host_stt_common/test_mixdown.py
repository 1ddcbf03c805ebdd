"""Several channels become mono: whoever speaks on whichever side, nothing of it is lost and nothing moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_stt.contract import Float32Array
from host_stt_common.mixdown import MixDown
from tests.support.stereo import PHASES, gain, hum, noise, sides, speech

RATES = (8_000, 11_025, 16_000, 44_100, 48_000)


def mixed(planes: Float32Array, rate: int, block: int = 0) -> Float32Array:
    """block: samples fed at a time; 0: 20 ms."""
    mixdown, size = MixDown(rate), block or rate // 50
    parts = [mixdown.feed(planes[:, at : at + size]) for at in range(0, planes.shape[1], size)]
    return np.concatenate(parts)


def level_db(samples: Float32Array) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean() + 1e-20))


def likeness(a: Float32Array, b: Float32Array) -> float:
    """Correlation at the same place, whatever the polarity."""
    return float(abs(np.corrcoef(a, b)[0, 1]))


def likeness_while_it_speaks(out: Float32Array, side: Float32Array, rate: int) -> float:
    """Of the second differences (no offset, no hum) where `side` is loud, from 100 ms after its beginning."""
    size = np.sqrt(np.convolve(np.square(side), np.full(rate // 50, 50 / rate), "same"))
    loud = np.flatnonzero(size > 0.1 * size.max())
    loud = loud[(loud > loud[0] + rate // 10) & (loud < len(side) - 2)]
    return likeness(np.diff(out, 2)[loud], np.diff(side, 2)[loud])


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("right_db", [0, -10, -20])
@pytest.mark.parametrize("rate", RATES)
def test_a_speaker_on_any_channel_is_in_the_mix(rate: int, right_db: float, phase: str) -> None:
    planes, said = sides(phase, rate, right_db)
    out = mixed(planes, rate)
    assert len(out) == planes.shape[1]
    for one in said:
        heard = out[one.start : one.start + len(one.samples)]
        assert likeness(heard, one.samples) > 0.98
        assert level_db(heard) > level_db(one.samples) - 7


@pytest.mark.parametrize("rate", RATES)
def test_opposite_phase_is_corrected_within_twenty_milliseconds(rate: int) -> None:
    side = speech(rate)
    out = mixed(np.stack([side, -side]), rate)
    loud = np.abs(side) > 0.02
    first = int(np.flatnonzero(loud)[0]) + rate // 50
    assert np.allclose(np.abs(out[first:]), np.abs(side[first:]), atol=1e-4)


@pytest.mark.parametrize("delay_ms", [0.1, 0.5, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_delayed_channel_does_not_cancel_the_other_one(delay_ms: float, sign: int) -> None:
    side = speech(16_000)
    late = sign * np.roll(side, round(delay_ms * 16))
    assert level_db(mixed(np.stack([side, late]), 16_000)) > level_db(side) - 6


@pytest.mark.parametrize("likeness_of_sides", [0.95, 0.9, 0.8, 0.7])
def test_channels_that_nearly_cancel_are_in_the_mix(likeness_of_sides: float) -> None:
    side = speech(16_000)
    own = noise(len(side), 1, 2) * np.abs(side)
    own *= side.std() / own.std()
    other = -(likeness_of_sides * side + np.sqrt(1 - likeness_of_sides**2) * own).astype(np.float32)
    out = mixed(np.stack([side, other]), 16_000)
    assert level_db(out) > level_db(side) - 3
    assert likeness(out, side) > 0.8


def test_a_change_of_polarity_is_corrected_within_a_tenth_of_a_second() -> None:
    rate = 16_000
    side = speech(rate)
    middle = len(side) // 2
    turned = np.concatenate([side[:middle], -side[middle:]])
    for planes in (np.stack([side, turned]), np.stack([side, -turned])):
        out = mixed(planes, rate)
        for part in (slice(rate // 10, middle), slice(middle + rate // 10, None)):
            assert likeness(out[part], side[part]) > 0.999
            assert level_db(out[part]) > level_db(side[part]) - 0.1


@pytest.mark.parametrize("offset", [0.3, -0.3])
def test_a_constant_offset_does_not_hide_opposite_phase(offset: float) -> None:
    side = speech(16_000) * np.float32(0.5)
    out = mixed(np.stack([side + offset, -side + offset]).astype(np.float32), 16_000)
    assert likeness_while_it_speaks(out, side, 16_000) > 0.98


def test_hum_on_both_sides_does_not_hide_opposite_phase() -> None:
    """A balanced line picks hum up alike on both wires."""
    side = speech(16_000) * np.float32(0.3)
    both = hum(len(side), 16_000, 0.3)
    out = mixed(np.stack([both + side, both - side]), 16_000)
    assert likeness_while_it_speaks(out, side, 16_000) > 0.95


def test_three_to_eight_channels_of_any_order_and_polarity_are_in_the_mix() -> None:
    side = speech(16_000)
    for channels in range(3, 9):
        for live in range(channels):
            planes = np.zeros((channels, len(side)), np.float32)
            planes[live] = side
            assert level_db(mixed(planes, 16_000)) > level_db(side) - 7, "as on one side of stereo"
        signs = np.where(np.arange(channels) % 2, -1, 1).astype(np.float32)
        assert level_db(mixed(signs[:, np.newaxis] * side, 16_000)) > level_db(side) - 0.2


def test_a_pair_in_opposite_phase_is_in_the_mix_beside_noisy_channels() -> None:
    side = speech(16_000)
    planes = np.stack([side, noise(len(side), 0.02), -side, noise(len(side), 0.02, 2)])
    assert likeness(mixed(planes, 16_000), side) > 0.95


@pytest.mark.parametrize("disturbed", [0, 1])
@pytest.mark.parametrize("what", ["hum", "buzz", "noise"])
def test_steady_noise_on_one_channel_does_not_cover_the_other_one(what: str, disturbed: int) -> None:
    side = speech(16_000) * np.float32(0.3)
    mains = hum(len(side), 16_000)
    buzz = (0.3 * np.sign(mains)).astype(np.float32)
    loud = {"hum": mains, "buzz": buzz, "noise": noise(len(side), 0.2)}[what]
    planes = np.stack([loud, side] if disturbed == 0 else [side, loud]).astype(np.float32)
    speaks = np.abs(side) > 0.03
    assert likeness(planes.mean(axis=0)[speaks], side[speaks]) < 0.5, "the mean is mostly noise"
    out = mixed(planes, 16_000)
    assert likeness_while_it_speaks(out, side, 16_000) > 0.97


def test_a_speaker_with_hum_is_in_the_mix_after_the_other_channel_spoke() -> None:
    rate = 16_000
    side = speech(rate) * np.float32(0.3)
    quiet, pause = np.zeros_like(side), np.zeros(rate, np.float32)
    left = np.concatenate([quiet, pause, side])
    left = left + hum(len(left), rate)
    right = np.concatenate([side, pause, quiet])
    out = mixed(np.stack([left, right]), rate)
    last = slice(len(left) - len(side), None)
    assert likeness_while_it_speaks(out[last], side, rate) > 0.97
    assert level_db(out[last]) > level_db(left[last]) - 8


def test_steady_noise_does_not_change_without_speech() -> None:
    """Coverage and speech detection shall see a noisy line as a noisy line."""
    rate = 16_000
    side = speech(rate)
    row = np.concatenate([side, np.zeros(5 * rate, np.float32)])
    out = mixed(np.stack([noise(len(row), 0.2), row]), rate)
    assert level_db(out[-rate:]) == pytest.approx(level_db(noise(rate, 0.1)), abs=0.5)


def test_inverting_or_lowering_a_channel_makes_no_click() -> None:
    """A step of the gain would be a jump of up to the signal's size from one sample to the next."""
    rate = 16_000
    at = np.arange(2 * rate)
    tone = (0.5 * np.sin(2 * np.pi * 200 / rate * at)).astype(np.float32)
    turned = np.where(at < rate, tone, -tone).astype(np.float32)
    turned[rate - 1 :] = -tone[rate - 1 :]  # the tone is near 0 there, so the input itself does not jump
    steepest_of_input = float(np.abs(np.diff(np.stack([tone, turned]))).max())
    steepest = float(np.abs(np.diff(mixed(np.stack([tone, turned]), rate))).max())
    assert steepest < steepest_of_input * 1.2


def test_two_loud_channels_are_not_clipped() -> None:
    square = np.sign(hum(16_000, 16_000)).astype(np.float32)
    for planes in (np.stack([square, square]), np.stack([square, np.roll(square, 80)])):
        out = mixed(planes, 16_000)
        assert np.abs(out).max() <= 1.0
        assert float((np.abs(out) == 1.0).mean()) <= float((np.abs(planes.mean(axis=0)) == 1.0).mean()) + 0.05


def test_two_voices_at_once_are_both_in_the_mix() -> None:
    rate = 16_000
    one = speech(rate)
    other = np.roll(one[::-1], rate // 2) * gain(-10)
    out = mixed(np.stack([one, other]), rate)
    assert np.abs(out).max() <= 1.0
    weights, *_ = np.linalg.lstsq(np.stack([one, other], 1), out, rcond=None)
    assert np.abs(weights) == pytest.approx([0.5, 0.5], abs=0.05)


def test_identical_channels_give_the_same_audio() -> None:
    side = speech(48_000)
    assert np.array_equal(mixed(np.stack([side, side]), 48_000), side)


def test_an_impulse_keeps_its_position() -> None:
    for where in ((0,), (1,), (0, 1)):
        planes = np.zeros((2, 16_000), np.float32)
        planes[list(where), 5_000] = 1.0
        assert int(np.abs(mixed(planes, 16_000)).argmax()) == 5_000


def test_a_change_of_the_number_of_channels_resets_the_mix() -> None:
    side = speech(16_000)[:3_200]
    mixdown = MixDown(16_000)
    lengths = [len(mixdown.feed(np.stack([side] * channels))) for channels in (2, 1, 6, 2, 1)]
    assert lengths == [3_200] * 5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=40), st.sampled_from(RATES))
def test_the_size_of_the_blocks_does_not_change_the_mix(sizes: list[int], rate: int) -> None:
    side = speech(rate)
    turned = np.concatenate([side[: rate // 2], -side[rate // 2 :]])
    planes = np.stack([turned + noise(len(side), 0.05), side * np.float32(0.5) + noise(len(side), 1e-3, 2)])
    planes = np.clip(planes, -1, 1)
    whole = MixDown(rate).feed(planes)
    mixdown, parts, at = MixDown(rate), [], 0
    for size in sizes:
        parts.append(mixdown.feed(planes[:, at : at + size]))
        at = min(at + size, planes.shape[1])
    parts.append(mixdown.feed(planes[:, at:]))
    assert np.allclose(np.concatenate(parts), whole, atol=1e-5)


@pytest.mark.parametrize("channels", [2, 4, 8])
def test_two_people_keep_their_levels_when_the_other_begins(channels: int) -> None:
    """A step of the level in the middle of a recording makes a model leave out the quieter part."""
    planes, said = sides("turns", 16_000)
    wider = np.zeros((channels, planes.shape[1]), np.float32)
    wider[[0, -1]] = planes
    out = mixed(wider, 16_000)
    levels = [level_db(out[one.start + 1_600 : one.start + len(one.samples)]) for one in said]
    assert max(levels) - min(levels) < 0.5
