"""Detected languages that are doubtful, and prompts that disturb the text: when to decode a row in another
way.

Pure: results in, the next attempt out. Whisper detects a language in any audio. For noise, short calls and
unusual voices it may detect a wrong language with high probability, and then it writes text in that language.
So a doubtful result in a detected language is compared with results in the languages of the site.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from host_stt.contract import AUTO, Task
from host_stt.engines.rows import Decoded, Row
from host_stt.guards import NO_SPEECH, Rule, Verdict, has_letters, judge
from host_stt_common.likeness import ALIKE, normalised, similarity

HOME_LANGUAGES = ("en", "ko")
"""Used if a site did not set engine.auto_languages: the languages that this product is made for."""
LOGPROB_DOUBTED = -0.8
"""See docs/explanation/scheduling.md for what was measured."""
HOME_BONUS = 0.75
"""A language of the site wins against a detected one unless the detected one has this much more log
probability.
"""
LOOP_MALUS = 0.3
"""A loop is wrong, but the language may still be right: with a formant voice, base makes loops in every
language.
"""
BETTER_BY = 0.1
"""Another result must be better than the first one by this much, or the first one is used."""
OTHERS_MAX = 3
"""Languages that are tried besides the first one; each costs a decode."""
LATIN_WORDS_MIN = 2
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
ECHO_WORDS_MIN = 3
"""With fewer words, a repetition of the prompt is normal speech: call signs."""


def is_doubtful_guess(decoded: Decoded, rule: Rule | None) -> bool:
    """True if the language was detected, and the text has a loop or a low log probability.

    Never for a translation: it is English in any case, so its probability does not tell the languages apart.
    Base took three of four Korean clips for English by it (2026-11-30).
    """
    row = decoded.row
    if row.window.task is Task.TRANSLATE:
        return False
    if row.window.language != AUTO or row.language or not row.window.priority.is_final:
        return False
    if rule is not None:
        return rule.verdict is Verdict.RETRY
    return decoded.result.avg_logprob < LOGPROB_DOUBTED


def other_languages(decoded: Decoded, configured: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The other languages to try, the likeliest first. configured: engine.auto_languages; no others then."""
    likelihood = dict(decoded.guesses)
    ranked = sorted(known, key=lambda code: -likelihood.get(code, 0.0))
    second = next((code for code in ranked if code != decoded.language), "")
    home = configured or (*HOME_LANGUAGES, second)
    return tuple(code for code in ranked if code in home and code != decoded.language)[:OTHERS_MAX]


def best_language(tried: Sequence[Decoded], configured: Sequence[str]) -> Decoded:
    """The first result, or the best of the others if it is clearly better. A result without words never
    wins.
    """

    def score(decoded: Decoded) -> float:
        rule = judge(decoded.result)
        if rule is not None and rule.verdict is Verdict.NO_SPEECH:
            return float("-inf")
        is_home = decoded.language in (configured or HOME_LANGUAGES)
        return decoded.result.avg_logprob + is_home * HOME_BONUS - (rule is not None) * LOOP_MALUS

    best = max(tried[1:], key=score)
    return best if score(best) > score(tried[0]) + BETTER_BY else tried[0]


def is_disturbed_by_prompt(decoded: Decoded) -> bool:
    """True if a final with a prompt has no text although there is speech, only repeats the prompt, or is in
    another script than its language.
    """
    row, result = decoded.row, decoded.result
    if not row.previous or not row.window.priority.is_final or result.no_speech_prob > NO_SPEECH:
        return False
    language = row.window.text_language(decoded.language)
    if not has_letters(result.text) or is_in_wrong_script(result.text, language):
        return True
    return row.window.echo_guard and is_echo(result.text, (*row.window.terms, row.window.history))


def is_in_wrong_script(text: str, language: str) -> bool:
    """True if a Korean text has words in Latin letters and no Hangul. One word may be a name."""
    if language != "ko" or any("가" <= letter <= "힣" for letter in text):
        return False
    return len(_LATIN_WORD.findall(text)) >= LATIN_WORDS_MIN


def is_echo(text: str, prompt: Sequence[str]) -> bool:
    """True if all words of the text are in the prompt, as a sequence."""
    words, said = _keys(text), _keys(" ".join(prompt))
    n = len(words)
    return n >= ECHO_WORDS_MIN and any(said[i : i + n] == words for i in range(len(said) - n + 1))


def confirms(row: Row, decoded: Decoded) -> bool:
    """True if a decode without the prompt gives the same text as the one that looked like an echo of it."""
    if row.echo is None:
        return False
    first, second = ("".join(_keys(one.result.text)) for one in (row.echo, decoded))
    return similarity(first, second) >= ALIKE


def _keys(text: str) -> list[str]:
    return [key for key in map(normalised, text.split()) if key]
