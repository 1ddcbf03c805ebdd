"""Finds the vectors that are nearest to another one: by their signs in memory, then exactly.

Pure. The signs of a vector of 384 numbers are 48 bytes, so a million lines take 48 MB, and a comparison with
all of them is counting bits. The exact cosine is then computed for the best ones only.
Invariant: at most `limit` vectors are held; the oldest ones are dropped.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GROW = 1.5
AT_ONCE = 16_384
Floats = NDArray[np.float32]


def packed(vector: Sequence[float]) -> str:
    """A vector as whole numbers of one byte, in base64. Only its direction is kept."""
    values = np.asarray(vector, dtype=np.float32)
    largest = float(np.abs(values).max(initial=0.0))
    scaled = np.zeros(len(values)) if largest == 0 else values / largest * 127
    return base64.b64encode(np.rint(scaled).astype(np.int8).tobytes()).decode()


def unpacked(text: str) -> NDArray[np.int8]:
    return np.frombuffer(base64.b64decode(text), dtype=np.int8)


def cosine(vector: Floats, other: NDArray[np.int8]) -> float:
    """0 for vectors that cannot be compared."""
    if len(vector) != len(other):
        return 0.0
    theirs = other.astype(np.float32)
    lengths = float(np.linalg.norm(vector) * np.linalg.norm(theirs))
    return 0.0 if lengths == 0 else float(vector @ theirs) / lengths


class VectorIndex:
    """The signs of many vectors of one length, each with the number of its line."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._numbers = np.zeros(0, dtype=np.int64)
        self._signs = np.zeros((1, 0), dtype=np.uint64)  # a column for each line: comparing is faster so
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return self._count

    def add(self, number: int, text: str) -> None:
        """Add a packed vector, or replace the one with this number. One of another length starts anew."""
        signs = _signs_of(unpacked(text))
        if signs.shape[0] != self._signs.shape[0]:
            self._clear(signs.shape[0])
        place = self._places.get(number)
        if place is None:
            place = self._free_place()
            self._places[number] = place
        self._numbers[place] = number
        self._signs[:, place] = signs

    def nearest(self, vector: Sequence[float], count: int, among: Sequence[int] | None = None) -> list[int]:
        """Numbers of the lines whose signs agree most with those of the vector, in no order.

        among: the only lines that are looked at; None: all.
        """
        signs = _signs_of(np.sign(np.asarray(vector, dtype=np.float32)).astype(np.int8))
        if self._count == 0 or signs.shape[0] != self._signs.shape[0]:
            return []
        numbers, table = self._numbers[: self._count], self._signs[:, : self._count]
        if among is not None:
            places = [place for number in among if (place := self._places.get(number)) is not None]
            numbers, table = numbers[places], table[:, places]
        if len(numbers) <= count:
            return [int(one) for one in numbers]
        best = np.argpartition(_differences(table, signs), count)[:count]
        return [int(one) for one in numbers[best]]

    def _free_place(self) -> int:
        if self._count >= self._limit:
            oldest = int(np.argmin(self._numbers[: self._count]))
            del self._places[int(self._numbers[oldest])]
            return oldest
        if self._count == len(self._numbers):
            size = min(self._limit, max(1024, int(self._count * GROW)))
            self._numbers = np.resize(self._numbers, size)
            grown = np.zeros((self._signs.shape[0], size), dtype=np.uint64)
            grown[:, : self._count] = self._signs[:, : self._count]
            self._signs = grown
        self._count += 1
        return self._count - 1

    def _clear(self, width: int) -> None:
        self._count = 0
        self._places.clear()
        self._numbers = np.zeros(0, dtype=np.int64)
        self._signs = np.zeros((width, 0), dtype=np.uint64)


def _differences(table: NDArray[np.uint64], signs: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """How many signs of each column differ; in pieces that stay in the processor's cache."""
    found = np.zeros(table.shape[1], dtype=np.uint16)
    for begin in range(0, len(found), AT_ONCE):
        piece = found[begin : begin + AT_ONCE]
        for row, sign in zip(table, signs, strict=True):
            piece += np.bitwise_count(row[begin : begin + AT_ONCE] ^ sign)
    return found


def _signs_of(values: NDArray[np.int8]) -> NDArray[np.uint64]:
    """One bit for each number: whether it is positive; padded to whole words of 64 bits."""
    bits = np.packbits(values > 0)
    padded = np.zeros(-(-len(bits) // 8) * 8 or 8, dtype=np.uint8)
    padded[: len(bits)] = bits
    return padded.view(np.uint64)
