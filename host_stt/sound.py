"""Where in a window there is sound, and how words lie on it.

Pure numpy. Knows loudness, not speech: 10 ms frames compared with the loudest of the same window.
Positions are samples from the window's start.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from host_stt.contract import SAMPLE_RATE, Float32Array

FRAME_SAMPLES = SAMPLE_RATE // 100
PAUSE_FRAMES = 30
"""A word does not hold 300 ms of silence."""
_LOUD_DB = 28.0  # under the window's 99th percentile; 26 dB finds the spans of our recordings within 250 ms
_KEEP_FRAMES = 4  # left around sound: soft onsets and ends lie under the threshold
_BREATH_FRAMES = 10  # stretches closer than this are one: the silence of a p, t or k
_Frames = NDArray[np.bool_]


def loud_frames(samples: Float32Array) -> _Frames:
    """(n // 160,) whether each 10 ms frame is loud, for this window. samples: (n,) float32."""
    whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    if not whole:
        return np.zeros(0, dtype=np.bool_)
    power = np.square(samples[:whole]).reshape(-1, FRAME_SAMPLES).mean(axis=1)
    level = 10 * np.log10(np.maximum(power, 1e-12))
    loud: _Frames = level > max(float(np.percentile(level, 99)) - _LOUD_DB, -90.0)
    return loud


def drawn_in(start: int, end: int, loud: _Frames, pause_frames: int | None = PAUSE_FRAMES) -> tuple[int, int]:
    """The longest stretch of sound in [start, end) that holds no pause, with a little room around it.

    pause_frames: None lets it hold any. Unchanged where nothing is loud.
    """
    first, last = start // FRAME_SAMPLES, -(-end // FRAME_SAMPLES)
    frames = np.flatnonzero(loud[first:last]) + first
    if not len(frames):
        return start, end
    if pause_frames is not None:
        runs = np.split(frames, np.flatnonzero(np.diff(frames) > pause_frames) + 1)
        frames = max(runs, key=len)
    return (
        max(start, (int(frames[0]) - _KEEP_FRAMES) * FRAME_SAMPLES),
        min(end, (int(frames[-1]) + 1 + _KEEP_FRAMES) * FRAME_SAMPLES),
    )


def deal_out(words: Sequence[str], loud: _Frames) -> list[tuple[int, int]]:
    """(start, end) of each word: whole words dealt to stretches of sound so that each gets its share.

    A stretch may stay empty (a click, a cough). Raises ValueError when nothing is loud.
    """
    stretches = _stretches(loud)
    if not stretches:
        raise ValueError("words cannot be dealt out over silence")
    sizes = np.array([_size_of(word) for word in words], dtype=np.float64)
    shares = _shares(sizes, np.array([end - start for start, end in stretches], dtype=np.float64))
    bounds: list[tuple[int, int]] = []
    for (start, end), (a, b) in zip(stretches, shares, strict=True):
        edges = start + (end - start) * np.concatenate(([0.0], np.cumsum(sizes[a:b]))) / max(
            sizes[a:b].sum(), 1e-9
        )
        bounds += [(round(x * FRAME_SAMPLES), round(y * FRAME_SAMPLES)) for x, y in pairwise(edges)]
    return bounds


def _stretches(loud: _Frames) -> list[tuple[int, int]]:
    """[first, last) frames of sound, those a breath apart joined."""
    frames = np.flatnonzero(loud)
    if not len(frames):
        return []
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > _BREATH_FRAMES) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs]


def _size_of(word: str) -> float:
    """How long a word is to say, in Latin letters of 60 ms.

    Fitted to word times that espeak-ng reports (n=161 clips, 2026-11-21): English 96 ms and 60 ms a
    letter, Korean 389 ms and 95 ms a syllable. A digit is a word of four letters.
    """
    size = 1.6
    if any("가" <= character <= "힣" for character in word):
        size += 5
    for character in word:
        if character.isdigit():
            size += 4
        elif "가" <= character <= "힣":
            size += 1.6
        elif unicodedata.east_asian_width(character) == "W":
            size += 3
        elif character.isalpha():
            size += 1
    return size


def _shares(sizes: NDArray[np.float64], lengths: NDArray[np.float64]) -> list[tuple[int, int]]:
    """For each stretch the words [a, b) it gets: the cut of the words that fits the lengths best, by
    least squares.
    """
    upto = np.concatenate(([0.0], np.cumsum(sizes))) * (lengths.sum() / max(sizes.sum(), 1e-9))
    n, count = len(sizes), len(lengths)
    cost = np.full((count + 1, n + 1), np.inf)
    cost[0, 0] = 0.0
    cut = np.zeros((count + 1, n + 1), dtype=np.int64)
    for k in range(1, count + 1):
        for b in range(n + 1):
            candidates = cost[k - 1, : b + 1] + np.square(lengths[k - 1] - (upto[b] - upto[: b + 1]))
            cut[k, b] = int(np.argmin(candidates))
            cost[k, b] = candidates[cut[k, b]]
    shares, b = [], n
    for k in range(count, 0, -1):
        shares.append((int(cut[k, b]), b))
        b = int(cut[k, b])
    return shares[::-1]
