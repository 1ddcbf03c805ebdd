"""The words of a line, for choosing lines without a language model: Latin words and Korean stems.

Pure. Korean joins particles and endings to words (게이트로, 게이트에서), so a word has many forms. The most
frequent particles and endings are cut off. What is left is compared by pairs of syllables, so that a wrong
cut costs little. `korean_words` has a morphological analyser, which does better
and is an extra; docs/explanation/summaries.md compares them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

Words = Callable[[str], tuple[list[str], list[str]]]
"""A text -> (the words by which it is compared, those that can stand for it)."""
WORDS_MAX = 400
"""Of one line."""
STEM_MIN = 2
"""Syllables that are left when an ending is cut off."""

_WORD = re.compile(r"[가-힣]+|[^\W_가-힣]+(?:[-'][^\W_가-힣]+)*")
_ENDINGS = sorted(
    (
        "이 가 을 를 은 는 의 에 도 만 로 으로 와 과 랑 이랑 하고 에서 에게 한테 께 께서 까지 부터 보다 "
        "처럼 마다 이나 나 라도 이라도 조차 밖에 에는 에도 에서는 에서도 으로는 로는 으로도 로도 이라고 "
        "라고 이라는 라는 입니다 이다 이고 이며 인데 이라서 이네요 이에요 예요 였습니다 이었습니다 합니다 "
        "했습니다 하겠습니다 합시다 하십시오 하세요 해요 했어요 하자 한다 했다 하는 하고 하며 하면 해서 "
        "하기 하기로 해야 할 한 하지 하던 하려고 하도록 됩니다 되었습니다 됐습니다 된다 됐다 되는 되고 "
        "되면 된 될 되어 습니다 ㅂ니다 겠습니다 었습니다 았습니다 었다 았다 네요 군요 어요 아요 지요 죠 "
        "십시오 세요 시오 바랍니다 드립니다 드리겠습니다 주세요 있습니다 없습니다"
    ).split(),
    key=len,
    reverse=True,
)
_COMMON = frozenset(
    (
        "the a an and or but so if then than that this these those there here it its he she they we you i "
        "me my our your his her their them us is are was were be been being am do does did done have has "
        "had will would can could should shall may might must not no yes yeah okay ok well oh um uh ah of "
        "in on at to for from with by as into about over out up down just very really also too again now "
        "when what which who how why where all any some one get got go going gonna let know think like say "
        "said see right please thank thanks 그 이 저 것 거 수 등 때 더 좀 잘 안 못 네 예 아 어 음 그럼 "
        "그래서 그리고 그러면 그런데 하지만 지금 이제 다시 여기 거기 저기 우리 제가 저희 당신 모두 정말 "
        "아주 많이 있는 없는 같은 이런 그런 어떤 무슨 이상 수신 오버"
    ).split()
)
"""Words that are in every conversation and say nothing about what it is about."""


def by_rule(text: str) -> tuple[list[str], list[str]]:
    return features_of(text), names_of(text)


def is_common(word: str) -> bool:
    return word.casefold() in _COMMON


def names_of(text: str) -> list[str]:
    """The words that can stand for the text, as a person writes them: no common words, no endings."""
    found = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text))[:WORDS_MAX]:
        name = _stem(word) if "가" <= word[0] <= "힣" else word
        if len(name) > 1 and name.casefold() not in _COMMON and word.casefold() not in _COMMON:
            found.append(name)
    return found


def features_of(text: str) -> list[str]:
    """What two texts are compared by: words in small letters, and pairs of syllables of Korean stems."""
    found: list[str] = []
    for name in names_of(text):
        if "가" <= name[0] <= "힣":
            found += [name[at : at + 2] for at in range(len(name) - 1)]
        else:
            found.append(name.casefold())
    return found


def _stem(word: str) -> str:
    """The word without its last particle or ending, if at least two syllables are left."""
    ending = next((one for one in _ENDINGS if word.endswith(one)), "")
    return word[: len(word) - len(ending)] if len(word) - len(ending) >= STEM_MIN else word
