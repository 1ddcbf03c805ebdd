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
"""Words closer than this to the end of the older interim wait: what follows can still change them."""
APART_SAMPLES_MAX = 500 * SAMPLES_PER_MS
"""The same word in two interims starts at most this far apart: both times may be off by 0.2 s."""
SETTLED_SAMPLES = 1000 * SAMPLES_PER_MS
"""A difference so long before the end of the safe part: the newer interim stands, if they agree again."""
ALIKE_WORDS_MIN = 3
"""So many same words in a row behind a difference mean that both interims agree again."""
LENGTH_SAMPLES_MIN = 1500 * SAMPLES_PER_MS
"""Shorter agreed text behind the last sentence waits for more: a line of two words is hard to read."""
LOGPROB_MIN = -0.8
"""An interim that is less sure of itself agrees with nothing."""


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
        # The rest of a word that the window's start cuts stays out of it, and so agrees with nothing.
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
    """How many first `words` stand.

    settled_to: a difference whose words end before this sample may be passed over.
    """
    count = 0
    matcher = SequenceMatcher(None, keys_of(before), keys_of(words), autojunk=False)
    matched = 0  # words of `before` that have a partner, or were passed over
    for block in matcher.get_matching_blocks():
        if not block.size or _are_apart(before[block.a], words[block.b]):
            break
        is_different = block.a > matched or block.b > count
        is_settled = block.size >= ALIKE_WORDS_MIN and words[block.b].start_sample <= settled_to
        # At the very start stands, now and then, the rest of a word that the window cuts.
        if is_different and not (count and is_settled):
            break
        matched, count = block.a + block.size, block.b + block.size
    return count


def _has_figure(word: Word) -> bool:
    """Whether more figures may become a part of the word ("4", "4-8"): it is never the last one committed."""
    return any(map(str.isdigit, word.text))


def _are_apart(one: Word, other: Word) -> bool:
    return abs(one.start_sample - other.start_sample) > APART_SAMPLES_MAX


def _readable(words: list[Word]) -> list[Word]:
    """The words up to the last end of a sentence, and what follows it if that is long enough for a line."""
    rest_from = max((n for n, word in enumerate(words, 1) if ends_sentence(word)), default=0)
    rest = words[rest_from:]
    is_line = bool(rest) and rest[-1].end_sample - rest[0].start_sample >= LENGTH_SAMPLES_MIN
    return words if is_line else words[:rest_from]
