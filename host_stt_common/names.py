"""One rule for names that users choose: channel labels, session names and token names.

Pure. A name is one line of printable text. It cannot imitate a line of a transcript or a subtitle cue, and it
cannot change the direction in which the text around it is displayed.
"""

from __future__ import annotations

import re

JOINERS = "\u200c\u200d"
"""Zero-width joiners are part of Persian, Hindi and emoji, and they do not move other text."""
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NOT_PRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_ARROW = re.compile("-{2,}>")


def name_of(text: str) -> str:
    """The name with single spaces; tabs and line breaks count as spaces.

    Raises ValueError if the name is empty or contains a character that cannot be printed (control,
    bidirectional control, lone surrogate, unassigned).
    """
    name = " ".join(text.split())
    if not name:
        raise ValueError("is empty; give it at least one letter or digit")
    for letter in name:
        if not letter.isprintable() and letter not in JOINERS:
            raise ValueError(f"has the character U+{ord(letter):04X}, which cannot be printed; leave it out")
    return name


def one_line(text: str) -> str:
    """Any text as one line without control characters: for exports of records from before this rule."""
    return " ".join(_NOT_PRINTED.sub(" ", _BIDI.sub("", text)).split())


def without_arrows(text: str) -> str:
    """The text without `-->`, which subtitle readers take for a line of times.

    All hyphens before the `>` become one, so that no shorter arrow is left.
    """
    return _ARROW.sub("->", text)
