"""Guards: the table of rules that reject a result. A rule requests another decode, or removes the text.

Pure: numbers and tokens in, a verdict out. Contains the thresholds, but does not decode. Whisper has two
kinds of hallucination: it fills silence with likely phrases, and it repeats itself in loops. The rules are
tried in order; the first one that applies decides.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from host_stt.contract import Float32Array
from host_stt.loudness import loudest_dbfs
from host_stt_common.likeness import letters_and_syllables, normalised

QUIET_DBFS = -72.0
"""A window that is never louder than this is not decoded. A muted radio is quieter; a whisper is 20 dB
louder.
"""


NO_SPEECH = 0.6
"""OpenAI's threshold: above it the model itself reports that there is no speech."""
SYLLABLES_MIN = 6
"""People do say a syllable five times ("no no no no no"), and laugh; more repetitions are a loop."""
TWICE_LETTERS_MIN = 10
"""Letters of a text that is doubted when it comes twice; a character that is a syllable counts as two."""
LETTER_S, SYLLABLE_S = 0.05, 0.11
"""The time for a letter of an alphabet, and for a character that is a syllable, of a very fast speaker."""
_SYLLABLES = re.compile(rf"(.{{1,6}}?)\1{{{SYLLABLES_MIN - 1},}}")
_LAUGHTER = re.compile(r"(?:h[aeiou]){2,}h?|[아하허호흐히후핫핳흑흫ㅋㅎ]*[하허호흐히후핫핳흑흫ㅋㅎ]")


class Verdict(StrEnum):
    RETRY = "retry"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """The parts of a result that the rules use."""

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    is_capped: bool  # it reached the token limit

    @property
    def compression_ratio(self) -> float:
        return compression_ratio(self.text)


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    holds: Callable[[DecodeResult], bool]
    verdict: Verdict


RULES: tuple[Rule, ...] = (
    Rule("no letters", lambda r: not has_letters(r.text), Verdict.NO_SPEECH),
    # OpenAI's own pair of thresholds.
    Rule(
        "doubtful speech",
        lambda r: r.no_speech_prob > NO_SPEECH and r.avg_logprob < -1.0,
        Verdict.NO_SPEECH,
    ),
    # On hiss the starter model reports no_speech 0.99 and still writes text, with log probability -0.3 to
    # -0.7 (measured 2026-11-21); on speech it reports less than 0.02.
    Rule("no speech", lambda r: r.no_speech_prob > 0.9 and r.avg_logprob < -0.3, Verdict.NO_SPEECH),
    # Music, telephone keys: base writes a word and doubts it and the speech alike (-2.6 to -1.5 with 0.56 to
    # 0.59); of 246 windows of speech and single words none comes near (2026-11-29).
    Rule(
        "doubtful words",
        lambda r: r.no_speech_prob > 0.5 and r.avg_logprob < -1.5,
        Verdict.NO_SPEECH,
    ),
    # People do laugh, but Whisper also writes "haha" for noise: it is kept only where the model is certain.
    Rule(
        "laughter",
        lambda r: r.no_speech_prob > 0.2 and r.avg_logprob < -0.7 and is_laughter(r.text),
        Verdict.NO_SPEECH,
    ),
    Rule("token cap", lambda r: r.is_capped, Verdict.RETRY),
    Rule("compresses", lambda r: r.compression_ratio > 2.4, Verdict.RETRY),  # faster-whisper's threshold
    Rule("repeats", lambda r: loop_length(r.text.split()) > 0, Verdict.RETRY),
    Rule("repeats syllables", lambda r: repeats_syllables(r.text), Verdict.RETRY),
)


def judge(result: DecodeResult) -> Rule | None:
    """The first rule that applies; None accepts the result."""
    return next((rule for rule in RULES if rule.holds(result)), None)


def is_rejected(result: DecodeResult) -> bool:
    """True if the text repeats itself, so that it is to be decoded again."""
    rule = judge(result)
    return says_twice(result.text) or (rule is not None and rule.verdict is Verdict.RETRY)


def has_letters(text: str) -> bool:
    """False for a text that has only dots, dashes and musical notes."""
    return any(character.isalnum() for character in text)


def is_laughter(text: str) -> bool:
    """True if the text has only syllables of laughter: "Haha!", "하하하", "흐흐"."""
    return _LAUGHTER.fullmatch("".join(c for c in text.casefold() if c.isalpha())) is not None


def says_twice(text: str) -> bool:
    """True if the second half of the words is the first half again, and too long to be called out twice.

    Whisper can write a short sentence twice in a short window. People do say "negative, negative".
    """
    words = [word for word in map(normalised, text.split()) if word]
    half = len(words) // 2
    letters, syllables = letters_and_syllables(" ".join(words[:half]))
    return words[:half] == words[half:] and letters + 2 * syllables >= TWICE_LETTERS_MIN


def is_too_fast(text: str, seconds: float) -> bool:
    """True if the text has more letters than a very fast speaker says in this time."""
    letters, syllables = letters_and_syllables(text)
    return seconds < letters * LETTER_S + syllables * SYLLABLE_S


def repeats_syllables(text: str) -> bool:
    """True if at least half of its letters repeat one group of up to six letters; spaces do not count.

    Digits do not count either, because numbers do repeat.
    """
    letters = "".join(c for c in text.casefold() if c.isalpha() or unicodedata.category(c)[0] == "M")
    found = _SYLLABLES.search(letters)
    return found is not None and 2 * len(found.group()) >= len(letters)


def without_repeated_syllables(text: str) -> str:
    """The text with each repeated group of up to six letters kept once."""
    return _SYLLABLES.sub(r"\1", text).rstrip("\ufffd")


def compression_ratio(text: str) -> float:
    """Bytes of the text divided by bytes of its zlib form: above 2.4 the text repeats itself."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


T = TypeVar("T")


def loop_length(items: Sequence[T]) -> int:
    """Length of the group that repeats at the end of `items`; 0 if none does.

    A group of two or more items must appear three times, a single item five times, because people do read out
    "two two two".
    """
    for length in range(1, len(items) // 3 + 1):
        times = 5 if length == 1 else 3
        if length * times > len(items):
            continue
        group = items[-length:]
        if all(items[-length * (k + 1) : len(items) - length * k] == group for k in range(1, times)):
            return length
    return 0


def without_loop(items: Sequence[T]) -> Sequence[T]:
    """The items, with the repeated group at the end kept once."""
    length = loop_length(items)
    if not length:
        return items
    group, end = items[-length:], len(items)
    while end - length >= 0 and items[end - length : end] == group:
        end -= length
    return items[: end + length]


def is_quiet(samples: Float32Array) -> bool:
    """True if no part is loud enough to be speech. samples: (n,) float32."""
    return loudest_dbfs(samples) < QUIET_DBFS
