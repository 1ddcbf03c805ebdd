"""Splits the lines of a summary into parts that fit the model's context.

Pure. A tokenizer of the model is not at hand, so tokens are estimated, rather too high.
Invariant: the lines of all parts, one after the other, are the given lines.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

from webrtc_host.summaries.content import Line
from webrtc_host.transcript.timecode import timecode

LATIN_CHARS_PER_TOKEN = 3.0
"""English has about four characters in a token; names, numbers and ids have fewer."""
TOKENS_PER_OTHER_CHAR = 1.5
"""A Hangul syllable is one token in newer models, and two in older ones."""
MARKED_OF = 8
"""One of so many lines may end a part before the part is full."""


def tokens_of(text: str) -> int:
    """An estimate of the tokens of a text."""
    latin = sum(letter.isascii() for letter in text)
    return round(latin / LATIN_CHARS_PER_TOKEN + (len(text) - latin) * TOKENS_PER_OTHER_CHAR) + 1


def rendered(line: Line) -> str:
    """A line as the model reads it, on one line whatever was said: `g_52 | 12:31 | C03 Tower | text`.

    The server writes everything but the text and the label; these have no line breaks, so no speech can look
    like another line.
    """
    label = "" if line.label in ("", line.channel) else f" {_flat(line.label)[:60]}"
    time = timecode(line.start_ms).partition(".")[0]
    return f"{line.segment} | {time} | {line.channel}{label} | {_flat(line.text)}"


def split(lines: Sequence[Line], tokens_max: int) -> list[tuple[Line, ...]]:
    """Parts of at most `tokens_max` tokens; a longer line is a part of its own.

    Where a part ends depends on its lines only: a part that is half full ends at a line whose id is marked.
    So the parts of a window that moves on are the same as before, except its first and its last ones, and
    the notes about them are in the cache.
    """
    parts: list[tuple[Line, ...]] = []
    part: list[Line] = []
    filled = 0
    for line in lines:
        size = tokens_of(rendered(line))
        if part and filled + size > tokens_max:
            parts.append(tuple(part))
            part, filled = [], 0
        part.append(line)
        filled += size
        if filled >= tokens_max / 2 and _is_marked(line.segment):
            parts.append(tuple(part))
            part, filled = [], 0
    if part:
        parts.append(tuple(part))
    return parts


def halves(part: Sequence[Line]) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    middle = len(part) // 2
    return tuple(part[:middle]), tuple(part[middle:])


def is_korean(texts: Iterable[str]) -> bool:
    """Whether most letters are Hangul."""
    hangul = others = 0
    for text in texts:
        for letter in text:
            if "가" <= letter <= "힣":
                hangul += 1
            elif letter.isalpha():
                others += 1
    # A syllable says about as much as two and a half Latin letters.
    return hangul * 2.5 > others


def _is_marked(segment: str) -> bool:
    return zlib.crc32(segment.encode()) % MARKED_OF == 0


def _flat(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
