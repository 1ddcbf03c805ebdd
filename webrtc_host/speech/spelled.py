"""Call signs that were spelled: letters and figures said one by one, which Whisper may write as one word.

Such a word ("8-6-1-5") can begin before a commit point, with letters and figures that are final already
("Eight, six."). The other rules of the merge compare whole words, so they would keep it, and the line would
have them twice. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from host_stt.contract import Word
from webrtc_host.glossary.numbers import figure_of
from webrtc_host.speech.words import mid_sample

SAID_WORDS_MAX = 8
"""So many of the last final words may be in the word that follows."""


def without_said(words: list[Word], heard: Sequence[Word], said: Sequence[Word], start: int) -> list[Word]:
    """The words, without the letters and figures at the start of the first one that are final already.

    words: what the window adds. heard: all words of its result. said: the newest final words. start: where
    the window begins, in samples. Only a word that begins before the last final one ends can contain it, or
    the first word of a result: the alignment may begin it late, but the result has nothing else for the final
    words at the start of its window.
    """
    if not words or not said or not _is_spelled(words[0].text):
        return words
    first = words[0]
    if first.start_sample < said[-1].end_sample:
        start = 0
    elif first != heard[0]:
        return words
    said = [word for word in said[-SAID_WORDS_MAX:] if mid_sample(word) >= start]
    for count in range(len(said), 0, -1):
        final = "".join(_signs(word.text) for word in said[-count:])
        if final and _signs(first.text).startswith(final):
            rest = _behind(first.text, len(final))
            if not _signs(rest):
                return words[1:]
            begin = max(first.start_sample, said[-1].end_sample)
            return [replace(first, text=rest, start_sample=begin), *words[1:]]
    return words


def signs_said(text: str) -> int:
    """How many letters and figures were said one by one for a word; 1 for an ordinary word."""
    return max(1, sum(map(str.isalnum, text))) if _is_spelled(text) else 1


def _is_spelled(text: str) -> bool:
    """Whether a word has a figure, or is several letters with hyphens: 8-6-1, B-A-249-0, hm602, K-L."""
    letters = text.strip(".,!?").split("-")
    return any(map(str.isdigit, text)) or (len(letters) > 1 and all(len(one) == 1 for one in letters))


def _signs(text: str) -> str:
    """Letters and figures in lower case; the word for a figure is that figure."""
    plain = "".join(sign for sign in text.casefold() if sign.isalnum())
    return figure_of(plain) or plain


def _behind(text: str, count: int) -> str:
    """The text behind its first `count` letters and figures."""
    places = [at for at, sign in enumerate(text) if sign.isalnum()]
    return text[places[count - 1] + 1 :].lstrip("-")
