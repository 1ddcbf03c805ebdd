"""Mix-down: turn the channels of one stream into mono without losing the speech of any channel.

Pure numpy. The rule is the mean, with three exceptions for cases in which the mean loses speech: a channel
that cancels the others is inverted; a channel that never carried a signal does not count; a channel with only
steady noise is turned down while another one speaks (`levels.py`). Invariant: n samples in, n samples out,
without a shift in time. The channels are measured in hops of 10 ms. A measurement applies from the next hop
on, with gains that change linearly over 10 ms. So there are no clicks and no delay, and the result does not
depend on the sizes of the input blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from host_stt_common.levels import HOPS_PER_S, Levels

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

CANCELS_BELOW = -0.5
"""Correlation of two channels, with their current signs, below which one of them is inverted. Unrelated
channels stay near 0 and may have either sign, so the value is not critical. The range between this limit and
its positive counterpart is the hysteresis.
"""
WINDOW_HOPS = 5  # correlation over 50 ms: the beginning of one syllable decides
BAND_RATE = 8_000  # channels are compared at about this rate, ...
BAND_LAG_S = 0.0005  # ... after x(t) - 2 x(t - lag) + x(t - 2 lag): removes offset, reduces hum by 38 dB
CORRELATION_POWER_MIN = 1e-10  # -100 dBFS; below it there is no signal to compare


class MixDown:
    """Mixes down one stream with any number of channels. A change of their number resets all state."""

    def __init__(self, rate: int) -> None:
        """rate: Hz, 1,000 or more."""
        self._group = max(1, round(rate / BAND_RATE))
        self._hop = self._group * max(1, round(rate / HOPS_PER_S / self._group))
        self._lag = max(1, round(BAND_LAG_S * rate / self._group))
        self._channels = 0
        self._tail: Float32Array = np.zeros((0, 0), np.float32)  # of the hop that is not complete yet
        self._band_tail: Float32Array = self._tail
        self._products: Float64Array = np.zeros((0, 0, 0))  # of the previous hops, for the 50 ms window
        self._signs: Float64Array = np.ones(0)
        self._levels = Levels(1)
        self._gains: Float64Array = np.ones((2, 0))  # at the start and the end of the incomplete hop

    def feed(self, planes: Float32Array) -> Float32Array:
        """Mix the next samples. planes: (channels, n) float32 in [-1, 1]. Returns (n,) float32 in [-1, 1]."""
        channels = len(planes)
        if channels == 1:
            return np.ascontiguousarray(planes[0])
        if channels != self._channels:
            self._start(channels)
        if self._is_plain_mean and _are_equal(planes):
            return np.ascontiguousarray(planes[0])
        position = self._tail.shape[1]
        joined = np.concatenate((self._tail, planes), axis=1) if position else planes
        hops = joined.shape[1] // self._hop
        whole = hops * self._hop
        gains = self._decide(joined[:, :whole].reshape(channels, hops, self._hop))
        self._tail = joined[:, whole:].copy()
        self._gains = gains[-2:]
        return self._mixed(planes, gains, position)

    def _start(self, channels: int) -> None:
        self._channels = channels
        self._tail = np.zeros((channels, 0), np.float32)
        self._band_tail = np.zeros((channels, 2 * self._lag), np.float32)
        self._products = np.zeros((WINDOW_HOPS - 1, channels, channels))
        self._signs = np.ones(channels)
        self._levels = Levels(channels)
        self._gains = np.full((2, channels), 1.0 / channels)

    @property
    def _is_plain_mean(self) -> bool:
        return bool((self._gains == 1.0 / self._channels).all())

    def _decide(self, hops: Float32Array) -> Float64Array:
        """hops: (channels, hops, samples). Returns (hops + 2, channels): the gains at the hops' edges."""
        count = hops.shape[1]
        if not count:
            return self._gains
        power = np.einsum("chn,chn->hc", hops, hops, dtype=np.float64) / self._hop
        band = self._band(hops)
        products = np.einsum("ahn,bhn->hab", band, band, dtype=np.float64) / band.shape[2]
        history = np.concatenate((self._products, products))
        self._products = history[-(WINDOW_HOPS - 1) :]
        windows: Float64Array = np.sum([history[k : k + count] for k in range(WINDOW_HOPS)], axis=0)
        levels = self._levels.feed(power, products.diagonal(axis1=1, axis2=2))
        return np.concatenate((self._gains, self._signs_of(windows) * levels))

    def _band(self, hops: Float32Array) -> Float32Array:
        """The signal for comparing the channels: (channels, hops, samples at about BAND_RATE)."""
        channels, count, _ = hops.shape
        slow = hops.reshape(channels, -1, self._group).mean(axis=2) if self._group > 1 else hops
        joined = np.concatenate((self._band_tail, slow.reshape(channels, -1)), axis=1)
        lag = self._lag
        self._band_tail = joined[:, -2 * lag :]
        band: Float32Array = (joined[:, 2 * lag :] - 2 * joined[:, lag:-lag] + joined[:, : -2 * lag]) / 4
        return band.reshape(channels, count, -1)

    def _signs_of(self, windows: Float64Array) -> Float64Array:
        """(hops, channels) of 1 and -1. windows: (hops, channels, channels) products of the last 50 ms."""
        powers = windows.diagonal(axis1=1, axis2=2)
        scale = (
            np.sqrt(powers[:, :, np.newaxis] * powers[:, np.newaxis, :]) + WINDOW_HOPS * CORRELATION_POWER_MIN
        )
        likeness = windows / scale
        signs = np.tile(self._signs, (len(windows), 1))
        at = 0
        while True:
            as_added = likeness[at:] * np.outer(self._signs, self._signs)
            cancelling = np.flatnonzero((as_added < CANCELS_BELOW).any(axis=(1, 2)))
            if not len(cancelling):
                return signs
            at += int(cancelling[0])
            self._signs = _aligned(self._signs, likeness[at], powers[at])
            signs[at:] = self._signs
            at += 1

    def _mixed(self, planes: Float32Array, gains: Float64Array, position: int) -> Float32Array:
        """gains: at the edges of the hops; position: of planes' first sample in the first hop."""
        if (gains == gains[0]).all():
            mixed: Float32Array = gains[0].astype(np.float32) @ planes
        else:
            at = np.arange(position + 1, position + planes.shape[1] + 1) / self._hop
            edges = np.arange(len(gains))
            mixed = np.zeros(planes.shape[1], np.float32)
            for channel, plane in enumerate(planes):
                mixed += np.interp(at, edges, gains[:, channel]).astype(np.float32) * plane
        clipped: Float32Array = np.clip(mixed, -1.0, 1.0)
        return clipped


def _are_equal(planes: Float32Array) -> bool:
    """True for mono in two channels, as in most stereo streams; then nothing has to be measured."""
    return all(np.array_equal(planes[0], plane) for plane in planes[1:])


def _aligned(signs: Float64Array, likeness: Float64Array, powers: Float64Array) -> Float64Array:
    """The signs with which no channel cancels another: each one is aligned with its most similar channel.

    From the strongest channel to the weakest; the strongest keeps its sign. likeness: (channels, channels)
    correlations; powers: (channels,).
    """
    aligned = signs.copy()
    order = np.argsort(-powers, kind="stable")
    for place, channel in enumerate(order[1:], start=1):
        stronger = order[:place]
        likest = stronger[np.abs(likeness[channel, stronger]).argmax()]
        if aligned[channel] * aligned[likest] * likeness[channel, likest] < CANCELS_BELOW:
            aligned[channel] = -aligned[channel]
    return aligned
