"""Glossary terms that a decode with a prompt wrote, and where they belong in the plain text.

Pure. The plain text is decoded without the glossary. A second decode with it hears more call signs, but also
writes terms that were not said and disturbs the words around them. So only its terms are used: each one is a
proposal to replace some words of the plain text. `term_check` lets the model compare the two texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

TERM_WORDS_MAX = 6
VARIANTS_MAX = 6
"""Ranges of the plain text that are tried for one term. The best one wins."""
WORDS_AROUND = 3
"""So many words beside the likeliest range are compared with the term by their letters. Only the range that
is most like it is tried: each further range is a further chance for a term that was not said.
"""
PROPOSALS_MAX = 4
"""Terms of one text that are tried. A text with more terms is a list, not speech."""
SAME_TERM_MAX = 2
"""The same call sign is said so often in one text. More of them are a loop, also with other words between."""
_PIECES = re.compile(r"[^\W\d_]+|\d")
_DIGITS = {
    word: str(number)
    for number, words in enumerate(
        ("zero", "one", "two", "three tree", "four fower", "five fife", "six", "seven", "eight", "nine niner")
    )
    for word in words.split()
}
_HANGUL_DIGITS = {
    syllables: str(number)
    for number, syllables in enumerate("원 투 쓰리 포 파이브 식스 세븐 에잇 나인".split(), 1)
}
"""English numbers in Hangul, as they end call signs: 알파원."""
_NUMBERS = {
    digit: word for word, digit in reversed(_DIGITS.items()) if word not in {"tree", "fower", "fife", "niner"}
}
_HANGUL_NUMBERS = {digit: syllables for syllables, digit in _HANGUL_DIGITS.items()}
HANGUL_ENDING_MAX = 3
"""Syllables of a particle behind a Korean term: 알파원에게."""
MARKS = ".,!?。，!？;:"
_NUMBER = re.compile(r"[\s-]*(\d+)$")
_LAST_DIGIT = re.compile(r"\d(?=\D*$)")


@dataclass(frozen=True, slots=True)
class Range:
    """Words of a text: from `first` to before `end`; empty when they are equal."""

    first: int
    end: int

    def touches(self, other: Range) -> bool:
        if self == other:
            return True
        return self.first < other.end and other.first < self.end


@dataclass(frozen=True, slots=True)
class Proposal:
    """A term, and ranges of the plain text that it may stand in place of; the likeliest range first."""

    words: tuple[str, ...]  # as the decode with the glossary wrote the term
    ranges: tuple[Range, ...]


def key_of(text: str) -> str:
    """Letters and digits in lower case, number words as digits: "Alpha-1" and "alpha one" are equal."""
    return "".join(_DIGITS.get(piece, piece) for piece in _PIECES.findall(text.casefold()))


def keys_of_terms(terms: Sequence[str]) -> frozenset[str]:
    """The keys of the terms. A Korean term that ends with a number has a second one: 알파원 and 알파 1."""
    keys = {key_of(term) for term in terms}
    for key in tuple(keys):
        for syllables, digit in _HANGUL_DIGITS.items():
            if key.endswith(syllables) and len(key) > len(syllables):
                keys.add(key.removesuffix(syllables) + digit)
    return frozenset(keys - {""})


def proposals(plain: Sequence[str], prompted: Sequence[str], keys: frozenset[str]) -> list[Proposal]:
    """The terms in the prompted text that the plain text does not have at the same place.

    plain, prompted: the words of both texts. Empty when there are none, or more than PROPOSALS_MAX.
    """
    prompted = _without_repeats(prompted, keys)
    found = list(terms_in(prompted, keys))
    known = list(terms_in(plain, keys))
    matcher = SequenceMatcher(None, [key_of(w) for w in plain], [key_of(w) for w in prompted], autojunk=False)
    opcodes = matcher.get_opcodes()
    proposed = []
    written = Counter(_term_key(prompted[one.first : one.end]) for one in found)
    heard = Counter(_term_key(plain[one.first : one.end]) for one in known)
    for place in found:
        words = tuple(prompted[place.first : place.end])
        key = _term_key(words)
        if heard[key] >= written[key] or (heard[key] and written[key] > SAME_TERM_MAX):
            continue  # the plain text has it, at another place of this rough comparison
        likely = _place_in_plain(place, opcodes, plain, prompted)
        if any(_term_key(plain[one.first : one.end]) == key and one.touches(likely) for one in known):
            continue
        proposed.append(Proposal(words, tuple(_variants(likely, plain, words))))
    if len(proposed) > PROPOSALS_MAX:
        return []
    return [*proposed, *_omitted(found, opcodes, prompted)]


def opening(plain: Sequence[str], prompted: Sequence[str], keys: frozenset[str]) -> Proposal | None:
    """The call sign (a term with a number) that the prompted text begins with, in place of the first words of
    the plain text. None if there is none, or if the plain text has it, at any place.
    """
    spoken = [word for word in prompted if key_of(word)]
    first = next(terms_in(spoken, keys), None)
    if first is None or first.first > 0:
        return None
    words = tuple(spoken[: first.end])
    is_known = any(_term_key(plain[one.first : one.end]) == _term_key(words) for one in terms_in(plain, keys))
    if is_known or not other_numbers(words):
        return None
    lengths = range(1, min(len(plain), len(words) + 1) + 1)
    return Proposal(words, tuple(Range(0, length) for length in lengths))


def _without_repeats(words: Sequence[str], keys: frozenset[str]) -> list[str]:
    """The words, with a term that is repeated at once kept once: noise makes loops of terms."""
    kept: list[str] = []
    at, before = 0, ""
    for place in terms_in(words, keys):
        kept += words[at : place.first]
        key = _term_key(words[place.first : place.end])
        if place.first > at or key != before:
            kept += words[place.first : place.end]
        at, before = place.end, key
    return [*kept, *words[at:]]


def terms_in(words: Sequence[str], keys: frozenset[str]) -> Iterator[Range]:
    """The terms in a text, from left to right; of several at one place, the longest."""
    first = 0
    while first < len(words):
        end = _end_of_term(words, first, keys)
        if end > first:
            yield Range(first, end)
        first = max(end, first + 1)


def replaced(plain: Sequence[str], place: Range, words: Sequence[str]) -> list[str]:
    """The plain text with a term in place of some words. The marks behind these words stay."""
    term = list(words)
    term[-1] = term[-1].rstrip(MARKS)
    if place.end > place.first:
        last = plain[place.end - 1]
        term[-1] += last[len(last.rstrip(MARKS)) :]
    elif place.end < len(plain):
        term[-1] += ","
    return [*plain[: place.first], *term, *plain[place.end :]]


def likeness(some: Sequence[str], other: Sequence[str]) -> float:
    """How alike two runs of words are, 0 to 1: their letters, with numbers as words and Hangul as jamo."""
    return SequenceMatcher(None, letters(some), letters(other), autojunk=False).ratio()


def other_numbers(term: Sequence[str]) -> list[tuple[str, ...]]:
    """The term with each other digit from 1 to 9 in place of its last digit; empty if it has no digit."""
    text = " ".join(term)
    others = (_LAST_DIGIT.sub(str(digit), text) for digit in range(1, 10))
    return [tuple(other.split()) for other in others if other != text]


def other_names(term: Sequence[str], terms: Sequence[str]) -> list[tuple[str, ...]]:
    """The names of the other terms with the number of this one; without a number, the other terms."""
    own, number = _name_and_number(" ".join(term))
    names = dict.fromkeys(_name_and_number(one)[0] for one in terms if bool(number) == _has_number(one))
    return [(*name.split(), *([number] if number else [])) for name in names if key_of(name) != key_of(own)]


def terms_of_other_names(term: Sequence[str], terms: Sequence[str]) -> list[tuple[str, ...]]:
    """The terms of the list with another name than this one, whatever their number."""
    own = key_of(_name_and_number(" ".join(term))[0])
    pairs = (_name_and_number(one) for one in terms)
    return [tuple(f"{name} {number}".split()) for name, number in pairs if key_of(name) != own]


def is_another_call_sign(
    words: Sequence[str], place: Range, term: Sequence[str], terms: Sequence[str]
) -> bool:
    """Whether a place in a text has the name of another call sign, or the number behind such a name: no term
    is written over another one.
    """
    names = {pieces[0] for one in terms if len(pieces := _PIECES.findall(one.casefold())) == 2}
    first = place.first
    if 0 < first < place.end and key_of(words[first])[:1].isdigit():
        first -= 1
    own, said = (set(_PIECES.findall(" ".join(part).casefold())) for part in (term, words[first : place.end]))
    return bool(said & names - own)


def _name_and_number(term: str) -> tuple[str, str]:
    """The name and the number at its end, "" if there is none."""
    pieces = _NUMBER.split(term.strip(MARKS + " "), maxsplit=1)
    return (pieces[0], pieces[1]) if len(pieces) > 1 else (pieces[0], "")


def _has_number(term: str) -> bool:
    return bool(_name_and_number(term)[1])


def letters(words: Sequence[str]) -> str:
    text = " ".join(words).casefold()
    names = _HANGUL_NUMBERS if any("가" <= letter <= "힣" for letter in text) else _NUMBERS
    pieces = _PIECES.findall(text)
    return unicodedata.normalize("NFD", "".join(names.get(piece, piece) for piece in pieces))


def _term_key(words: Sequence[str]) -> str:
    return key_of(" ".join(words))


def _end_of_term(words: Sequence[str], first: int, keys: frozenset[str]) -> int:
    """The end of the longest term that begins with this word; `first` if none does."""
    best = first
    key = ""
    for end in range(first + 1, min(first + TERM_WORDS_MAX, len(words)) + 1):
        last = key_of(words[end - 1])
        key += last
        if key in keys or _is_term_with_ending(key, last, keys):
            best = end
    return best


def _is_term_with_ending(key: str, last: str, keys: frozenset[str]) -> bool:
    """True for a Korean term with a particle behind it. last: the key of the last word."""
    return any(
        key[:-length] in keys and not key[-length:].isascii()
        for length in range(1, min(HANGUL_ENDING_MAX, len(last) - 1) + 1)
    )


def _place_in_plain(
    place: Range,
    opcodes: Sequence[tuple[str, int, int, int, int]],
    plain: Sequence[str],
    prompted: Sequence[str],
) -> Range:
    """The words of the plain text that stand where the prompted text has the term."""
    first, end = len(plain), 0
    for tag, i1, i2, j1, j2 in opcodes:
        if j2 <= place.first or j1 >= place.end:
            continue
        if tag == "equal":
            a, b = i1 + max(0, place.first - j1), i1 + min(j2, place.end) - j1
        elif j1 == j2:
            a, b = i1, i2  # words of the plain text between those of the term
        else:
            whole, own = _lengths(prompted[j1:j2]), _lengths(plain[i1:i2])
            a = i1 + _nearest(own, whole[max(0, place.first - j1)] / whole[-1])
            b = i1 + _nearest(own, whole[min(j2, place.end) - j1] / whole[-1])
            b = min(i2, max(b, a + 1))
        first, end = min(first, a), max(end, b)
    return Range(min(first, end), max(first, end)) if first <= end else Range(end, end)


def _lengths(words: Sequence[str]) -> list[int]:
    """The number of characters in front of each word, and of all words."""
    total = [0]
    for word in words:
        total.append(total[-1] + max(1, len(word)))
    return total


def _nearest(lengths: Sequence[int], share: float) -> int:
    """The word border nearest to this share of the characters."""
    whole = lengths[-1] or 1
    return min(range(len(lengths)), key=lambda index: abs(lengths[index] / whole - share))


def _variants(likely: Range, plain: Sequence[str], term: Sequence[str]) -> Iterator[Range]:
    """The likely range, the one that is most like the term, and ranges that begin or end one word earlier or
    later.
    """
    a, b = likely.first, likely.end
    tried: list[Range] = []
    like = _most_like(likely, plain, term)
    for one in (likely, like, Range(a, b + 1), Range(a, b - 1), Range(a - 1, b), Range(a + 1, b)):
        # A term takes the place of what was heard instead of it; it stands beside it only where nothing was.
        is_possible = 0 <= one.first <= one.end <= len(plain) and (one.first < one.end or a == b)
        if is_possible and one.end - one.first <= len(term) + 2 and one not in tried:
            tried.append(one)
    yield from tried[:VARIANTS_MAX]


def _most_like(likely: Range, plain: Sequence[str], term: Sequence[str]) -> Range:
    """The words at the likely range, or near it, whose letters are most like those of the term."""
    first, end = max(0, likely.first - WORDS_AROUND), min(len(plain), likely.end + WORDS_AROUND)
    ranges = [Range(a, b) for a in range(first, end) for b in range(a + 1, min(a + len(term) + 2, end) + 1)]
    return max(ranges, key=lambda one: likeness(plain[one.first : one.end], term), default=likely)


def _omitted(
    found: Sequence[Range], opcodes: Sequence[tuple[str, int, int, int, int]], prompted: Sequence[str]
) -> Iterator[Proposal]:
    """Several terms, with the words between them, where the plain text left the beginning or the end out.

    Each of them alone would be improbable there.
    """
    for tag, i1, _, j1, j2 in opcodes:
        inside = [one for one in found if j1 <= one.first and one.end <= j2]
        is_loop = len({_term_key(prompted[one.first : one.end]) for one in inside}) < len(inside)
        if tag == "insert" and len(inside) > 1 and not is_loop:
            words = tuple(prompted[inside[0].first : inside[-1].end])
            yield Proposal(words, (Range(i1, i1),))
