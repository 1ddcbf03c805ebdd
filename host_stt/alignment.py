"""Compute words with times from the tokens of a decode.

Pure: tokens, the decoder's alignment and samples in, `Word`s out. Defines how tokens form words, which word
punctuation belongs to, and how far a word reaches. Invariant: words are in order, inside the window, and
never end before they start.

The decoder's cross-attention shows where a word begins, but counts a pause as part of the word before it. So
each word is reduced to the loud part of its range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from host_stt.contract import Float32Array, Word
from host_stt.loudness import loud_frames, loud_range

SAMPLES_PER_POSITION = 320
"""One encoder position: 20 ms."""
_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"


_UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages in which faster-whisper treats each token as a word."""


class WordSplitter(Protocol):
    """The part of faster-whisper's Tokenizer that is used here."""

    @property
    def eot(self) -> int: ...

    @property
    def language_code(self) -> str: ...

    def split_to_word_tokens(self, tokens: list[int]) -> tuple[list[str], list[list[int]]]: ...


@dataclass(frozen=True, slots=True)
class Alignment:
    """CTranslate2's alignment of one row."""

    path: Sequence[tuple[int, int]]  # (text token, encoder position); neither ever decreases
    probabilities: Sequence[float]  # per text token


@dataclass(frozen=True, slots=True)
class _Span:
    text: str
    start: int  # samples from the window's start
    end: int
    probability: float


def timed_words(
    tokens: list[int],
    alignment: Alignment,
    splitter: WordSplitter,
    samples: Float32Array,
    start_sample: int,
) -> tuple[Word, ...]:
    """The words of `tokens` (text only), with times on the channel's timeline.

    samples: (n,) float32, the window; start_sample: of samples[0].
    """
    spans = _spans(tokens, alignment, splitter)
    join = _with_punctuation if splitter.language_code in _UNSPACED else _spaced
    spans = [span for span in join(spans) if span.text.strip()]
    loud = loud_frames(samples)
    bounds = [loud_range(span.start, min(span.end, len(samples)), loud) for span in spans]
    words: list[Word] = []
    floor, last = 0, len(samples)
    for span, (start, end) in zip(spans, bounds, strict=True):
        start = min(max(start, floor), last)
        floor = end = min(max(end, start), last)
        words.append(
            Word(
                text=span.text.strip(),
                start_sample=start_sample + start,
                end_sample=start_sample + end,
                probability=span.probability,
                leading_space=span.text.startswith(" "),
            )
        )
    return tuple(words)


def _spans(tokens: list[int], alignment: Alignment, splitter: WordSplitter) -> list[_Span]:
    texts, groups = splitter.split_to_word_tokens([*tokens, splitter.eot])
    if len(groups) <= 1 or not alignment.path:
        return []
    first_position = _first_positions(alignment.path, len(tokens) + 1)
    bounds = np.cumsum([0, *(len(group) for group in groups[:-1])])
    probabilities = np.asarray(alignment.probabilities, dtype=np.float64)
    return [
        _Span(
            text,
            int(first_position[a]) * SAMPLES_PER_POSITION,
            int(first_position[b]) * SAMPLES_PER_POSITION,
            float(probabilities[a:b].mean()) if len(probabilities[a:b]) else 0.0,
        )
        for text, a, b in zip(texts, bounds[:-1], bounds[1:], strict=False)
    ]


def _first_positions(path: Sequence[tuple[int, int]], count: int) -> NDArray[np.int64]:
    """(count,): the encoder position at which each text token begins. A token that is not in the path begins
    where the next one begins.
    """
    first = np.full(count, -1, dtype=np.int64)
    for token, position in reversed(path):
        if 0 <= token < count:
            first[token] = position
    later = path[-1][1]
    for index in range(count - 1, -1, -1):
        if first[index] < 0:
            first[index] = later
        later = int(first[index])
    return first


def _spaced(spans: list[_Span]) -> list[_Span]:
    """Join tokens without a space in front to the word before: the "-1" of "Alpha-1", a comma, a bracket."""
    merged: list[_Span] = []
    for span in spans:
        if merged and not span.text.startswith(" "):
            merged[-1] = _joined(merged[-1], span)
        else:
            merged.append(span)
    return merged


def _with_punctuation(spans: list[_Span]) -> list[_Span]:
    """Join opening marks to the word after them, closing marks to the word before."""
    merged: list[_Span] = []
    for span in spans:
        mark = span.text.strip()
        before = merged[-1] if merged else None
        if before is not None and (before.text.strip() in _PREPENDED or (mark and mark in _APPENDED)):
            merged[-1] = _joined(before, span)
        else:
            merged.append(span)
    return merged


def _joined(before: _Span, span: _Span) -> _Span:
    """Join two spans. A punctuation mark adds no probability and no time."""
    is_mark = not any(character.isalnum() for character in span.text)
    if is_mark:
        return _Span(before.text + span.text, before.start, before.end, before.probability)
    if not any(character.isalnum() for character in before.text):
        return _Span(before.text + span.text, before.start, span.end, span.probability)
    return _Span(before.text + span.text, before.start, span.end, min(before.probability, span.probability))
