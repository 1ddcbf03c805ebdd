"""Languages that were only guessed, and prompts that spoil a text: when a reading is tried another way.

Pure: readings in, what to try next out. Whisper names a language for anything it hears; noise, short calls
and strange voices become a third language with a high probability, and the text reads as if it were one. So
a doubtful reading in a guessed language is compared with readings in the languages of the site.
"""

from __future__ import annotations

from collections.abc import Sequence

from host_stt.contract import AUTO
from host_stt.engines.rows import Decoded, Row
from host_stt.guards import NO_SPEECH, Rule, Verdict, has_letters, judge
from host_stt_common.likeness import ALIKE, normalised, similarity

HOME_LANGUAGES = ("en", "ko")
"""Of a site that did not name its own (engine.auto_languages): the languages this product was made for."""
LOGPROB_DOUBTED = -0.8
"""See docs/explanation/scheduling.md for what was measured."""
HOME_BONUS = 0.75
"""A site's own language wins over a guessed one that is this much surer of itself."""
LOOP_MALUS = 0.3
"""A loop is wrong, but may be so in the right language: a formant voice makes base loop in every one."""
BETTER_BY = 0.1
"""So much surer a reading must be than the first one, or the first one stays."""
OTHERS_MAX = 3
"""Languages tried besides the first; each costs a decode."""
ECHO_WORDS_MIN = 3
"""Fewer words of the prompt are said again in earnest: call signs."""


def is_doubtful_guess(decoded: Decoded, rule: Rule | None) -> bool:
    """The language was guessed, and the reading loops or is unsure of itself."""
    row = decoded.row
    if row.window.language != AUTO or row.language or not row.window.priority.is_final:
        return False
    if rule is not None:
        return rule.verdict is Verdict.RETRY
    return decoded.reading.avg_logprob < LOGPROB_DOUBTED


def other_languages(decoded: Decoded, configured: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The languages to try besides, likeliest first. configured: engine.auto_languages; never others then."""
    likelihood = dict(decoded.guesses)
    ranked = sorted(known, key=lambda code: -likelihood.get(code, 0.0))
    second = next((code for code in ranked if code != decoded.language), "")
    home = configured or (*HOME_LANGUAGES, second)
    return tuple(code for code in ranked if code in home and code != decoded.language)[:OTHERS_MAX]


def best_language(tried: Sequence[Decoded], configured: Sequence[str]) -> Decoded:
    """The first, or the surest of the others when it is clearly surer. A reading without words never wins."""

    def score(decoded: Decoded) -> float:
        rule = judge(decoded.reading)
        if rule is not None and rule.verdict is Verdict.NO_SPEECH:
            return float("-inf")
        is_home = decoded.language in (configured or HOME_LANGUAGES)
        return decoded.reading.avg_logprob + is_home * HOME_BONUS - (rule is not None) * LOOP_MALUS

    best = max(tried[1:], key=score)
    return best if score(best) > score(tried[0]) + BETTER_BY else tried[0]


def is_spoilt_by_prompt(decoded: Decoded) -> bool:
    """A final with a prompt says nothing, though the model hears speech, or only what the prompt says."""
    row, reading = decoded.row, decoded.reading
    if not row.previous or not row.window.priority.is_final or reading.no_speech_prob > NO_SPEECH:
        return False
    return not has_letters(reading.text) or is_echo(reading.text, (*row.window.terms, row.window.history))


def is_echo(text: str, prompt: Sequence[str]) -> bool:
    """All words of the text stand in the prompt, in a row."""
    words, said = _keys(text), _keys(" ".join(prompt))
    n = len(words)
    return n >= ECHO_WORDS_MIN and any(said[i : i + n] == words for i in range(len(said) - n + 1))


def confirms(row: Row, decoded: Decoded) -> bool:
    """A reading without the prompt says the same as the one that looked like an echo of it."""
    if row.echo is None:
        return False
    first, second = ("".join(_keys(one.reading.text)) for one in (row.echo, decoded))
    return similarity(first, second) >= ALIKE


def _keys(text: str) -> list[str]:
    return [key for key in map(normalised, text.split()) if key]
