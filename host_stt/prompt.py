"""The prompt of a window: glossary terms and history, as tokens of the previous text.

Pure: `encode` comes from the model's tokenizer. Whisper has no other way of biasing. The terms are given as
if they had just been spoken, and the history as it was written. Rows of one call need prompts of equal
length, so each prompt is filled up to the length of a bucket. Invariant: the prompt never has a special
token, whatever a glossary contains. It has only text of the window itself, in whole terms and whole words;
only the first one may be cut by the filling.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

PREVIOUS_TOKENS_MAX = 223
"""Whisper's own limit on previous text: half of its 448 positions, minus the start token."""

BUCKETS = (0, 16, 32, 64, 128, PREVIOUS_TOKENS_MAX)
"""Lengths of previous text, in tokens. Eight channels with seven glossaries use only two of these lengths.
Without buckets nearly every channel would be decoded alone.
"""

Encode = Callable[[str], list[int]]


class PromptForm(StrEnum):
    """How terms are written in the prompt. Whisper continues in the style of its prompt."""

    LISTED = "listed"  # Alpha-1, Bravo-2
    SPACED = "spaced"  # Alpha 1, Bravo 2
    SENTENCES = "sentences"  # This is Alpha 1, over. Bravo 2, copy that.


@dataclass(frozen=True, slots=True)
class PromptBudget:
    terms: int = 120  # tokens; with long lists Whisper writes terms that were not said
    history: int = 64  # tokens; history makes loops more likely, so it is short

    def __post_init__(self) -> None:
        if not 0 <= self.terms + self.history <= PREVIOUS_TOKENS_MAX:
            raise ValueError(
                f"terms ({self.terms}) and history ({self.history}) together must be at most "
                f"{PREVIOUS_TOKENS_MAX} tokens"
            )


_HYPHEN = re.compile(r"(?<=\w)[-_](?=\d)")
_SENTENCES = ("This is {}, over.", "{}, copy that.")
_KOREAN_SENTENCES = ("여기는 {}, 이상.", "{}, 수신 양호.")


def in_form(term: str, form: PromptForm, index: int) -> str:
    """A term as the prompt has it. index: its number in the prompt; sentences take turns by it."""
    if form is PromptForm.LISTED:
        return term
    spaced = _HYPHEN.sub(" ", term)
    if form is PromptForm.SPACED:
        return spaced
    is_korean = any("가" <= letter <= "힣" for letter in term)
    return (_KOREAN_SENTENCES if is_korean else _SENTENCES)[index % 2].format(spaced)


def filled(tokens: Sequence[int], filler: Sequence[int]) -> list[int]:
    """The tokens, with the filler repeated in front, so that the length is exactly that of a bucket.

    A padding token would be simpler, but no model was trained with one there.
    """
    missing = next(bucket for bucket in BUCKETS if bucket >= len(tokens)) - len(tokens)
    times = -(-missing // max(1, len(filler)))
    # Cut the filler at its start, so that the tokens next to the prompt are complete.
    return [*(list(filler) * times)[len(filler) * times - missing :], *tokens]


class PromptWriter:
    """Makes prompts with one model's tokenizer. text_tokens: ids below this are text; others are removed."""

    def __init__(
        self,
        encode: Encode,
        text_tokens: int,
        budget: PromptBudget | None = None,
        form: PromptForm = PromptForm.LISTED,
    ) -> None:
        self._budget = budget or PromptBudget()
        self._form = form
        self._text_tokens = text_tokens
        self._encode = lru_cache(maxsize=4096)(lambda text: self._text_ids(encode(text)))
        # Cached: each window of a channel encodes the same terms again.

    def previous(self, terms: Sequence[str], history: str) -> list[int]:
        """Tokens to put after the start-of-previous token, as many as a bucket has; empty without any
        text.
        """
        fitting = list(self.packed(terms).values())
        # a history of dots makes the model write dots
        history = history if any(map(str.isalnum, history)) else ""
        mark, between = ("", " ") if self._form is PromptForm.SENTENCES else (",", ", ")
        listed = self._encode(" " + between.join(fitting)) if fitting else ()
        said = self._history(history)
        # The filler must be text that belongs to the window: its own terms, or its history if it has no
        # terms.
        filler = self._encode(" " + between.join(fitting) + mark) if fitting else said
        return filled([*listed, *said], filler)

    def packed(self, terms: Sequence[str]) -> dict[str, str]:
        """The terms that fit the budget, each with its text in the prompt; the most important first."""
        fitting: dict[str, str] = {}
        left = self._budget.terms
        for term in dict.fromkeys(" ".join(term.split()) for term in terms):
            written = in_form(term, self._form, len(fitting))
            # one token too many for the first term, which is on the safe side
            cost = len(self._encode(("" if self._form is PromptForm.SENTENCES else ", ") + written))
            if not term or cost > left:
                # A term that does not fit is skipped; a shorter one after it may still fit.
                continue
            fitting[term] = written
            left -= cost
        return fitting

    def _text_ids(self, ids: list[int]) -> tuple[int, ...]:
        return tuple(token for token in ids if token < self._text_tokens)

    def _history(self, history: str) -> tuple[int, ...]:
        """The newest whole words that fit the budget."""
        words = history.split()
        # Each word has at least one token, so older words cannot fit.
        words = words[max(0, len(words) - self._budget.history) :]
        while words:
            tokens = self._encode(" " + " ".join(words))
            if len(tokens) <= self._budget.history:
                return tokens
            words = words[max(1, (len(tokens) - self._budget.history) // 16) :]
            # Remove several words at once if far too many tokens are left; one by one would be slow.
        return ()
