"""The phrases of the lab: what is said, in which language, with which terms. Pure and the same every time.

Half of the phrases have no term. Of the others, half have one call sign and half two with a long order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("phrases.json")
SEED = 14


class Kind(StrEnum):
    """What a phrase has; each kind has its own row in the report."""

    ONE = "one term"
    TWO = "two terms and a long order"
    SEVERAL = "several terms"  # of recordings, whose terms are found in their words
    NONE = "no term"


@dataclass(frozen=True, slots=True)
class LabTerm:
    """A term of the lab's own glossary. numbers: its number as a digit."""

    english: str
    korean: str
    number: int

    @property
    def canonical(self) -> str:
        return f"{self.english}-{self.number}"

    def spoken(self, language: str) -> str:
        name = self.korean if language == "ko" else self.english
        return f"{name} {_listed()['numbers'][language][self.number - 1]}"

    def as_glossary(self) -> dict[str, Any]:
        """The term in the form of glossary.yaml."""
        korean = self.spoken("ko")
        return {
            "canonical": self.canonical,
            "display": {"en": self.canonical, "ko": korean.replace(" ", "")},
            "aliases": [self.spoken("en").lower(), korean],
        }


@dataclass(frozen=True, slots=True)
class Phrase:
    """text: as spoken, without figures. terms: canonical forms of the glossary terms in it."""

    id: str
    language: str
    kind: Kind
    text: str
    terms: tuple[str, ...] = ()


@cache
def _listed() -> Any:
    return json.loads(LIST.read_text(encoding="utf-8"))


def lab_terms() -> list[LabTerm]:
    """The forty terms: each name with two different numbers."""
    rng = random.Random(SEED)
    return [
        LabTerm(english, korean, number)
        for english, korean in _listed()["names"]
        for number in sorted(rng.sample(range(1, 10), 2))
    ]


def lab_glossary() -> dict[str, Any]:
    """The lab's glossary in the form of glossary.yaml."""
    return {"version": 1, "terms": [term.as_glossary() for term in lab_terms()]}


def english_phrases(count: int = 160) -> list[Phrase]:
    """count: of all kinds together; half of them have no term."""
    rng = random.Random(SEED + 1)
    listed, quarter = _listed(), count // 4
    terms = _endless(lab_terms(), rng)
    shorts, orders = _endless(listed["short"], rng), _endless(listed["orders"], rng)
    phrases = []
    for number in range(quarter):
        term = next(terms)
        text = _sentence(f"{term.spoken('en')}, {next(shorts if number % 2 else orders)}, over")
        phrases.append(Phrase(f"en-one-{number:03d}", "en", Kind.ONE, text, (term.canonical,)))
    for number in range(quarter):
        called, caller = next(terms), next(terms)
        text = _sentence(f"{called.spoken('en')}, this is {caller.spoken('en')}, {next(orders)}")
        said = (called.canonical, caller.canonical)
        phrases.append(Phrase(f"en-two-{number:03d}", "en", Kind.TWO, text, said))
    texts = _english_without_terms(count - 2 * quarter, rng)
    return phrases + [
        Phrase(f"en-none-{number:03d}", "en", Kind.NONE, text) for number, text in enumerate(texts)
    ]


def _english_without_terms(count: int, rng: random.Random) -> list[str]:
    """Orders, sentences with words that sound like terms, and call signs that the glossary does not have."""
    listed = _listed()
    unlisted = _endless(_unlisted(), rng)
    orders, traps = _endless(listed["orders"], rng), _endless(listed["traps"], rng)
    shorts, forms = _endless(listed["short"], rng), _endless(listed["unlisted"], rng)
    texts = []
    for number in range(count):
        if number % 5 == 0:
            text = next(forms).replace("A", next(unlisted)).replace("B", next(unlisted))
        elif number % 5 == 1:
            text = f"{next(shorts)}, {next(orders)}"
        else:
            text = next(traps if number % 5 == 2 else orders)
        texts.append(_sentence(text))
    return texts


def _unlisted() -> list[str]:
    listed = {term.canonical for term in lab_terms()}
    numbers = _listed()["numbers"]["en"]
    return [
        f"{english} {numbers[number - 1]}"
        for english in ("Oscar", "Kilo", "Yankee", "Lima", "Bravo", "Delta", "Sierra")
        for number in range(1, 10)
        if f"{english}-{number}" not in listed
    ]


def korean_calls(count: int = 80) -> list[Phrase]:
    """Korean call signs, to be spoken in front of a recording. `text` has only the call signs."""
    rng = random.Random(SEED + 2)
    terms = _endless(lab_terms(), rng)
    phrases = []
    for number in range(count):
        chosen = [next(terms)] if number % 2 else [next(terms), next(terms)]
        kind = Kind.ONE if number % 2 else Kind.TWO
        text = ", 여기는 ".join(term.spoken("ko") for term in chosen)
        said = tuple(term.canonical for term in chosen)
        phrases.append(Phrase(f"ko-{'one' if number % 2 else 'two'}-{number:03d}", "ko", kind, text, said))
    return phrases


def korean_orders() -> list[str]:
    """Sentences without terms, for use where no recordings are."""
    return list(_listed()["ko_orders"])


def _endless(items: Sequence[Any], rng: random.Random) -> Iterator[Any]:
    """All items in a random order, again and again."""
    while True:
        yield from rng.sample(list(items), len(items))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
