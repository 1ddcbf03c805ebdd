"""Hangul: the sounds of a word for a comparison, the particles behind it, and the names of the letters.

Pure. Syllables are taken apart into jamo by Unicode's canonical decomposition.
"""

from __future__ import annotations

import re
import unicodedata

FIRST, LAST = 0xAC00, 0xD7A3
_SAME_PLACE = str.maketrans(
    {
        # Plain, tense and aspirated consonants at the beginning of a syllable.
        **dict.fromkeys("\u1101\u110f", "\u1100"),  # k
        **dict.fromkeys("\u1104\u1110", "\u1103"),  # t
        **dict.fromkeys("\u1108\u1111", "\u1107"),  # p
        "\u110a": "\u1109",  # s
        **dict.fromkeys("\u110d\u110e", "\u110c"),  # ch
        # Vowels that sound the same today, or nearly.
        **dict.fromkeys("\u1162\u1164", "\u1166"),  # ae, yae: e
        "\u1168": "\u1166",  # ye: e
        "\u1173": "\u116e",  # eu: u
        "\u1165": "\u1169",  # eo: o
        **dict.fromkeys("\u116b\u1170", "\u116c"),  # wae, we: oe
        # Consonants at the end of a syllable, as those at the beginning: 유닛 and 유니스 differ in a vowel.
        **dict.fromkeys("\u11a8\u11a9\u11bf", "\u1100"),  # k
        "\u11ab": "\u1102",  # n
        **dict.fromkeys("\u11ae\u11bd\u11be\u11c0", "\u1103"),  # t
        "\u11af": "\u1105",  # l
        "\u11b7": "\u1106",  # m
        **dict.fromkeys("\u11b8\u11c1", "\u1107"),  # p
        **dict.fromkeys("\u11ba\u11bb", "\u1109"),  # s
        # The letter of a syllable that begins with its vowel has no sound.
        "\u110b": "",
    }
)


def jamo_of(text: str) -> str:
    """The letters of a word, with the silent first consonant: 알 has three."""
    return unicodedata.normalize("NFD", text)


def sounds_of(jamo: str) -> str:
    """Jamo without the differences that a listener misses first, such as ㅂ, ㅃ and ㅍ, or ㅐ and ㅔ."""
    return jamo.translate(_SAME_PLACE)


def has_final(text: str) -> bool:
    """Whether the last syllable ends in a consonant. That decides between the particles 이 and 가."""
    return bool(text) and FIRST <= ord(text[-1]) <= LAST and (ord(text[-1]) - FIRST) % 28 != 0


_CASE = (
    "이|가|은|는|을|를|에|에서|에게|에게서|한테|한테서|께|께서|로|으로|와|과|랑|이랑|하고|의|도|만|"
    "까지|부터|보다|처럼"
)
_FOCUS = "은|는|도|만|까지|부터|의"
_COPULA = "입니다|입니까|이다|이에요|예요|이야|이고|이며|인데|인가|인지|이라고|라고|이라는|라는|이네|이죠"
_CALL = "나와라|응답|응답하라|응답바람|이상|팀|측|님|대원|대원이|대원은"
_AFTER = re.compile(f"(?:(?:팀|측|님|대원)?(?:{_CASE})(?:{_FOCUS})?|{_COPULA}|{_CALL})$")


def is_particle(text: str) -> bool:
    """Whether this may stand directly behind a call sign: a particle, a form of 이다, or a radio word."""
    return not text or _AFTER.match(text) is not None


LETTER_NAMES = {
    **{
        "a": "에이",
        "b": "비",
        "c": "씨",
        "d": "디",
        "e": "이",
        "f": "에프",
        "g": "지",
        "h": "에이치",
        "i": "아이",
    },
    **{"j": "제이", "k": "케이", "l": "엘", "m": "엠", "n": "엔", "o": "오", "p": "피", "q": "큐", "r": "알"},
    **{"s": "에스", "t": "티", "u": "유", "v": "브이", "w": "더블유", "x": "엑스", "y": "와이", "z": "제트"},
}
"""The English letters as they are said in Korean."""
