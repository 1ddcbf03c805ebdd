"""How a number is spoken in a call sign, in English and in Korean.

Pure. Used to generate the aliases of patterns; `readings` covers 0 to 99.
"""

from __future__ import annotations

from functools import cache

NUMBER_MAX = 99

_ENGLISH = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_RADIO_ENGLISH = {3: "tree", 4: "fower", 5: "fife", 9: "niner"}
"""Spoken digits of ICAO radio telephony that differ from the everyday words."""
_FIGURES = {
    **{name: str(figure) for figure, name in enumerate(_ENGLISH[:10])},
    **{name: str(figure) for figure, name in _RADIO_ENGLISH.items()},
}
_SINO = "공 일 이 삼 사 오 육 칠 팔 구".split()
_NATIVE = "공 하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉".split()
_NATIVE_TENS = "열 스물 서른 마흔 쉰 예순 일흔 여든 아흔".split()
_RADIO_KOREAN = "공 하나 둘 삼 넷 오 여섯 칠 팔 아홉".split()
"""Digits of Korean radio telephony: a mixture that no two digits of which sound alike."""
_HANGUL_ENGLISH = (
    "제로 원 투 쓰리 포 파이브 식스 세븐 에잇 나인 텐 일레븐 트웰브 써틴 포틴 피프틴 식스틴 "
    "세븐틴 에이틴 나인틴"
).split()
_HANGUL_ENGLISH_TENS = "트웬티 써티 포티 피프티 식스티 세븐티 에이티 나인티".split()


def figure_of(word: str) -> str:
    """The figure that an English word stands for, in lower case: "six" is "6"; "" for other words."""
    return _FIGURES.get(word, "")


@cache
def english_readings(number: int) -> tuple[str, ...]:
    """Words for the number, the usual one first: 21 is "twenty one", "two one". number: 0 to 99."""
    digits = [int(digit) for digit in str(number)]
    found = [_of_teens_and_tens(number, _ENGLISH, _ENGLISH_TENS, " ")]
    found.append(" ".join(_ENGLISH[digit] for digit in digits))
    found.append(" ".join(_RADIO_ENGLISH.get(digit, _ENGLISH[digit]) for digit in digits))
    return tuple(dict.fromkeys(found))


@cache
def korean_readings(number: int) -> tuple[str, ...]:
    """Hangul for the number without spaces: as English in Hangul, Sino-Korean, native Korean, and digits.

    1 is 원, 일, 하나; 21 is 트웬티원, 이십일, 스물하나, 투원, 이일, 둘하나. number: 0 to 99.
    """
    digits = [int(digit) for digit in str(number)]
    found = [
        _of_teens_and_tens(number, _HANGUL_ENGLISH, _HANGUL_ENGLISH_TENS, ""),
        _sino(number),
        _native(number),
    ]
    for words in (_HANGUL_ENGLISH, _SINO, _RADIO_KOREAN):
        found.append("".join(words[digit] for digit in digits))
    return tuple(dict.fromkeys(found))


def _of_teens_and_tens(number: int, small: list[str], tens: list[str], gap: str) -> str:
    if number < len(small):
        return small[number]
    ten, one = divmod(number, 10)
    return tens[ten - 2] + (gap + small[one] if one else "")


def _sino(number: int) -> str:
    ten, one = divmod(number, 10)
    if not ten:
        return _SINO[one]
    return (_SINO[ten] if ten > 1 else "") + "십" + (_SINO[one] if one else "")


def _native(number: int) -> str:
    ten, one = divmod(number, 10)
    if not ten:
        return _NATIVE[one]
    return _NATIVE_TENS[ten - 1] + (_NATIVE[one] if one else "")
