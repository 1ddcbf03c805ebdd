"""Agreement: words of unbroken speech that two successive interims transcribe alike become final early.

Without this, words inside long speech wait for a final window of up to 10 s. Pure. `merge.py` commits what
this module returns. Invariant: the words returned are the first words of the newer interim.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from host_stt.contract import Transcript, Word
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.segments import ends_sentence
from webrtc_host.speech.words import keys_of, mid_sample

EDGE_SAMPLES = 1000 * SAMPLES_PER_MS
"""Words closer than this to the end of the shorter interim wait: the audio after it can still change them."""
APART_SAMPLES_MAX = 500 * SAMPLES_PER_MS
"""The same word in two interims starts at most this far apart: both times may be off by 0.2 s."""
SETTLED_SAMPLES = 1000 * SAMPLES_PER_MS
"""A difference this long before the newest safe word does not stop the agreement, if the interims agree again
after it. The words of the newer interim are then used.
"""
ALIKE_WORDS_MIN = 3
"""This many equal words in a row after a difference mean that both interims agree again."""
LENGTH_SAMPLES_MIN = 1500 * SAMPLES_PER_MS
"""Agreed text after the last sentence waits until it is this long: a line of two words is hard to read."""
LOGPROB_MIN = -0.8
"""An interim with a lower mean log probability is not compared: its words are too uncertain."""


class Agreement:
    """The last interim of one utterance, and what the next one agrees with."""

    def __init__(self) -> None:
        self._words: Sequence[Word] = ()
        self._end_sample = 0

    def feed(
        self, transcript: Transcript, words: Sequence[Word], end_sample: int, committed_to: int
    ) -> list[Word]:
        """The first of `words` that may become final now.

        words: those of the interim after the commit point. end_sample: where its window ends. committed_to:
        the commit point; 0 where no word is committed yet.
        """
        if not has_times(transcript) or transcript.avg_logprob < LOGPROB_MIN:
            self._words = ()
            return []
        # A word whose middle lies before the commit point is committed: it has no partner in `words`.
        before = [word for word in self._words if mid_sample(word) >= committed_to]
        safe_to = min(self._end_sample, end_sample) - EDGE_SAMPLES
        self._end_sample = end_sample
        agreed = list(words[: _agreed(before, words, safe_to - SETTLED_SAMPLES)])
        while agreed and (agreed[-1].end_sample > safe_to or _has_figure(agreed[-1])):
            agreed.pop()
        agreed = _readable(agreed)
        self._words = words[len(agreed) :]
        return agreed


def has_times(transcript: Transcript) -> bool:
    """Whether the engine gave each word its time; for short interims it does not."""
    return bool(transcript.segments) and all(segment.words for segment in transcript.segments)


def _agreed(before: Sequence[Word], words: Sequence[Word], settled_to: int) -> int:
    """How many of the first `words` both interims have.

    settled_to: a difference is skipped when the equal words after it start at or before this sample.
    """
    count = 0
    matcher = SequenceMatcher(None, keys_of(before), keys_of(words), autojunk=False)
    matched = 0  # words of `before` that have a partner, or were skipped
    for block in matcher.get_matching_blocks():
        if not block.size or _are_apart(before[block.a], words[block.b]):
            break
        is_different = block.a > matched or block.b > count
        is_settled = block.size >= ALIKE_WORDS_MIN and words[block.b].start_sample <= settled_to
        # A difference before the first equal word is never skipped (`count` is 0): the first word can be the
        # rest of a word that the start of the window cuts.
        if is_different and not (count and is_settled):
            break
        matched, count = block.a + block.size, block.b + block.size
    return count


def _has_figure(word: Word) -> bool:
    """Whether the word has a digit. Such a word is never committed last: more may follow ("4", "4-8")."""
    return any(map(str.isdigit, word.text))


def _are_apart(one: Word, other: Word) -> bool:
    return abs(one.start_sample - other.start_sample) > APART_SAMPLES_MAX


def _readable(words: list[Word]) -> list[Word]:
    """The words up to the last end of a sentence, and what follows it if that is long enough for a line."""
    rest_from = max((n for n, word in enumerate(words, 1) if ends_sentence(word)), default=0)
    rest = words[rest_from:]
    is_line = bool(rest) and rest[-1].end_sample - rest[0].start_sample >= LENGTH_SAMPLES_MIN
    return words if is_line else words[:rest_from]
