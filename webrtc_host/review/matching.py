"""Which words of a new text belong to which line of the old one.

Pure. Lines with silence between them are told apart by the times of the words. Lines without a pause between
them are told apart by the words: both texts are aligned by edit distance, equal words carry their line over,
and the words between two of them are divided in proportion. So each new word gets exactly one line, and the
order of words is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from host_stt.contract import Word
from host_stt_common.likeness import normalised
from webrtc_host.review.lines import Line
from webrtc_host.seams import ms_of
from webrtc_host.speech.words import text_of

WORDS_SHARE_MIN, WORDS_SHARE_MAX = 0.6, 1.6
"""A new text with fewer or more words for each old word is not trusted: one of the two texts is wrong as a
whole."""
PAUSE_MS = 400
"""Word times are off by up to 200 ms, so they tell lines apart that have so much silence between them."""
_SENTENCE_END = re.compile(r"[.?!。?!](?=\s)")


def changes(lines: Sequence[Line], words: Sequence[Word]) -> list[tuple[Line, list[Word]]]:
    """The lines that get another text, with their new words.

    Lines between two pauses change together or not at all. They stay as they are when the number of their new
    words is not to be trusted, and when one of them would get no word: its words may be in another line then.
    """
    found: list[tuple[Line, list[Word]]] = []
    blocks = _blocks(lines)
    of_block: list[list[Word]] = [[] for _ in blocks]
    for word in words:
        of_block[_nearest(blocks, word)].append(word)
    for block, new in zip(blocks, of_block, strict=True):
        if not is_trusted(block, new):
            continue
        pairs = list(zip(block, divided(block, new), strict=True))
        if all(own for _, own in pairs):
            found += [(line, own) for line, own in pairs if differs(line.raw, own)]
    return found


def _blocks(lines: Sequence[Line]) -> list[list[Line]]:
    """The lines, cut where there is a pause between them."""
    blocks: list[list[Line]] = []
    for line in lines:
        if blocks and line.start_ms - blocks[-1][-1].end_ms < PAUSE_MS:
            blocks[-1].append(line)
        else:
            blocks.append([line])
    return blocks


def _nearest(blocks: Sequence[Sequence[Line]], word: Word) -> int:
    middle_ms = ms_of((word.start_sample + word.end_sample) // 2)

    def distance(number: int) -> int:
        block = blocks[number]
        return max(block[0].start_ms - middle_ms, middle_ms - block[-1].end_ms, 0)

    return min(range(len(blocks)), key=distance)


def divided(lines: Sequence[Line], words: Sequence[Word]) -> list[list[Word]]:
    """The new words of each line, in order. lines: with at least one word in all."""
    old = [(number, normalised(text)) for number, line in enumerate(lines) for text in line.raw.split()]
    result: list[list[Word]] = [[] for _ in lines]
    opcodes = Levenshtein.opcodes([key for _, key in old], [normalised(word.text) for word in words])
    for code in opcodes:
        count = code.dest_end - code.dest_start
        for offset in range(count):
            word = words[code.dest_start + offset]
            if code.src_end > code.src_start:
                at = code.src_start + offset * (code.src_end - code.src_start) // count
                number = old[at][0]
            else:
                number = _between(lines, old, code.src_start, word)
            result[number].append(word)
    return result


def _between(lines: Sequence[Line], old: Sequence[tuple[int, str]], at: int, word: Word) -> int:
    """The line of a word that has no counterpart: of the word before or behind, whichever line is nearer."""
    before = old[max(0, at - 1)][0]
    behind = old[min(at, len(old) - 1)][0]
    middle_ms = ms_of((word.start_sample + word.end_sample) // 2)
    return before if middle_ms - lines[before].end_ms <= lines[behind].start_ms - middle_ms else behind


def is_trusted(lines: Sequence[Line], words: Sequence[Word]) -> bool:
    """Whether the new text has about as many words as the old one."""
    old = sum(len(line.raw.split()) for line in lines)
    return bool(old) and WORDS_SHARE_MIN * old - 1 <= len(words) <= WORDS_SHARE_MAX * old + 1


def differs(old: str, words: Sequence[Word]) -> bool:
    """Whether the new text of a line says something else, or ends its sentences in other places.

    Other commas and capital letters alone are no reason to change a line that is being read.
    """
    new = text_of(words)
    return _spoken(old) != _spoken(new) or len(_SENTENCE_END.findall(old)) != len(_SENTENCE_END.findall(new))


def _spoken(text: str) -> str:
    return "".join(normalised(word) for word in text.split())
