"""Text as the error rates compare it. What is done here is stated in every report.

English: the normaliser of OpenAI's Whisper paper (package whisper-normalizer: lower case, no punctuation and
no fillers, British spelling as American, numbers as figures), then one digit a word and spelled letters as
one word, so that "K L eight six one", "KL861" and "K-L 8-6-1" are the same. Other languages: lower case
without punctuation; an error rate without spaces joins the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from host_stt_cli.errors import StartError

STATED = (
    "English: whisper-normalizer's EnglishTextNormalizer, then each digit as a word of its own and runs of "
    "single letters as one word. Other languages: lower case, no punctuation; CER without spaces, and with "
    "spaces where the table says so."
)
_DIGITS = {word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine".split())}
Normalise = Callable[[str], str]


def normaliser(language: str) -> Normalise:
    """What brings text of a language into the compared form. Raises StartError without whisper-normalizer."""
    return english if language == "en" else plain


def english(text: str) -> str:
    return spelled(_whisper()(text))


def plain(text: str) -> str:
    """Lower case; what is neither a letter nor a figure becomes a space."""
    return " ".join(re.sub(r"[\W_]+", " ", text.lower()).split())


def spelled(text: str) -> str:
    """Digits one by one, and letters that are spelled out as one word."""
    words: list[str] = []
    for word in text.split():
        words += re.findall(r"\d|[^\d]+", _DIGITS.get(word, word))
    out: list[str] = []
    is_spelling = False  # the last word of `out` is made of single letters
    for word in words:
        is_letter = len(word) == 1 and word.isalpha()
        if is_letter and is_spelling:
            out[-1] += word
        else:
            out.append(word)
        is_spelling = is_letter
    return " ".join(out)


@cache
def _whisper() -> Normalise:
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise StartError(
            "the package whisper-normalizer, which English error rates need, is not installed: "
            "pip install --no-deps -r bench/requirements.txt."
        ) from error
    normalise: Normalise = EnglishTextNormalizer()
    return normalise
