"""What the glossary could learn: aliases from a person's correction, and unknown words that come back.

Pure. Nothing here changes the glossary; a person accepts or dismisses what it finds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from webrtc_host.glossary.entries import Entry
from webrtc_host.glossary.spelling import key_of

WORDS_MAX = 6
"""A longer replaced part is a new sentence and not another spelling."""
NEIGHBOURS_MAX = 2
"""Equal words on each side of a replaced part that may belong to the term."""
IsCommon = Callable[[str], bool]
"""Whether a word, in lower case, is in the dictionary of frequent words."""
_WORD = re.compile(r"[\w]+(?:[-'][\w]+)*")
_SENTENCE_END = re.compile(r"[.!?…]\W*$")
_HANGUL = re.compile("[가-힣]")


@dataclass(frozen=True, slots=True)
class Offer:
    """text: a spelling that could become `term`. term: the canonical form; None: `text` is no known term."""

    text: str
    term: str | None


def offers_of_correction(old: str, new: str, entries: Sequence[Entry]) -> list[Offer]:
    """What a person's correction of a line teaches.

    Where the new text has a spelling of a term in place of other words, these words could be an alias of it.
    Where it has words that are no term, these could be a new term, if they look like a name.
    """
    spellings = {key_of(text): entry for entry in entries for text in (entry.canonical, *entry.aliases)}
    before, after = old.split(), new.split()
    matcher = difflib.SequenceMatcher(None, [key_of(w) for w in before], [key_of(w) for w in after], False)
    offers: dict[str, Offer] = {}
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "replace" or i2 - i1 > WORDS_MAX or j2 - j1 > WORDS_MAX:
            continue
        found = _alias(before, after, (i1, i2), (j1, j2), spellings)
        if found is None and _looks_like_a_name(_plain(after[j1:j2]), is_first=j1 == 0):
            found = Offer(_plain(after[j1:j2]), None)
        if found is not None and key_of(found.text) not in spellings:
            offers[key_of(found.text)] = found
    return list(offers.values())


def _alias(
    before: Sequence[str],
    after: Sequence[str],
    old: tuple[int, int],
    new: tuple[int, int],
    spellings: Mapping[str, Entry],
) -> Offer | None:
    """The replaced words as an alias. Equal words beside them may belong to the term: in "gate heaven" and
    "Gate 7", only the second word differs.
    """
    for left in range(NEIGHBOURS_MAX + 1):
        for right in range(NEIGHBOURS_MAX + 1):
            i1, i2, j1, j2 = old[0] - left, old[1] + right, new[0] - left, new[1] + right
            if min(i1, j1) < 0 or i2 > len(before) or j2 > len(after):
                continue
            entry = spellings.get(key_of(_plain(after[j1:j2])))
            heard = _plain(before[i1:i2])
            if entry is not None and key_of(heard):
                return Offer(heard, entry.canonical)
    return None


def unknown_words(text: str, is_common: IsCommon) -> Iterator[str]:
    """Words of a final that could be terms: no common word, and capitalised inside a sentence, with a digit,
    or in Hangul.
    """
    found: set[str] = set()
    for match in _WORD.finditer(text):
        word = match.group()
        is_first = match.start() == 0 or bool(_SENTENCE_END.search(text[: match.start()]))
        if len(word) < 2 or key_of(word) in found or not _looks_like_a_name(word, is_first=is_first):
            continue
        if not is_common(key_of(word)):
            found.add(key_of(word))
            yield word


def _looks_like_a_name(text: str, *, is_first: bool) -> bool:
    """is_first: at the start of a sentence, where every word has a capital letter."""
    if text.isdigit():
        return False
    has_digit = any(c.isdigit() for c in text)
    if _HANGUL.search(text):
        return len(text) >= 2
    inner = text[1:]
    return (
        (has_digit and any(c.isalpha() for c in text))
        or inner != inner.lower()
        or (text[:1].isupper() and not is_first)
    )


def _plain(words: Sequence[str]) -> str:
    """The words without punctuation around them."""
    return " ".join(words).strip(" \t.,;:!?…\"'()")
