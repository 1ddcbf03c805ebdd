"""The text of one item as append-only deltas. Pure.

Final lines stand. Interims can change, so only words that several of them have in common are sent early. When
a final line says something else than what was sent early, the words that were sent stay, and the rest of the
line follows: a client cannot take back a delta. Invariant: `text` is all deltas, joined.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from difflib import SequenceMatcher

from webrtc_host.wires.openai_options import Delay

_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Chinese characters."""
_UNIT = re.compile(rf"\s*(?:[{_NO_SPACES}]|[^\s{_NO_SPACES}]+)")
_LETTER = re.compile(rf"[{_NO_SPACES}]")
UNITS_MAX = 2000
"""Of one interim; more have never been seen in one utterance."""


class Deltas:
    def __init__(self, delay: Delay) -> None:
        self.text = ""
        self._seen: deque[list[str]] = deque(maxlen=0 if delay.value is None else delay.value[0])
        self._hold = 0 if delay.value is None else delay.value[1]
        self._early: list[str] = []  # words sent that no final line has covered yet

    def interim(self, text: str) -> str:
        """What may be sent early: the words that the last interims have in common."""
        units = _units(text)[:UNITS_MAX]
        self._seen.append(units)
        if not self._seen.maxlen or len(self._seen) < self._seen.maxlen:
            return ""
        stable = _common(self._seen)[: max(0, len(units) - self._hold)]
        if len(stable) <= len(self._early) or _keys(stable[: len(self._early)]) != _keys(self._early):
            return ""
        new = stable[len(self._early) :]
        self._early += new
        return self._sent(new)

    def final(self, text: str) -> str:
        """The rest of a final line, after the words of it that were sent early."""
        units = _units(text)
        self._seen.clear()
        sent, said = _covered(self._early, units)
        ending = ""
        if sent and said and sent == len(self._early):
            ending = _ending(self._early[sent - 1], units[said - 1])
        self._early = self._early[sent:]
        if self._early:  # the line is shorter than what was sent; what follows covers the rest
            return ""
        self.text += ending
        return ending + self._sent(units[said:])

    def end_utterance(self) -> None:
        """All finals of the utterance came. Words that none of them has stay sent."""
        self._seen.clear()
        self._early = []

    def _sent(self, units: Sequence[str]) -> str:
        delta = "".join(units)
        if not self.text:
            delta = delta.lstrip()
        elif delta and not delta[0].isspace() and not self._joins(delta[0]):
            delta = " " + delta
        self.text += delta
        return delta

    def _joins(self, first: str) -> bool:
        """Whether no space comes before the next text: two characters of a script without spaces."""
        return bool(_LETTER.match(first) and _LETTER.match(self.text[-1]))


def _units(text: str) -> list[str]:
    """The words, each with the space before it; together they are the text without its last spaces."""
    return _UNIT.findall(text.strip())


def _key(unit: str) -> str:
    return "".join(filter(str.isalnum, unit)).casefold() or unit.strip()


def _keys(units: Sequence[str]) -> list[str]:
    return [_key(unit) for unit in units]


def _common(texts: Sequence[Sequence[str]]) -> list[str]:
    """The first words that all have alike, as the newest writes them."""
    count = 0
    for same in zip(*texts, strict=False):
        if len(set(same)) > 1:
            break
        count += 1
    return list(texts[-1][:count])


def _covered(early: Sequence[str], units: Sequence[str]) -> tuple[int, int]:
    """How many words of `early` and of a final line are the same stretch of speech; one has all its words.

    Behind the last words that both have, one word of the one counts as one word of the other.
    """
    keys, given = _keys(early), _keys(units)
    matcher = SequenceMatcher(None, keys, given, autojunk=False)
    sent = said = 0
    for block in matcher.get_matching_blocks():
        if block.size:
            sent, said = block.a + block.size, block.b + block.size
    rest = min(len(early) - sent, len(units) - said)
    return sent + rest, said + rest


def _ending(sent: str, final: str) -> str:
    """Punctuation that the final line has after a word that was sent without it."""
    sent, final = sent.strip(), final.strip()
    return final[len(sent) :] if final.startswith(sent) and _key(sent) == _key(final) else ""
