"""What stands before a window's text: glossary terms and history, as tokens of the previous text.

Pure: `encode` comes from the model's tokenizer. Whisper has no other way to be biased: the terms are
read as if they had just been said, and what was just said is written as it was written before.
Invariant: never more tokens than the budget, only whole terms and whole words, and never a special
token, whatever a glossary holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

PREVIOUS_TOKENS_MAX = 223
"""Whisper's own limit on previous text: half its 448 positions, less the mark in front."""

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


class PromptWriter:
    """Writes prompts with one model's tokenizer. text_tokens: ids below this are text; others are dropped."""

    def __init__(self, encode: Encode, text_tokens: int, budget: PromptBudget | None = None) -> None:
        self._budget = budget or PromptBudget()
        self._text_tokens = text_tokens
        self._encode = lru_cache(maxsize=4096)(lambda text: self._text_ids(encode(text)))

    def previous(self, terms: Sequence[str], history: str) -> list[int]:
        """Tokens for after the start-of-previous mark; empty when there is nothing to say."""
        return list(self._terms(terms)) + list(self._history(history))

    def terms_in_use(self, terms: Sequence[str]) -> int:
        """How many of the terms, from the first, fit the budget."""
        return len(self._fitting(terms))

    def _text_ids(self, ids: list[int]) -> tuple[int, ...]:
        return tuple(token for token in ids if token < self._text_tokens)

    def _terms(self, terms: Sequence[str]) -> tuple[int, ...]:
        fitting = self._fitting(terms)
        return self._encode(" " + ", ".join(fitting)) if fitting else ()

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
