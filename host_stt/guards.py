"""Is a reading believable? The table that sends a window back for a second reading, or empties it.

Pure: numbers and tokens in, a verdict out. Owns the thresholds and nothing of decoding. Whisper invents
text in two ways: it fills silence with likely phrases, and it falls into loops. The rules below are
tried in order; the first that holds decides.
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
from host_stt.sound import loudest_dbfs

QUIET_DBFS = -72.0
"""A window that never rises above this is not decoded. A muted radio idles lower; a whisper is 20 dB
above.
"""


NO_SPEECH = 0.6
"""OpenAI's threshold: above it the model says itself that nobody speaks."""
SYLLABLES_MIN = 6
"""People say a syllable five times ("no no no no no"), and laugh; more often is a loop."""
_SYLLABLES = re.compile(rf"(.{{1,6}}?)\1{{{SYLLABLES_MIN - 1},}}")
_LAUGHTER = re.compile(r"(?:h[aeiou]){2,}h?|[아하허호흐히후핫핳흑흫ㅋㅎ]*[하허호흐히후핫핳흑흫ㅋㅎ]")


class Verdict(StrEnum):
    KEEP = "keep"
    RETRY = "retry"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the rules look at."""

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    is_capped: bool  # it ran into the token cap

    @property
    def compression_ratio(self) -> float:
        return compression_ratio(self.text)


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    holds: Callable[[Reading], bool]
    verdict: Verdict


RULES: tuple[Rule, ...] = (
    Rule("no letters", lambda r: not has_letters(r.text), Verdict.NO_SPEECH),
    # OpenAI's own pair of thresholds.
    Rule(
        "doubtful speech",
        lambda r: r.no_speech_prob > NO_SPEECH and r.avg_logprob < -1.0,
        Verdict.NO_SPEECH,
    ),
    # On hiss the starter model says no_speech 0.99 and yet writes, with log probability -0.3 to -0.7
    # (measured 2026-11-21); on speech it says under 0.02.
    Rule("no speech", lambda r: r.no_speech_prob > 0.9 and r.avg_logprob < -0.3, Verdict.NO_SPEECH),
    # Music, telephone keys: base writes a word and doubts it and the speech alike (-2.6 to -1.5 with 0.56 to
    # 0.59); of 246 windows of speech and single words none comes near (2026-11-29).
    Rule(
        "doubtful words",
        lambda r: r.no_speech_prob > 0.5 and r.avg_logprob < -1.5,
        Verdict.NO_SPEECH,
    ),
    # People do laugh, and "haha" is no word: it is kept where the model is sure of it.
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


def judge(reading: Reading) -> Rule | None:
    """The first rule that holds; None keeps the reading."""
    return next((rule for rule in RULES if rule.holds(reading)), None)


def has_letters(text: str) -> bool:
    """A text of dots, dashes and notes alone says nothing."""
    return any(character.isalnum() for character in text)


def is_laughter(text: str) -> bool:
    """Nothing but the syllables of laughing: "Haha!", "하하하", "흐흐"."""
    return _LAUGHTER.fullmatch("".join(c for c in text.casefold() if c.isalpha())) is not None


def repeats_syllables(text: str) -> bool:
    """Half of its letters or more are one group of up to six, over and over, with spaces between or without.

    Figures do not count: numbers do repeat.
    """
    letters = "".join(c for c in text.casefold() if c.isalpha() or unicodedata.category(c)[0] == "M")
    found = _SYLLABLES.search(letters)
    return found is not None and 2 * len(found.group()) >= len(letters)


def without_repeated_syllables(text: str) -> str:
    """A group of up to six letters that stands there over and over, once."""
    return _SYLLABLES.sub(r"\1", text).rstrip("\ufffd")


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of its zlib form: above 2.4 it says the same thing over and over."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


T = TypeVar("T")


def loop_length(items: Sequence[T]) -> int:
    """Length of the group of items that the end of `items` repeats; 0 when it does not.

    A group of two or more must stand there three times; a single item five times, because people do read out
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
    """The items with a repeated end said once."""
    length = loop_length(items)
    if not length:
        return items
    group, end = items[-length:], len(items)
    while end - length >= 0 and items[end - length : end] == group:
        end -= length
    return items[: end + length]


def is_quiet(samples: Float32Array) -> bool:
    """Nothing in it is loud enough to be speech. samples: (n,) float32."""
    return loudest_dbfs(samples) < QUIET_DBFS
