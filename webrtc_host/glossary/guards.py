"""The rules that keep text as it is: numbers that are quantities, ordinary words, and names.

Pure. Each rule is a function that answers whether a match may stand. The examples are measured errors of the
text stage; tests/webrtc_host/glossary/test_traps.py has a sentence for each.
"""

from __future__ import annotations

from collections.abc import Callable

from webrtc_host.glossary.dictionary import is_common
from webrtc_host.glossary.hangul import has_final
from webrtc_host.glossary.hangul_numbers import NumberStyle
from webrtc_host.glossary.normalise import Gap, Script, Token, Tokens
from webrtc_host.glossary.number_words import Reading, Rest

Sure = Callable[[int], bool]
"""Whether the engine was sure of the word that token number n belongs to."""

_DETERMINERS = frozenset(
    "the a an this that these those my your his her its our their which each every any some no another "
    "either neither".split()
)
_GIVE = ("주", "줘", "줄", "더", "씩", "있", "없", "사", "샀", "골라", "고르")
"""How the verb behind a quantity begins: "레드 하나 주세요" orders one, and calls no unit."""
_KOREAN_WORDS = frozenset(
    "일은 일이 일을 일도 일에 일로 일의 일과 일부 이는 이를 이와 이에 이의 이도 이상 이하 이사 "
    "사는 사의 사이 사도 오는 오이 오도 오일 육의 팔이 팔을 팔은 팔도 팔에 "
    "구의 구이 구도 공을 공이 공은 공도".split()
)
"""Words that are also a Sino-Korean digit with a particle: 일은 is "the work", 사이 is "between"."""


def is_number_of(tokens: Tokens, first: int, last: int, used: int, reading: Reading) -> bool:
    """Whether the number belongs to the name in front of it (tokens first to last)."""
    if reading.rest is not Rest.FREE:
        return False
    is_attached = reading.token == last
    gap = Gap.NONE if is_attached else tokens.gaps[last]
    if gap is Gap.COMMA and not _is_followed_by_mark(tokens, reading):
        return False  # "Charlie, three patients"
    if reading.style is NumberStyle.HOMOPHONE:
        return gap is not Gap.COMMA and _is_followed_by_mark(tokens, reading) and not _asks(tokens, reading)
    if reading.value == "1" and (_is_the_one(tokens, first) or _is_one_of(tokens, reading.token)):
        return False
    if reading.style in (NumberStyle.SINO, NumberStyle.NATIVE, NumberStyle.LOAN):
        return _is_korean_number(tokens, last, used, reading)
    return True


def _is_the_one(tokens: Tokens, first: int) -> bool:
    """ "the red one" is a thing; "Red one" is a call sign."""
    return _has_determiner(tokens, first) and is_common(tokens[first].key)


def _is_followed_by_mark(tokens: Tokens, reading: Reading) -> bool:
    if reading.used < len(tokens[reading.token].key):
        return False
    return reading.token + 1 == len(tokens) or tokens.gaps[reading.token] in (Gap.COMMA, Gap.STOP)


def _asks(tokens: Tokens, reading: Reading) -> bool:
    return "?" in tokens.gap_text(reading.token)


def _is_korean_number(tokens: Tokens, last: int, used: int, reading: Reading) -> bool:
    token = tokens[reading.token]
    is_attached = reading.token == last
    if reading.style is NumberStyle.NATIVE and _next_begins_with(tokens, reading, _GIVE):
        return False
    if reading.style is not NumberStyle.SINO:
        return True
    if is_attached and token.key[used:] == "사이":
        return False  # "between", not 4 with a particle
    if not is_attached and (
        token.key in _KOREAN_WORDS or (_continues(reading, token) and is_common(token.key))
    ):
        return False  # 사랑 is "love", not 4 with a particle
    if reading.value != "2" or token.key[reading.used - 1] != "이":
        return True
    if is_attached:  # behind a consonant, 이 is the particle
        return reading.used < len(token.key) or not has_final(token.key[:used])
    # Alone and in front of a word, 이 is "this".
    return _continues(reading, token) or _is_followed_by_mark(tokens, reading)


def _continues(reading: Reading, token: Token) -> bool:
    """Whether the word goes on behind the number."""
    return reading.used < len(token.key)


def _next_begins_with(tokens: Tokens, reading: Reading, beginnings: tuple[str, ...]) -> bool:
    at = reading.token + 1
    if reading.used < len(tokens[reading.token].key) or at == len(tokens):
        return False
    return tokens.gaps[reading.token] is Gap.SPACE and tokens[at].key.startswith(beginnings)


def may_be_misheard(tokens: Tokens, first: int, last: int, end: int, sure: Sure, *, has_number: bool) -> bool:
    """Whether words of `sounds_like` (tokens first to last) may stand for the term at this place.

    A common word that the engine was sure of needs a number, and a place where a call sign is said: at the
    beginning of a sentence, behind a comma, or in front of one. Two words, such as "hanging park", are rare
    enough without that. end: the last token, with the number.
    """
    if _has_determiner(tokens, first):
        return False
    if last > first or not is_ordinary(tokens, first, last, sure):
        return True
    return has_number and is_call(tokens, first, end)


def is_call(tokens: Tokens, first: int, last: int) -> bool:
    """Whether tokens first to last stand where a call sign is usually said: at an edge of a phrase."""
    if first == 0 or tokens.gaps[first - 1] in (Gap.COMMA, Gap.STOP):
        return True
    if last + 1 == len(tokens) or tokens.gaps[last] in (Gap.COMMA, Gap.STOP):
        return True
    return (tokens[first - 2].key if first > 1 else "", tokens[first - 1].key) in _INTRODUCED


_INTRODUCED = frozenset((("this", "is"), ("copy", "that")))


def _is_one_of(tokens: Tokens, last: int) -> bool:
    """ "one after another", "one of them"."""
    behind = [token.key for token in tokens.items[last + 1 : last + 3]]
    return tokens.gaps[last] is Gap.SPACE and (behind[:1] == ["of"] or behind == ["after", "another"])


def _has_determiner(tokens: Tokens, first: int) -> bool:
    if first == 0 or tokens.gaps[first - 1] is not Gap.SPACE or tokens[first - 1].key not in _DETERMINERS:
        return False
    return first == 1 or (tokens[first - 2].key, tokens[first - 1].key) != ("copy", "that")


def is_ordinary(tokens: Tokens, first: int, last: int, sure: Sure) -> bool:
    """Whether these are common words that are not matched by their sound.

    All of them are common, and the engine was sure of them, or an article stands in front of them.
    """
    words = range(first, last + 1)
    if not all(tokens[i].script is Script.OTHER or is_common(tokens[i].key) for i in words):
        return False
    return _has_determiner(tokens, first) or all(sure(i) for i in words)
