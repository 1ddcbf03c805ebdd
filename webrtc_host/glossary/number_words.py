"""Find the number that stands at a place in a text: digits, English words, or Korean in any of its ways.

Pure. Every reading has the value in digits ("21"), the place where it ends, and its style. A place can have
several readings: "둘 하나" is 21 and, with a shorter end, 2. The caller knows which numbers exist.
Invariant: a number is found by its exact form, never by similarity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from webrtc_host.glossary.hangul import is_particle
from webrtc_host.glossary.hangul_numbers import NumberStyle, hangul_readings
from webrtc_host.glossary.normalise import Gap, Script, Token, Tokens

__all__ = ["NumberStyle", "Reading", "Rest", "digits_of", "readings_at"]

TOKENS_MAX = 6
"""Tokens of one number: "one hundred and twenty five" has five."""


class Rest(Enum):
    """What follows a number."""

    FREE = "free"  # the number is complete
    MORE = "more"  # another number of the same style follows without a comma
    UNIT = "unit"  # a word that makes it a quantity: "minutes", "%"


@dataclass(frozen=True, slots=True)
class Reading:
    """token, used: the last token of the number, and how many characters of its key belong to it."""

    value: str
    token: int
    used: int
    style: NumberStyle
    rest: Rest = Rest.FREE


_UNITS = {
    **{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8},
    **{"nine": 9, "fower": 4, "fife": 5, "niner": 9, "ait": 8},
}
_HOMOPHONES = {"to": 2, "too": 2, "for": 4, "fore": 4, "won": 1, "ate": 8, "tree": 3, "free": 3, "sex": 6}
"""Ordinary words that sound like a digit. The caller accepts them only where a number must stand."""
_TEENS = {
    name: 10 + n
    for n, name in enumerate(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
    )
}
_TENS = {
    name: 20 + 10 * n
    for n, name in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())
}
_ZERO = frozenset(("o", "oh"))
_ORDINALS = frozenset(("st", "nd", "rd", "th", "r", "er"))
"""Written directly behind a digit: 8th, and 9er or 9R for "niner"."""
_QUANTITY = frozenset(
    "hour hours minute minutes second seconds day days week weeks month months year years dollar dollars "
    "cent cents percent degree degrees mile miles kilometer kilometers kilometre kilometres km meter meters "
    "metre metres foot feet inch inches pound pounds kilo kilos times point people persons men women "
    "patients am pm oclock thousand million billion hundred won euros st nd rd th".split()
)
"""Words behind a number that make it a quantity, a time or an ordinal."""


def readings_at(tokens: Tokens, index: int, offset: int = 0) -> list[Reading]:
    """The numbers that begin at character `offset` of token `index`; the longest first."""
    if index >= len(tokens):
        return []
    if tokens[index].script is Script.HANGUL:
        found = list(_hangul(tokens, index, offset))
    elif offset:
        found = []
    else:
        found = list(_latin(tokens, index))
    return sorted(found, key=lambda reading: (reading.token, reading.used), reverse=True)


def digits_of(text: str) -> str:
    """A number in digits without zeros in front, for a comparison: "07" is "7"."""
    return text.lstrip("0") or "0"


def _latin(tokens: Tokens, index: int) -> Iterator[Reading]:
    run = _run(tokens, index)
    if not run:
        return
    for length in range(len(run), 0, -1):
        last = index + length - 1
        rest = _rest(tokens, last, has_more=length < len(run))
        for value in dict.fromkeys(_values(run[:length])):
            style = NumberStyle.DIGITS if run[length - 1].isdigit() else NumberStyle.ENGLISH
            if length < len(run) and rest is Rest.MORE and _style(run[length]) is not style:
                rest = Rest.FREE
            if length == 1 and run[0] in _HOMOPHONES:
                style = NumberStyle.HOMOPHONE
            end = _behind_ordinal(tokens, last) if rest is Rest.FREE else last
            yield Reading(value, end, len(tokens[end].key), style, rest)


def _style(word: str) -> NumberStyle:
    return NumberStyle.DIGITS if word.isdigit() else NumberStyle.ENGLISH


def _run(tokens: Tokens, index: int) -> list[str]:
    """The longest row of number words and digits from `index` on, without commas in it."""
    run: list[str] = []
    while index < len(tokens) and len(run) < TOKENS_MAX and _is_number_word(tokens[index], bool(run)):
        run.append(tokens[index].key)
        if tokens.gaps[index] is not Gap.SPACE:
            break
        index += 1
    while run and run[-1] == "and":
        run.pop()
    return run


def _is_number_word(token: Token, is_inside: bool) -> bool:
    word = token.key
    if token.script is Script.DIGIT or word in _UNITS or word in _TEENS or word in _TENS:
        return True
    if not is_inside:
        return word in _HOMOPHONES
    return word in _ZERO or word in ("hundred", "and")


def _values(words: Sequence[str]) -> Iterator[str]:
    if len(words) == 1 and words[0] in _HOMOPHONES:
        yield str(_HOMOPHONES[words[0]])
        return
    cardinal = _cardinal(words)
    if cardinal is not None:
        yield str(cardinal)
    digits = [_digit(word) for word in words]
    if all(digits) and (len(words) == 1 or all(len(digit) == 1 for digit in digits)):
        yield digits_of("".join(digits))
    elif len(words) > 1 and all(word.isdigit() for word in words):
        yield digits_of("".join(words))


def _digit(word: str) -> str:
    if word.isdigit():
        return word
    return "0" if word in _ZERO else str(_UNITS[word]) if word in _UNITS else ""


def _cardinal(words: Sequence[str]) -> int | None:
    """A number up to 999 in words: "twenty one", "one hundred and five". None: not one number."""
    rest = [word for word in words if word != "and"]
    total = 0
    if len(rest) > 1 and rest[1] == "hundred" and rest[0] in _UNITS:
        total, rest = 100 * _UNITS[rest[0]], rest[2:]
        if not rest:
            return total
    if len(rest) == 1 and rest[0] in _UNITS | _TEENS | _TENS:
        return total + (_UNITS | _TEENS | _TENS)[rest[0]]
    if len(rest) == 2 and rest[0] in _TENS and _UNITS.get(rest[1], 0):
        return total + _TENS[rest[0]] + _UNITS[rest[1]]
    return None


def _rest(tokens: Tokens, last: int, *, has_more: bool) -> Rest:
    if has_more:
        return Rest.MORE
    between, following = tokens.gap_text(last), last + 1
    if between[:1] in (*"%:$°",) or following == len(tokens):
        return Rest.UNIT if between[:1] in (*"%:$°",) and between else Rest.FREE
    token, gap = tokens[following], tokens.gaps[last]
    if token.script is Script.DIGIT and between in (".", ",", ":", "/"):
        return Rest.UNIT  # 7:30, 1.5, 1,500
    if gap is Gap.NONE and token.key in _ORDINALS and _ends_a_phrase(tokens, following):
        return Rest.FREE  # "Charlie 8th, hold": what the model writes for "Charlie eight, hold"
    if gap is Gap.NONE and not (token.script is Script.HANGUL and is_particle(token.key)):
        return Rest.UNIT  # 2번, 3pm, 8th
    if gap in (Gap.NONE, Gap.SPACE) and token.key in _QUANTITY:
        return Rest.UNIT
    return Rest.FREE


def _behind_ordinal(tokens: Tokens, last: int) -> int:
    """The last token of the number with the ending that is written directly behind it."""
    following = last + 1
    is_ending = following < len(tokens) and tokens.gap_text(last) in ("", "'", "\u2019")
    return following if is_ending and tokens[following].key in _ORDINALS else last


def _ends_a_phrase(tokens: Tokens, index: int) -> bool:
    return index + 1 == len(tokens) or tokens.gaps[index] in (Gap.COMMA, Gap.STOP)


def _hangul(tokens: Tokens, index: int, offset: int) -> Iterator[Reading]:
    joined, first = "", index
    while index < len(tokens) and index - first < 3 and tokens[index].script is Script.HANGUL:
        before = len(joined)
        joined += tokens[index].key[offset if index == first else 0 :]
        for value, used, style in hangul_readings(joined):
            if used <= before or not is_particle(joined[used:]):
                continue
            taken = used - before + (offset if index == first else 0)
            yield Reading(value, index, taken, style, _rest_of_hangul(tokens, index, taken, style))
        if tokens.gaps[index] is not Gap.SPACE:
            break
        index += 1


def _rest_of_hangul(tokens: Tokens, index: int, used: int, style: NumberStyle) -> Rest:
    """MORE when the next word is a number of the same style: "원 투" is not 1, followed by something else."""
    if used < len(tokens[index].key) or tokens.gaps[index] is not Gap.SPACE or index + 1 == len(tokens):
        return Rest.FREE
    following = tokens[index + 1]
    if following.script is not Script.HANGUL:
        return Rest.FREE
    whole = (r for r in hangul_readings(following.key) if r[1] == len(following.key))
    return Rest.MORE if any(other is style for _, _, other in whole) else Rest.FREE
