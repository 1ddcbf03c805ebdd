"""Read numbers in Hangul: Sino-Korean, native Korean, English in Hangul, and the digits of Korean radio.

Pure. 십이, 일이, 열둘, 하나둘, 원투 and 트웰브 are 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache


class NumberStyle(Enum):
    """How a number is written or said."""

    DIGITS = "digits"
    ENGLISH = "english"
    HOMOPHONE = "homophone"  # an ordinary English word that sounds like a digit
    SINO = "sino"
    NATIVE = "native"
    LOAN = "loan"  # English in Hangul


_SINO = dict(zip("영일이삼사오육칠팔구", "0123456789", strict=True)) | {"공": "0", "륙": "6"}
_NATIVE = {
    **{"하나": "1", "둘": "2", "셋": "3", "넷": "4", "다섯": "5"},
    **{"여섯": "6", "일곱": "7", "여덟": "8", "아홉": "9", "여덜": "8", "다섣": "5"},
}
_LOAN = {
    **{"제로": "0", "원": "1", "투": "2", "쓰리": "3", "스리": "3", "포": "4", "파이브": "5", "화이브": "5"},
    **{"식스": "6", "씩스": "6", "세븐": "7", "쎄븐": "7", "에잇": "8", "에이트": "8", "나인": "9"},
}
_LOAN_TEENS = dict(
    zip(
        "텐 일레븐 트웰브 써틴 포틴 피프틴 식스틴 세븐틴 에이틴 나인틴".split(),
        map(str, range(10, 20)),
        strict=True,
    )
)
_LOAN_TENS = dict(zip("트웬티 써티 포티 피프티 식스티 세븐티 에이티 나인티".split(), "23456789", strict=True))
_NATIVE_TENS = dict(zip("열 스물 서른 마흔 쉰 예순 일흔 여든 아흔".split(), "123456789", strict=True))
_DIGITS: dict[str, tuple[str, NumberStyle]] = {
    **{word: (digit, NumberStyle.SINO) for word, digit in _SINO.items()},
    **{word: (digit, NumberStyle.NATIVE) for word, digit in _NATIVE.items()},
    **{word: (digit, NumberStyle.LOAN) for word, digit in _LOAN.items()},
}
_DIGITS_MAX = 4
_SINO_VALUE = re.compile(
    "(?:([이삼사오육칠팔구])?(백))?(?:([이삼사오육칠팔구])?(십))?([일이삼사오육륙칠팔구])?"
)

HangulReading = tuple[str, int, NumberStyle]
"""The value in digits, the characters used, and the style."""


@lru_cache(maxsize=4096)
def hangul_readings(text: str) -> tuple[HangulReading, ...]:
    """Every number that `text` may begin with. The same value and length is given once."""
    found = dict.fromkeys((*_digit_rows(text), *_values(text)))
    return tuple(found)


def _digit_rows(text: str) -> Iterator[HangulReading]:
    """Rows of digits: 일이, 하나둘, 원투, and mixtures as on the radio."""
    rows: list[HangulReading] = [("", 0, NumberStyle.SINO)]
    for _ in range(_DIGITS_MAX):
        longer = []
        for value, used, _ in rows:
            for length in (1, 2, 3):
                digit = _DIGITS.get(text[used : used + length])
                if digit is not None and len(text) >= used + length:
                    longer.append((value + digit[0], used + length, digit[1]))
        rows = longer
        for value, used, style in rows:
            yield value.lstrip("0") or "0", used, style


def _values(text: str) -> Iterator[HangulReading]:
    """Numbers from ten on, said as a value: 십이, 열둘, 트웰브, 트웬티원."""
    match = _SINO_VALUE.match(text)
    if match and (match[2] or match[4]):
        hundreds = int(_SINO.get(match[1] or "일", "1")) if match[2] else 0
        tens = int(_SINO.get(match[3] or "일", "1")) if match[4] else 0
        ones = int(_SINO[match[5]]) if match[5] else 0
        yield str(100 * hundreds + 10 * tens + ones), match.end(), NumberStyle.SINO
        if match[5]:  # the last digit may be the particle 이
            yield str(100 * hundreds + 10 * tens), match.end() - 1, NumberStyle.SINO
    for word, value in _LOAN_TEENS.items():
        if text.startswith(word):
            yield value, len(word), NumberStyle.LOAN
    yield from _tens(text, _NATIVE_TENS, _NATIVE, NumberStyle.NATIVE)
    yield from _tens(text, _LOAN_TENS, _LOAN, NumberStyle.LOAN)


def _tens(
    text: str, tens: dict[str, str], ones: dict[str, str], style: NumberStyle
) -> Iterator[HangulReading]:
    for word, ten in tens.items():
        if not text.startswith(word):
            continue
        yield ten + "0", len(word), style
        for one, digit in ones.items():
            if text.startswith(one, len(word)) and len(digit) == 1:
                yield ten + digit, len(word) + len(one), style
