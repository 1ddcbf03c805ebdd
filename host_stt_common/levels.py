"""Compute the gain of each channel of a stream in its mix-down, from the power in hops of 10 ms.

Pure numpy. Works on powers, not on samples. A channel *speaks* while its power between about 200 and 1,800 Hz
is clearly above its own noise floor of the last 3 s. A channel that does not speak is steady: noise, hum, or
nothing. Invariant: a channel that speaks has its full gain within one hop, whatever the other channels do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

HOPS_PER_S = 100
"""Hops of 10 ms: half a period of mains hum at 50 Hz, so every hop has the same power of hum."""
HISTORY_HOPS = 3 * HOPS_PER_S
REVIEW_HOPS = HOPS_PER_S // 10  # the noise floors are computed again every 100 ms
FLOOR_SHARE = 0.1  # even in fluent speech, a tenth of the hops are pauses
SPEAKS_ABOVE = 4.0  # 6 dB above the floor; steady noise stays below 4.5 dB
SPEECH_POWER_MIN = 1e-8  # -80 dBFS
LEAKS_BELOW = 0.1  # 10 dB below the loudest speech: crosstalk of a codec or a cable
HANGOVER_HOPS = 2 * HOPS_PER_S // 5  # 400 ms: longer than the silence before a plosive
LATELY_HOPS = 3 * HOPS_PER_S  # keep noise turned down in short pauses: repeated changes disturb more
NOISE_POWER_MIN = 1e-6  # -60 dBFS: quieter noise does not mask speech
GAIN_MIN = 0.001  # -60 dB: turns hum at full scale down to NOISE_POWER_MIN
SIGNAL_POWER_MIN = 1e-7  # -70 dBFS: a channel that never reached this carries no signal
COUNTED_MIN = 2  # so the level does not drop when the second of two speakers begins
DECIDE_HOPS = HOPS_PER_S // 20  # 50 ms of signal in some channel before another one counts as unused


class Levels:
    """The gains of one stream's channels, all positive. The mix-down decides their signs."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._hops = 0
        self._signal_hops = 0
        self._power: Float64Array = np.zeros((HISTORY_HOPS, channels))
        self._band: Float64Array = np.zeros((HISTORY_HOPS, channels))
        self._is_live = np.zeros(channels, np.bool_)
        self._spoke_at = np.full(channels, -LATELY_HOPS - 1)
        self._speaks_above: Float64Array = np.full(channels, SPEECH_POWER_MIN)
        self._steady_gain: Float64Array = np.ones(channels)  # of a steady channel while another one speaks

    def feed(self, power: Float64Array, band: Float64Array) -> Float64Array:
        """Compute the gains for the next hops; returns (hops, channels), valid from the end of each hop.

        power, band: (hops, channels) mean squares, of the whole signal and of 200 to 1,800 Hz.
        """
        gains = np.empty(power.shape)
        at = 0
        while at < len(power):
            to = min(len(power), at + REVIEW_HOPS - self._hops % REVIEW_HOPS)
            gains[at:to] = self._feed(power[at:to], band[at:to])
            at = to
        return gains

    def _feed(self, power: Float64Array, band: Float64Array) -> Float64Array:
        """Process hops up to the next review at most."""
        first, count = self._hops, len(power)
        self._power[first % HISTORY_HOPS : first % HISTORY_HOPS + count] = power
        self._band[first % HISTORY_HOPS : first % HISTORY_HOPS + count] = band
        self._hops += count
        shares = self._shares(power)
        speaks = self._is_speech(band)
        if (self._steady_gain < 1.0).any():
            for hop in range(count):
                self._spoke_at[speaks[hop]] = first + hop
                shares[hop] *= self._turned_down(first + hop)
        else:
            self._spoke_at = _last_of(speaks, first, self._spoke_at)
        if self._hops % REVIEW_HOPS == 0:
            self._review()
        return shares

    def _is_speech(self, band: Float64Array) -> NDArray[np.bool_]:
        """(hops, channels). band: (hops, channels) powers."""
        stands_out = band > self._speaks_above
        loudest = np.where(stands_out, band, 0.0).max(axis=1, keepdims=True)
        is_speech: NDArray[np.bool_] = stands_out & (band > LEAKS_BELOW * loudest)
        return is_speech

    def _shares(self, power: Float64Array) -> Float64Array:
        """(hops, channels): equal shares; channels that never carried a signal do not count."""
        counted = np.full((len(power), 1), self._channels)
        if self._channels > COUNTED_MIN and not self._is_live.all():
            has_signal = power > SIGNAL_POWER_MIN
            signal_hops = self._signal_hops + has_signal.any(axis=1).cumsum()
            is_live = np.logical_or.accumulate(has_signal | self._is_live, axis=0)
            self._signal_hops, self._is_live = int(signal_hops[-1]), is_live[-1]
            is_decided = signal_hops >= DECIDE_HOPS
            counted[is_decided, 0] = np.maximum(is_live[is_decided].sum(axis=1), COUNTED_MIN)
        return np.repeat(1.0 / counted, self._channels, axis=1)

    def _turned_down(self, hop: int) -> Float64Array:
        """(channels,) factors for steady channels while another channel speaks, or spoke lately."""
        silent_hops = hop - self._spoke_at
        spoke_lately = silent_hops <= LATELY_HOPS
        another_spoke = spoke_lately.sum() - spoke_lately > 0
        return np.where(another_spoke & (silent_hops > HANGOVER_HOPS), self._steady_gain, 1.0)

    def _review(self) -> None:
        """Compute the noise floors again, and from them the gains of steady channels."""
        known = min(self._hops, HISTORY_HOPS)
        floor, band_floor = _floor(self._power[:known]), _floor(self._band[:known])
        self._speaks_above = np.maximum(SPEAKS_ABOVE * band_floor, SPEECH_POWER_MIN)
        lowest = max(float(floor.min()), NOISE_POWER_MIN)
        self._steady_gain = np.clip(np.sqrt(lowest / np.maximum(floor, lowest)), GAIN_MIN, 1.0)
        if known <= HANGOVER_HOPS:  # noise from the very beginning looked like speech until now
            silent = np.full(self._channels, -LATELY_HOPS - 1)
            self._spoke_at = _last_of(self._is_speech(self._band[:known]), 0, silent)


def _floor(powers: Float64Array) -> Float64Array:
    """(channels,): the power that a tenth of the hops stay below. powers: (hops, channels)."""
    rank = int(FLOOR_SHARE * len(powers))
    floor: Float64Array = np.partition(powers, rank, axis=0)[rank]
    return floor


def _last_of(is_so: NDArray[np.bool_], first: int, otherwise: NDArray[np.int64]) -> NDArray[np.int64]:
    """(channels,): the last hop where `is_so` is true, numbered from `first`. is_so: (hops, channels)."""
    last = first + len(is_so) - 1 - is_so[::-1].argmax(axis=0)
    return np.where(is_so.any(axis=0), last, otherwise)
