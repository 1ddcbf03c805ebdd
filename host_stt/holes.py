"""Holes: speech inside a window that no word of its reading covers, and how a second reading fills them.

Pure: words and voiced ranges in, holes and words out. The voice detector is `files.voice`; asking the engine
again is `mending`. Positions are samples of the channel's timeline. Invariants: filling a hole takes no word
of the first reading away, adds words inside the hole only, and leaves the words in order of time.

Whisper skips whole sentences in windows with pauses, and none of its own figures tells. The alignment then
stretches a word beside the skipped speech over it. So a word much too long for its letters does not say where
it was spoken: it counts as unplaced, and accounts only for as much speech as a slow speaker needs for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array, Word
from host_stt_common.likeness import ALIKE, normalised, similarity

Range = tuple[int, int]
"""(first sample, end); the end is not in it."""

SPEECH_SAMPLES_MIN = SAMPLE_RATE
"""So much speech without words is a hole; docs/explanation/windows.md has the figures."""
ON, OFF = 0.5, 0.35
"""Silero's own thresholds. Cutting uses lower ones: there a mistake costs little, here it costs a decode."""
ROOM_SAMPLES = SAMPLE_RATE // 5
"""Word times are off by up to about 200 ms, so a word accounts for so much speech on either side."""
WORD_SAMPLES = 2 * SAMPLE_RATE // 5
LETTER_SAMPLES = SAMPLE_RATE // 10
SYLLABLE_SAMPLES = SAMPLE_RATE // 4
FIGURE_SAMPLES = 11 * SAMPLE_RATE // 20
"""A slow speaker's word: 0.4 s, and 0.1 s for each letter, 0.25 s for each sign that is a syllable (Hangul,
Han, kana), 0.55 s for each that is spoken as a word (figures, spelt letters).
"""
ONSET_SAMPLES, TAIL_SAMPLES = 3 * SAMPLE_RATE, SAMPLE_RATE // 2
"""Read so far before and behind the speech: the detector hears weak or telephone voices up to 2.6 s late."""
SENTENCE_ENDS = (".", "?", "!", "。", "？", "！")
CONTEXT_WORDS = 3
"""Words on each side of a hole that the second reading may have heard again."""
APART_SAMPLES_MAX = SAMPLE_RATE // 2
"""Two readings of one word are not further apart than this: both of their times are off."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Speech without words, behind words[:first] and before words[after:]; those between are unplaced."""

    start_sample: int  # of the speech
    end_sample: int
    speech_samples: int  # less what the unplaced words account for
    read_from: int  # what a second reading should hear: to the words on both sides, but for long pauses
    read_to: int
    first: int = 0
    after: int = 0


def voiced_ranges(
    probabilities: Float32Array, frame_samples: int, start_sample: int, on: float = ON, off: float = OFF
) -> list[Range]:
    """Where there is speech: from a frame of at least `on`, in both directions down to `off`.

    probabilities: (n,) one for each frame; start_sample: of the first frame.
    """
    padded = np.concatenate([[False], probabilities >= off, [False]])
    edges = np.flatnonzero(np.diff(padded.astype(np.int8)))
    return [
        (start_sample + int(a) * frame_samples, start_sample + int(b) * frame_samples)
        for a, b in zip(edges[::2], edges[1::2], strict=True)
        if probabilities[a:b].max() >= on
    ]


def find_holes(
    words: Sequence[Word],
    voiced: Sequence[Range],
    window: Range,
    speech_samples_min: int = SPEECH_SAMPLES_MIN,
) -> list[Hole]:
    """The holes of one reading, in order of time.

    words: in order. voiced: where a detector hears speech; in order, without overlap.
    """
    holes: list[Hole] = []
    for start, end, first, after in _zones(words, window):
        inside = [(max(a, start), min(b, end)) for a, b in voiced if a < end and start < b]
        # Half of a slow speaker's time: what an unplaced word most likely took.
        missing = sum(b - a for a, b in inside) - sum(map(plausible_samples, words[first:after])) // 2
        missing -= sum(map(_spelt_samples, (*words[max(0, first - 1) : first], *words[after : after + 1])))
        if inside and missing >= speech_samples_min:
            holes.append(_hole(inside, missing, (start, end), window, first, after))
    return holes


def _hole(inside: Sequence[Range], missing: int, zone: Range, window: Range, first: int, after: int) -> Hole:
    start, end = inside[0][0], inside[-1][1]
    read_from = max(zone[0] - ROOM_SAMPLES, start - ONSET_SAMPLES, window[0])
    read_to = min(zone[1] + ROOM_SAMPLES, end + TAIL_SAMPLES, window[1])
    return Hole(start, end, missing, read_from, read_to, first, after)


def parts(hole: Hole, voiced: Sequence[Range], samples_max: int) -> list[Range]:
    """What a second reading should hear, cut at pauses into pieces of speech of up to `samples_max`.

    A piece between two pauses that is longer stays whole.
    """
    pieces: list[Range] = []
    for start, end in ((max(a, hole.read_from), min(b, hole.read_to)) for a, b in voiced):
        if start >= end:
            continue
        if pieces and end - pieces[-1][0] <= samples_max:
            pieces[-1] = (pieces[-1][0], end)
        else:
            pieces.append((start, end))
    cuts = [(before[1] + after[0]) // 2 for before, after in pairwise(pieces)]
    return list(pairwise([hole.read_from, *cuts, hole.read_to]))


def plausible_samples(word: Word) -> int:
    """The longest that a slow speaker takes for the word."""
    figures, syllables = _figures(word.text), sum(map(_is_syllable, word.text))
    letters = sum(map(str.isalnum, word.text)) - figures - syllables
    return WORD_SAMPLES + letters * LETTER_SAMPLES + syllables * SYLLABLE_SAMPLES + figures * FIGURE_SAMPLES


def is_unplaced(word: Word) -> bool:
    """Much too long for its letters: the alignment stretched it over speech that has no words."""
    return word.end_sample - word.start_sample > plausible_samples(word)


def fill(words: Sequence[Word], hole: Hole, second: Sequence[Word]) -> list[Word]:
    """The words with those that a second reading of the hole found there.

    What both readings have is said once. An unplaced word goes where the second reading has it, or else to
    the end of the hole that it belongs to.
    """
    left, right = words[max(0, hole.first - CONTEXT_WORDS) : hole.first], words[hole.after :][:CONTEXT_WORDS]
    unplaced = words[hole.first : hole.after]
    heard = [w for w in second if hole.read_from <= _middle(w) < hole.read_to]
    pairs = _touching(dict(_pairs([*left, *unplaced, *right], heard)), len(left), len(left) + len(unplaced))
    added = [w for j, w in enumerate(heard) if j not in pairs.values()]
    if not added:
        return list(words)
    floor = words[hole.first - 1].end_sample if hole.first else hole.read_from
    ceiling = words[hole.after].start_sample if hole.after < len(words) else hole.read_to
    is_sentence = not hole.first or words[hole.first - 1].text.endswith(SENTENCE_ENDS)
    shrunk = _at_the_end(unplaced, ceiling) if is_sentence else _at_the_start(unplaced, floor)
    placed = [
        _agreed(word, heard[pairs[i]]) if i in pairs else short
        for i, (word, short) in enumerate(zip(unplaced, shrunk, strict=True), len(left))
    ]
    row = sorted([*_in_order(placed), *added], key=lambda word: word.start_sample)
    return [*words[: hole.first], *_between(row, floor, max(floor, ceiling)), *words[hole.after :]]


def _zones(words: Sequence[Word], window: Range) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, first, after) of the stretches between placed words, and at the window's ends."""
    start, first = window[0], 0
    for index, word in enumerate(words):
        if is_unplaced(word):
            continue
        yield start, word.start_sample - ROOM_SAMPLES, first, index
        start, first = max(start, word.end_sample + ROOM_SAMPLES), index + 1
    yield start, window[1], first, len(words)


def _spelt_samples(word: Word) -> int:
    """What a word that is spelt out may take beyond its time.

    People pause between figures longer than inside a word, so "B-A-2-4-9-0" is drawn in to a part of itself.
    """
    if _figures(word.text) < 2:
        return 0
    return max(0, plausible_samples(word) - (word.end_sample - word.start_sample))


def _figures(text: str) -> int:
    """Signs that are spoken as a word each: digits, and capitals but for one that begins an ordinary word."""
    capitals = sum(map(str.isupper, text))
    is_capitalised = capitals == 1 and text[1:2].islower()
    return sum(map(str.isdigit, text)) + (0 if is_capitalised else capitals)


def _is_syllable(character: str) -> bool:
    return character.isalpha() and character >= "\u1100" and not character.isupper()


def _middle(word: Word) -> int:
    return (word.start_sample + word.end_sample) // 2


def _pairs(context: Sequence[Word], heard: Sequence[Word]) -> list[tuple[int, int]]:
    """(index in context, index in heard) of the words that both have: the likest row of pairs, in order."""
    likeness = [[_likeness(a, b) for b in heard] for a in context]
    n, m = len(context), len(heard)
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], likeness[i][j] + best[i + 1][j + 1])
    pairs, i, j = [], 0, 0
    while i < n and j < m:
        if likeness[i][j] and best[i][j] == likeness[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _touching(pairs: dict[int, int], first: int, after: int) -> dict[int, int]:
    """Without pairs of words that lie behind one which the second reading did not hear.

    It begins and ends at the hole, so it cannot have heard "the" and not the "because" before it; what looks
    so is another word: "... there | because the".
    """
    low = first
    while low - 1 in pairs:
        low -= 1
    high = after
    while high in pairs:
        high += 1
    return {i: j for i, j in pairs.items() if low <= i < high}


def _likeness(a: Word, b: Word) -> float:
    """a: of the first reading. 0 when the two cannot be one word."""
    apart = max(0, max(a.start_sample, b.start_sample) - min(a.end_sample, b.end_sample))
    if apart > APART_SAMPLES_MAX and not is_unplaced(a):
        return 0.0
    likeness = similarity(normalised(a.text), normalised(b.text))
    return likeness if likeness >= ALIKE else 0.0


def _agreed(unplaced: Word, heard: Word) -> Word:
    """The longer reading, at the time of the second one."""
    longer = max(heard, unplaced, key=lambda word: len(normalised(word.text)))
    return replace(longer, start_sample=heard.start_sample, end_sample=heard.end_sample)


def _at_the_end(words: Sequence[Word], end: int) -> list[Word]:
    """The words, each as long as it most likely is, close before `end`: they begin the sentence behind it."""
    row: list[Word] = []
    for word in reversed(words):
        start = end - plausible_samples(word) // 2
        row.append(replace(word, start_sample=start, end_sample=end))
        end = start
    return row[::-1]


def _at_the_start(words: Sequence[Word], start: int) -> list[Word]:
    """The words, each as long as it most likely is, close behind `start`."""
    row: list[Word] = []
    for word in words:
        end = start + plausible_samples(word) // 2
        row.append(replace(word, start_sample=start, end_sample=end))
        start = end
    return row


def _in_order(words: Sequence[Word]) -> list[Word]:
    """None begins before the one in front of it: their order in the text is known, their times are not."""
    row: list[Word] = []
    for word in words:
        start = max(word.start_sample, row[-1].start_sample) if row else word.start_sample
        row.append(replace(word, start_sample=start, end_sample=max(start, word.end_sample)))
    return row


def _between(words: Sequence[Word], floor: int, ceiling: int) -> list[Word]:
    """The words with their times inside [floor, ceiling], none before the one in front of it."""
    row: list[Word] = []
    for word in words:
        start = min(max(word.start_sample, floor), ceiling)
        end = min(max(word.end_sample, start), ceiling)
        row.append(replace(word, start_sample=start, end_sample=end))
        floor = start
    return row
