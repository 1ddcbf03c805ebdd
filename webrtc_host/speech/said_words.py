"""Which words of a result are final already: an interim was often sent before they were.

Compares the first words of a result with the newest final words, by their text and by their times. Pure.
`spelled.py` does the same for call signs that Whisper writes as one word.
"""

from __future__ import annotations

from collections.abc import Sequence

from host_stt.contract import Word
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.joining import APART_SAMPLES_MAX
from webrtc_host.speech.words import ALIKE, is_behind, keys_of, similarity

BEFORE_SAMPLES = 150 * SAMPLES_PER_MS
"""A word that ends so long before the last committed one ends was said before it."""


def from_sample(words: list[Word], sample: int) -> list[Word]:
    """The words from the first one on that ends clearly after `sample`."""
    first = next((n for n, word in enumerate(words) if is_behind(word, sample)), len(words))
    return words[first:]


def after_said(words: list[Word], said: Sequence[Word]) -> list[Word]:
    """The words behind those that are said already: an interim may spell or part these otherwise.

    By their times. Where these are too close to tell, the letters must be alike ("ill-disposed", "all
    disposed").
    """
    last = said[-1].end_sample
    first = next((n for n, word in enumerate(words) if is_behind(word, last)), len(words))
    letters = "".join(keys_of(words[:first]))
    if any(similarity(letters, "".join(keys_of(said[-n:]))) >= ALIKE for n in (1, 2, 3)):
        return words[first:]
    return [word for word in words if word.end_sample > last - BEFORE_SAMPLES]


def is_in(word: Word, words: Sequence[Word]) -> bool:
    """Whether a result has this word, alike and at about the same time."""
    (key,) = keys_of((word,))
    near = [one for one in words if abs(one.start_sample - word.start_sample) <= APART_SAMPLES_MAX]
    return any(similarity(key, other) >= ALIKE for other in keys_of(near))


def repeated_head(before: Sequence[Word], words: Sequence[Word]) -> int:
    """The number of first `words` that repeat `before`, the words directly before them.

    Edit distance in words between `before` and every prefix of `words`. Times are not used, because the times
    of an interim's words are estimates.
    """
    if not before or not words:
        return 0
    before_keys, keys = keys_of(before), keys_of(words[: 2 * len(before) + 4])
    # row[p]: cost of matching before[:i] with keys[:p]. A word without a partner costs 0.7, a likely pair its
    # unlikeness.
    row = [0.7 * p for p in range(len(keys) + 1)]
    for spoken in before_keys:
        above, row = row, [row[0] + 0.7]
        for p, key in enumerate(keys, 1):
            likeness = similarity(spoken, key)
            pair = 1.0 - likeness if likeness >= ALIKE else 1.5
            row.append(min(above[p] + 0.7, row[p - 1] + 0.7, above[p - 1] + pair))
    return min(range(len(row)), key=lambda p: (row[p], p))
