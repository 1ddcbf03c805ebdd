"""Words as the merge compares them: normalised, with a measure of similarity, and split from plain text.

Pure functions over `host_stt.contract.Word`. They do not change what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from host_stt.contract import Segment, Transcript, Word
from host_stt_common.likeness import ALIKE, edit_distance, normalised, similarity
from webrtc_host.seams import SAMPLES_PER_MS

__all__ = [
    "ALIKE",
    "edit_distance",
    "is_behind",
    "keys_of",
    "mid_sample",
    "normalised",
    "similarity",
    "text_of",
    "tokens_of",
    "words_of",
]


BEHIND_SAMPLES = 100 * SAMPLES_PER_MS
"""A word that ends so long after a sample was spoken after it."""


def text_of(words: Iterable[Word]) -> str:
    return "".join((" " if w.leading_space else "") + w.text for w in words).strip()


def words_of(transcript: Transcript) -> list[Word]:
    """The words of the transcript in order of time.

    A segment without words is split, evenly over its time.
    """
    words: list[Word] = []
    for segment in transcript.segments:
        words += segment.words or _spread(segment)
    return [w for w in words if w.text.strip()]


def _spread(segment: Segment) -> list[Word]:
    tokens = tokens_of(segment.text)
    length = segment.end_sample - segment.start_sample
    weights = [len(text) + 1 for text, _ in tokens]
    total = sum(weights)
    words, before = [], 0
    for (text, leading_space), weight in zip(tokens, weights, strict=True):
        start = segment.start_sample + length * before // total
        before += weight
        end = segment.start_sample + length * before // total
        words.append(Word(text, start, end, 0.0, leading_space))
    return words


def tokens_of(text: str) -> list[tuple[str, bool]]:
    """(text, leading_space) of each word.

    Scripts without spaces are split into characters, as in the engine.
    """
    tokens: list[tuple[str, bool]] = []
    for chunk in text.split():
        run = ""
        is_first = True
        for character in chunk:
            if _stands_alone(character):
                if run:
                    tokens.append((run, is_first))
                    is_first, run = False, ""
                tokens.append((character, is_first))
                is_first = False
            else:
                run += character
        if run:
            tokens.append((run, is_first))
    return tokens


def _stands_alone(character: str) -> bool:
    """Kana, Han and their full stops and commas. Hangul uses spaces, so it is not included."""
    return any(first <= character <= last for first, last in _NO_SPACES)


_NO_SPACES = (
    ("\u3001", "\u3002"),  # ideographic comma and full stop
    ("\u3040", "\u30ff"),  # Hiragana, Katakana
    ("\u3400", "\u4dbf"),  # Han, extension A
    ("\u4e00", "\u9fff"),  # Han
    ("\uf900", "\ufaff"),  # Han, compatibility
)


def mid_sample(word: Word) -> int:
    return (word.start_sample + word.end_sample) // 2


def is_behind(word: Word, sample: int) -> bool:
    """Whether a word begins after `sample`, or ends clearly after it.

    An earlier start says little: the alignment stretches a word over speech before it that has no words.
    """
    return word.start_sample >= sample or word.end_sample >= sample + BEHIND_SAMPLES


def keys_of(words: Sequence[Word]) -> list[str]:
    return [normalised(w.text) for w in words]
