"""What a decode with the glossary heard: its words, and how sure the model was of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from host_stt.engines.term_proposals import MARKS


@dataclass(frozen=True, slots=True)
class HeardWord:
    text: str
    logprobs: tuple[float, ...]  # of its tokens, without those of the marks behind it


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of one decode, in order."""

    words: tuple[HeardWord, ...]

    @property
    def texts(self) -> list[str]:
        return [word.text for word in self.words]

    def sureness(self, term: Sequence[str]) -> float:
        """The average log probability of the tokens of a term where the decode has it first.

        Later places count less: in a loop, the model becomes sure of what it repeats. -inf if the decode does
        not have these words in a row.
        """
        first = self._first(term)
        words = self.words[first : first + len(term)] if first is not None else ()
        found = [one for word in words for one in word.logprobs]
        return sum(found) / len(found) if found else -float("inf")

    def before(self, term: Sequence[str]) -> str:
        """The word in front of a term where the decode has it first; "" if there is none."""
        first = self._first(term)
        return self.words[first - 1].text if first else ""

    def _first(self, term: Sequence[str]) -> int | None:
        texts, length = self.texts, len(term)
        places = range(len(texts) - length + 1)
        return next((first for first in places if texts[first : first + length] == list(term)), None)


def heard_in(pieces: Iterable[tuple[str, Sequence[float]]]) -> Heard:
    """The words of pieces of text, each with the log probabilities of its tokens.

    A piece that begins with a space begins a word.
    """
    words: list[HeardWord] = []
    for text, logprobs in pieces:
        known = () if not text.strip(MARKS + " ") else tuple(logprobs)
        if words and not text.startswith(" "):
            last = words.pop()
            words.append(HeardWord(last.text + text, last.logprobs + known))
        elif text.strip():
            words.append(HeardWord(text.strip(), known))
    return Heard(tuple(words))
