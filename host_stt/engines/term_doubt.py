"""Whether a plain text is so sure that a decode with the glossary cannot help. Pure.

Most finals of clear speech have their call signs already, or none. The text leaves a doubt where the model
was unsure of a word, and where words that are not a term are nearly one ("Metixix" for Medic-6).
docs/benchmarks/glossary.md has the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rapidfuzz import fuzz, process

from host_stt.contract import Word
from host_stt.engines.term_proposals import HANGUL_ENDING_MAX, keys_of_terms, letters, terms_in

SURE_MIN = 0.5
"""The model is sure of a word with this probability or more. Words of terms are not counted: the text has
these terms already.
"""
SURE_MIN_ALIKE = 0.8
"""The same for a word in a row of words that is like a term."""
ALIKE_MIN = 65.0
"""Two texts with this likeness of their letters or more are alike, 0 to 100."""
ROW_WORDS_MAX = 3


def is_sure(words: Sequence[Word], terms: Sequence[str], sure_min: float = SURE_MIN) -> bool:
    """Whether the model was sure of all words outside of terms. False without words.

    words: of the plain text. terms: in force for it. sure_min: a probability; above 1, no text is sure.
    """
    if not words or sure_min > 1:
        return False
    texts = [word.text for word in words]
    inside = {index for one in terms_in(texts, keys_of_terms(terms)) for index in range(one.first, one.end)}
    outside = [index for index in range(len(words)) if index not in inside]
    if any(words[index].probability < sure_min for index in outside):
        return False
    doubtful = {index for index in outside if words[index].probability < SURE_MIN_ALIKE}
    known = list(dict.fromkeys(letters([term]) for term in terms))
    return not any(_is_alike(row, known) for row in _rows(texts, inside, doubtful))


def _rows(texts: Sequence[str], inside: set[int], doubtful: set[int]) -> Iterator[Sequence[str]]:
    """The rows of words outside of terms with a doubtful word."""
    for first in range(len(texts)):
        for end in range(first + 1, min(first + ROW_WORDS_MAX, len(texts)) + 1):
            places = set(range(first, end))
            if places & doubtful and not places & inside:
                yield texts[first:end]


def _is_alike(row: Sequence[str], known: Sequence[str]) -> bool:
    """Whether a row of words is like one of the terms, with a Korean particle behind it or without.

    known: the letters of each term.
    """
    return any(
        process.extractOne(letters([text]), known, scorer=fuzz.ratio, score_cutoff=ALIKE_MIN)
        for text in _without_endings(" ".join(row))
    )


def _without_endings(text: str) -> Iterator[str]:
    """The text, and Korean text also without its last one to three syllables; at least two stay."""
    yield text
    syllables = text.rstrip(".,!?;:")
    for length in range(1, HANGUL_ENDING_MAX + 1):
        ending = syllables[-length:]
        if len(syllables) < length + 2 or not all("가" <= one <= "힣" for one in ending):
            return
        yield syllables[:-length]
