"""What stands before a window's text: glossary terms and history, as tokens of the previous text.

Pure: `encode` comes from the model's tokenizer. Whisper has no other way to be biased: the terms are
read as if they had just been said, and what was just said is written as it was written before.
Rows of one call need prompts of one length, so every prompt is made exactly as long as a bucket.
Invariant: never a special token, whatever a glossary holds; only what the window itself brought, whole
terms and whole words, but for the first, which a repetition may have cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

PREVIOUS_TOKENS_MAX = 223
"""Whisper's own limit on previous text: half its 448 positions, less the mark in front."""

BUCKETS = (0, 16, 32, 64, 128, PREVIOUS_TOKENS_MAX)
"""Lengths of previous text, in tokens. Eight channels with seven glossaries fall into two of them
(engine-facts section 1); with lengths as they come, nearly every channel would be decoded alone.
"""

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class PromptBudget:
    terms: int = 120  # tokens; long lists make Whisper hear terms that nobody said
    history: int = 64  # tokens; history is what amplifies loops, so it is kept short

    def __post_init__(self) -> None:
        if not 0 <= self.terms + self.history <= PREVIOUS_TOKENS_MAX:
            raise ValueError(
                f"terms ({self.terms}) and history ({self.history}) together are at most "
                f"{PREVIOUS_TOKENS_MAX} tokens"
            )


def filled(tokens: Sequence[int], filler: Sequence[int]) -> list[int]:
    """Exactly a bucket of them, the filler said over and over in front.

    A mark for padding would be simpler, but no model has seen one there (engine-facts section 1).
    """
    missing = next(bucket for bucket in BUCKETS if bucket >= len(tokens)) - len(tokens)
    times = -(-missing // max(1, len(filler)))
    return [*(list(filler) * times)[len(filler) * times - missing :], *tokens]


class PromptWriter:
    """Writes prompts with one model's tokenizer. text_tokens: ids below this are text; others are dropped."""

    def __init__(self, encode: Encode, text_tokens: int, budget: PromptBudget | None = None) -> None:
        self._budget = budget or PromptBudget()
        self._text_tokens = text_tokens
        self._encode = lru_cache(maxsize=4096)(lambda text: self._text_ids(encode(text)))

    def previous(self, terms: Sequence[str], history: str) -> list[int]:
        """Tokens for after the start-of-previous mark, as many as a bucket holds; empty when there is
        nothing to say.
        """
        fitting = self._fitting(terms)
        history = history if any(map(str.isalnum, history)) else ""  # dots beget dots
        listed = self._encode(" " + ", ".join(fitting)) if fitting else ()
        said = self._history(history)
        # A short row lists its own terms again, or says its history again where it has none.
        filler = self._encode(" " + ", ".join(fitting) + ",") if fitting else said
        return filled([*listed, *said], filler)

    def _text_ids(self, ids: list[int]) -> tuple[int, ...]:
        return tuple(token for token in ids if token < self._text_tokens)

    def _fitting(self, terms: Sequence[str]) -> list[str]:
        fitting: list[str] = []
        left = self._budget.terms
        for term in dict.fromkeys(" ".join(term.split()) for term in terms):
            cost = len(self._encode(", " + term))  # a token too much for the first: never too few
            if not term or cost > left:
                continue
            fitting.append(term)
            left -= cost
        return fitting

    def _history(self, history: str) -> tuple[int, ...]:
        """The newest whole words that fit."""
        words = history.split()
        # No word is shorter than a token, so what lies further back cannot fit.
        words = words[max(0, len(words) - self._budget.history) :]
        while words:
            tokens = self._encode(" " + " ".join(words))
            if len(tokens) <= self._budget.history:
                return tokens
            words = words[max(1, (len(tokens) - self._budget.history) // 16) :]
        return ()
