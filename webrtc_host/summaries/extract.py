"""A summary without a language model: the lines that say most, chosen by a rule, in the order of their times.

The rule is TextRank with the cosine of weighted words (as in LexRank): a line is important when it shares
rare words with many lines that are important themselves. Nothing is written: each sentence is a line.
Decisions and tasks need understanding, so these sections stay empty. Long text is ranked in blocks, and then
the best lines of all blocks, so the time grows in proportion to the text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from webrtc_host.summaries.content import Content, Line, Sentence, Topic
from webrtc_host.summaries.extract_words import Words, by_rule

BLOCK = 400
"""Lines that are compared with each other: the comparison grows with their square."""
BEST_OF_BLOCK = 8
SENTENCES_MIN, SENTENCES_MAX = 3, 8
LINES_PER_SENTENCE = 10
WORDS_MIN = 3
"""Shorter lines (`okay`, `copy`) say nothing on their own."""
ALIKE = 0.8
"""A line that is so similar to a chosen one says it again."""
DAMPING, ROUNDS = 0.85, 40
TOPICS_MAX = 6
LINES_PER_TOPIC = 12
TITLE_WORDS = 3

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Read:
    """A line, with the words by which it is compared, and those that can stand for it."""

    line: Line
    words: tuple[str, ...]
    names: tuple[str, ...]


def extract(lines: Sequence[Line], words: Words = by_rule) -> Content:
    """The summary. words: splits a line. It takes processor time: call it in a thread."""
    if not lines:
        return Content()
    read = [_Read(line, *map(tuple, words(line.text))) for line in lines]
    weights = _weights(read)
    worth = [one for one in read if len(one.words) >= WORDS_MIN] or read
    while len(worth) > BLOCK:
        blocks = [worth[at : at + BLOCK] for at in range(0, len(worth), BLOCK)]
        worth = [one for block in blocks for one in _best(block, BEST_OF_BLOCK, weights)]
    count = min(SENTENCES_MAX, max(SENTENCES_MIN, len(lines) // LINES_PER_SENTENCE))
    chosen = _best(worth, count, weights)
    rarity = Counter(name for one in read for name in set(one.names))
    return Content(
        title=" · ".join(_key_words(read, rarity, TITLE_WORDS)),
        summary=tuple(Sentence(one.line.text.strip(), (one.line.segment,)) for one in chosen),
        topics=_topics(read, rarity),
    )


def _best(block: Sequence[_Read], count: int, weights: dict[str, float]) -> list[_Read]:
    """The most important lines that do not repeat each other, in the order of the block."""
    similar = _similarities(block, weights)
    order = np.argsort(-_ranks(similar), kind="stable")
    chosen: list[int] = []
    for place in (int(one) for one in order):
        if len(chosen) == count:
            break
        if all(similar[place, other] < ALIKE for other in chosen):
            chosen.append(place)
    return [block[place] for place in sorted(chosen)]


def _similarities(block: Sequence[_Read], weights: dict[str, float]) -> Matrix:
    """The cosine of each pair of lines; 0 on the diagonal."""
    places = {word: at for at, word in enumerate(dict.fromkeys(w for one in block for w in one.words))}
    table = np.zeros((len(block), max(len(places), 1)))
    for row, one in enumerate(block):
        for word, times in Counter(one.words).items():
            table[row, places[word]] = times * weights[word]
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    table /= np.where(lengths > 0, lengths, 1.0)
    similar: Matrix = table @ table.T
    np.fill_diagonal(similar, 0.0)
    return similar


def _ranks(similar: Matrix) -> NDArray[np.float64]:
    """PageRank on the graph of similarities, by power iteration."""
    count = len(similar)
    sums = similar.sum(axis=1)
    # Jumps go to lines in proportion to their similarity with all others. With equal jumps, two lines that
    # share one word with each other only would have as much rank as two lines about the main matter.
    jumps = sums / sums.sum() if sums.sum() > 0 else np.full(count, 1.0 / count)
    steps = np.where(sums[:, None] > 0, similar / np.where(sums > 0, sums, 1.0)[:, None], jumps)
    ranks = jumps
    for _ in range(ROUNDS):
        ranks = (1.0 - DAMPING) * jumps + DAMPING * (ranks @ steps)
    return ranks


def _weights(read: Sequence[_Read]) -> dict[str, float]:
    """How rare a word is among the lines."""
    lines_with = Counter(word for one in read for word in set(one.words))
    return {word: math.log(1.0 + len(read) / times) for word, times in lines_with.items()}


def _key_words(read: Sequence[_Read], rarity: Counter[str], count: int) -> list[str]:
    """The words that stand for these lines among all lines: said often here, and rare elsewhere.

    rarity: in how many lines of the whole text a word is.
    """
    times = Counter(name for one in read for name in set(one.names))
    scored = sorted(times, key=lambda name: (-times[name] * times[name] / rarity[name], name))
    return scored[:count]


def _topics(read: Sequence[_Read], rarity: Counter[str]) -> tuple[Topic, ...]:
    """The key words of each stretch of time, with the first line that has one of them."""
    count = min(TOPICS_MAX, len(read) // LINES_PER_TOPIC)
    topics: list[Topic] = []
    for number in range(count):
        stretch = read[number * len(read) // count : (number + 1) * len(read) // count]
        names = _key_words(stretch, rarity, TITLE_WORDS)
        first = next((one for one in stretch if set(names) & set(one.names)), None)
        if first is not None:
            topics.append(Topic(", ".join(names), (first.line.segment,)))
    return tuple(topics)
