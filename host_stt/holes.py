"""Holes: speech inside a window that no word of its result covers, and how a second decode fills them.

Pure: words and ranges of speech in, holes and words out. The speech detector is `files.voice`;
`second_decode` sends windows to the engine again. Positions are samples of the channel's timeline.
Invariants: filling a hole removes no word of the first result, adds words inside the hole only, and keeps the
words in order of time.

Whisper skips whole sentences in windows with pauses, and none of its own figures shows this. The alignment
then stretches a word next to the skipped speech over it. So a word that is much too long for its letters does
not show where it was spoken: it counts as unplaced, and covers only as much speech as a slow speaker needs
for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array, Word
from host_stt_common.likeness import ALIKE, is_syllable, normalised, similarity

Range = tuple[int, int]
"""(first sample, end); the end is exclusive."""

SPEECH_SAMPLES_MIN = SAMPLE_RATE
"""This much speech without words is a hole; docs/explanation/windows.md has the figures."""
ON, OFF = 0.5, 0.35
"""Silero's own thresholds. `files.cutting` uses lower ones: there a mistake costs little, here a decode."""
ROOM_SAMPLES = SAMPLE_RATE // 5
"""Word times are wrong by up to about 200 ms, so a word also covers this much speech on each side."""
WORD_SAMPLES = 2 * SAMPLE_RATE // 5
LETTER_SAMPLES = SAMPLE_RATE // 10
SYLLABLE_SAMPLES = SAMPLE_RATE // 4
FIGURE_SAMPLES = 11 * SAMPLE_RATE // 20
"""The longest time for a word of a slow speaker: 0.4 s, plus 0.1 s for each letter, 0.25 s for each character
that is a syllable (Hangul, Han, kana), and 0.55 s for each one that is spoken as a word (digits, spelt
letters).
"""
ONSET_SAMPLES, TAIL_SAMPLES = 3 * SAMPLE_RATE, SAMPLE_RATE // 2
"""How far the second decode reaches around the speech: the detector may find weak voices up to 2.6 s late."""
SENTENCE_ENDS = (".", "?", "!", "。", "？", "！")
CONTEXT_WORDS = 3
"""Words on each side of a hole that the second decode may contain again."""
APART_SAMPLES_MAX = SAMPLE_RATE // 2
"""Two results for one word are at most this far apart, because both of their times have errors."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Speech without words, after words[:first] and before words[after:]; the words in between are
    unplaced.
    """

    start_sample: int  # start of the speech
    end_sample: int
    speech_samples: int  # without the speech that the unplaced words cover
    read_from: int  # range of the second decode: up to the words on both sides, without long pauses
    read_to: int
    first: int = 0
    after: int = 0


def voiced_ranges(
    probabilities: Float32Array, frame_samples: int, start_sample: int, on: float = ON, off: float = OFF
) -> list[Range]:
    """The ranges of speech: from a frame of at least `on`, in both directions while frames are at least
    `off`.

    probabilities: (n,), one per frame; start_sample: position of the first frame.
    """
    padded = np.concatenate([[False], probabilities >= off, [False]])
    # Two thresholds, so that a short dip inside a word does not split its range.
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
    """The holes of one result, in order of time.

    words: in order. voiced: ranges in which a detector found speech; in order, without overlap.
    """
    holes: list[Hole] = []
    for start, end, first, after in _zones(words, window):
        inside = [(max(a, start), min(b, end)) for a, b in voiced if a < end and start < b]
        # Unplaced words were spoken somewhere in this zone. Half of a slow speaker's time is the most likely
        # length, so that much of the speech is theirs.
        missing = sum(b - a for a, b in inside) - sum(map(plausible_samples, words[first:after])) // 2
        # Spelt words next to the zone may be longer than their times; see `_spelt_samples`.
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
    """The ranges for a second decode of the hole, cut at pauses into pieces of speech of up to `samples_max`.

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
    # Cut in the middle of each pause, so that both sides keep some silence around their words.
    return list(pairwise([hole.read_from, *cuts, hole.read_to]))


def plausible_samples(word: Word) -> int:
    """The longest time that a slow speaker needs for the word."""
    figures, syllables = _figures(word.text), sum(map(is_syllable, word.text))
    letters = sum(map(str.isalnum, word.text)) - figures - syllables
    return WORD_SAMPLES + letters * LETTER_SAMPLES + syllables * SYLLABLE_SAMPLES + figures * FIGURE_SAMPLES


def is_unplaced(word: Word) -> bool:
    """Much too long for its letters: the alignment has stretched it over speech without words."""
    return word.end_sample - word.start_sample > plausible_samples(word)


def fill(words: Sequence[Word], hole: Hole, second: Sequence[Word]) -> list[Word]:
    """The words, together with those that a second decode of the hole has found.

    Words that both results have appear once. An unplaced word gets the time from the second result, or else a
    time at the end of the hole that it belongs to.
    """
    left, right = words[max(0, hole.first - CONTEXT_WORDS) : hole.first], words[hole.after :][:CONTEXT_WORDS]
    unplaced = words[hole.first : hole.after]
    heard = [w for w in second if hole.read_from <= _middle(w) < hole.read_to]
    pairs = _touching(dict(_pairs([*left, *unplaced, *right], heard)), len(left), len(left) + len(unplaced))
    # `pairs` maps words of the first result to the same words in the second one, so only the others are new.
    added = [w for j, w in enumerate(heard) if j not in pairs.values()]
    if not added:
        return list(words)
    floor = words[hole.first - 1].end_sample if hole.first else hole.read_from
    # New words must stay between the placed neighbours, because finals before and after them do not move.
    ceiling = words[hole.after].start_sample if hole.after < len(words) else hole.read_to
    is_sentence = not hole.first or words[hole.first - 1].text.endswith(SENTENCE_ENDS)
    # If the unplaced words begin a sentence, they most likely belong to the words after the hole; otherwise
    # they end the sentence before it.
    shrunk = _at_the_end(unplaced, ceiling) if is_sentence else _at_the_start(unplaced, floor)
    placed = [
        _agreed(word, heard[pairs[i]]) if i in pairs else short
        for i, (word, short) in enumerate(zip(unplaced, shrunk, strict=True), len(left))
    ]
    row = sorted([*_in_order(placed), *added], key=lambda word: word.start_sample)
    # The order of the unplaced words is known from the text, their times are not; so fix their order first.
    return [*words[: hole.first], *_between(row, floor, max(floor, ceiling)), *words[hole.after :]]


def _zones(words: Sequence[Word], window: Range) -> Iterator[tuple[int, int, int, int]]:
    """(start, end, first, after) of the ranges between placed words, and at both ends of the window."""
    start, first = window[0], 0
    for index, word in enumerate(words):
        if is_unplaced(word):
            continue
        yield start, word.start_sample - ROOM_SAMPLES, first, index
        start, first = max(start, word.end_sample + ROOM_SAMPLES), index + 1
    yield start, window[1], first, len(words)


def _spelt_samples(word: Word) -> int:
    """The time that a spelt word may take beyond its own times.

    Speakers pause longer between digits than inside a word, so the times of "B-A-2-4-9-0" cover only a part
    of it.
    """
    if _figures(word.text) < 2:
        return 0
    return max(0, plausible_samples(word) - (word.end_sample - word.start_sample))


def _figures(text: str) -> int:
    """Characters that are spoken as a word each: digits, and capitals except the first one of a normal
    word.
    """
    capitals = sum(map(str.isupper, text))
    is_capitalised = capitals == 1 and text[1:2].islower()
    return sum(map(str.isdigit, text)) + (0 if is_capitalised else capitals)


def _middle(word: Word) -> int:
    return (word.start_sample + word.end_sample) // 2


def _pairs(context: Sequence[Word], heard: Sequence[Word]) -> list[tuple[int, int]]:
    """(index in context, index in heard) of the words in both: the sequence with the highest total
    similarity.
    """
    likeness = [[_likeness(a, b) for b in heard] for a in context]
    # Longest common subsequence, weighted by similarity: best[i][j] is the best total for context[i:] and
    # heard[j:]. A greedy match would take a wrong early pair and block better ones after it.
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
    """Remove pairs of words that lie beyond a word which the second decode does not have.

    The second decode begins and ends at the hole. So it cannot contain "the" without the "because" before it;
    a pair that looks like this is another word: "... there | because the".
    """
    low = first
    while low - 1 in pairs:
        low -= 1
    high = after
    while high in pairs:
        high += 1
    return {i: j for i, j in pairs.items() if low <= i < high}


def _likeness(a: Word, b: Word) -> float:
    """Similarity; 0 if the two cannot be the same word. a: a word of the first result."""
    apart = max(0, max(a.start_sample, b.start_sample) - min(a.end_sample, b.end_sample))
    if apart > APART_SAMPLES_MAX and not is_unplaced(a):
        # An unplaced word may be anywhere in the hole, so its distance says nothing.
        return 0.0
    likeness = similarity(normalised(a.text), normalised(b.text))
    return likeness if likeness >= ALIKE else 0.0


def _agreed(unplaced: Word, heard: Word) -> Word:
    """The longer text of the two results, at the time of the second one."""
    longer = max(heard, unplaced, key=lambda word: len(normalised(word.text)))
    return replace(longer, start_sample=heard.start_sample, end_sample=heard.end_sample)


def _at_the_end(words: Sequence[Word], end: int) -> list[Word]:
    """The words right before `end`, each with its most likely length: they begin the sentence after it."""
    row: list[Word] = []
    for word in reversed(words):
        start = end - plausible_samples(word) // 2
        row.append(replace(word, start_sample=start, end_sample=end))
        end = start
    return row[::-1]


def _at_the_start(words: Sequence[Word], start: int) -> list[Word]:
    """The words right after `start`, each with its most likely length."""
    row: list[Word] = []
    for word in words:
        end = start + plausible_samples(word) // 2
        row.append(replace(word, start_sample=start, end_sample=end))
        start = end
    return row


def _in_order(words: Sequence[Word]) -> list[Word]:
    """No word begins before the previous one: the order in the text is known, the times are not."""
    row: list[Word] = []
    for word in words:
        start = max(word.start_sample, row[-1].start_sample) if row else word.start_sample
        row.append(replace(word, start_sample=start, end_sample=max(start, word.end_sample)))
    return row


def _between(words: Sequence[Word], floor: int, ceiling: int) -> list[Word]:
    """The words with their times inside [floor, ceiling], none before the previous one."""
    row: list[Word] = []
    for word in words:
        start = min(max(word.start_sample, floor), ceiling)
        end = min(max(word.end_sample, start), ceiling)
        row.append(replace(word, start_sample=start, end_sample=end))
        floor = start
    return row
