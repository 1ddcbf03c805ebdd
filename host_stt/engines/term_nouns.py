"""Whether a proposed call sign is a common noun where it would stand: "an eagle to the north". Pure.

Names of call signs are often common words, and the words behind them sound like numbers. A call sign is a
proper name: no article and no possessive stands in front of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from host_stt.engines.heard import Heard
from host_stt.engines.term_proposals import MARKS, Range, key_of

DETERMINERS = frozenset("a an the my your his her its our their".split())
LIKE_NUMBERS = {"1": ("won",), "2": ("to", "too"), "4": ("for",), "8": ("ate",)}
"""Common words that sound like a number."""


def is_noun(plain: Sequence[str], place: Range, term: Sequence[str], heard: Heard) -> bool:
    """Whether the plain text speaks against a call sign here: a determiner is in front of it, or its number
    is another word of a sentence ("We saw eagles to the north").

    plain: its words. place: where the term would stand in it. heard: the decode with the glossary.
    """
    return (
        _has_determiner(plain, place, term)
        or _is_in_sentence(plain, place, term)
        or (heard.before(term).casefold() in DETERMINERS)
    )


def _has_determiner(plain: Sequence[str], place: Range, term: Sequence[str]) -> bool:
    """In front of the place; or first in it and with the term's own name behind it. Else it may be a part of
    a name that was misheard ("the area" for Sierra).
    """
    if place.first and plain[place.first - 1].casefold() in DETERMINERS:
        return True
    said = plain[place.first : place.end]
    has_own_name = len(said) > 1 and key_of(said[1]).startswith(key_of(term[0]))
    return has_own_name and said[0].casefold() in DETERMINERS


def _is_in_sentence(plain: Sequence[str], place: Range, term: Sequence[str]) -> bool:
    """Whether the plain text has words in front, and a word like the number in front of a determiner.

    At the beginning, "Eagle to the north gate" is more likely a call sign: a noun would have a determiner.
    """
    at = place.first + len(term) - 1  # where the number is, if each word of the term is one of the plain text
    if not place.first or at >= place.end or at + 1 >= len(plain):
        return False
    number = key_of(term[-1].rstrip(MARKS))[-1:]
    is_like_number = plain[at].casefold() in LIKE_NUMBERS.get(number, ())
    return is_like_number and plain[at + 1].casefold() in DETERMINERS
