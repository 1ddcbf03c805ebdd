"""Agreement: words of unbroken speech become final early, by two successive interims.

Words become final when both interims have them alike, or when they are old: then the likelier reading of the
two is used. Without this, words inside long speech wait for a final window of up to 10 s. Pure. `merge.py`
commits what this module returns. Invariant: the words returned stand for the first words of the newer
interim.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from host_stt.contract import Transcript, Word
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.segments import ends_sentence
from webrtc_host.speech.words import is_behind, keys_of, mid_sample

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
PROBABILITY_MIN = 0.6
"""A word with a lower probability waits until it is old, even if both interims have it: both may be wrong."""
OLD_SAMPLES = 2800 * SAMPLES_PER_MS
"""A word this long before the end of an interim waits no longer. With interims every 0.7 s of speech, it is
final 3.5 s after it was said, and a little later where speech pauses.
"""
SAME_END_SAMPLES = 80 * SAMPLES_PER_MS
"""Both interims end a word at the same place when the two times differ by no more than this."""
READINGS_MAX = 5
"""Of so many interims, the newest included, the likeliest reading of old words is used."""
BEGINS_SAMPLES = 400 * SAMPLES_PER_MS
"""A first word that begins this much before the commit point contains a part of the last final word.
(Interims begin 0.2 s before it, and the alignment stretches the first word to there.)
"""
HOLE_SAMPLES = 2000 * SAMPLES_PER_MS
SIGN_SAMPLES = 250 * SAMPLES_PER_MS
FIGURE_SAMPLES = 550 * SAMPLES_PER_MS
"""A word takes at most 2 s, with the pause before it, and 0.25 s for each letter or 0.55 s for each figure.
If the word before ends earlier, the interim has left out speech.
"""


@dataclass(frozen=True, slots=True)
class Agreed:
    """Words that may become final now."""

    words: tuple[Word, ...] = ()
    count: int = 0  # of the first words of the newer interim, for which they stand
    is_disputed: bool = False  # the interims differ on some of them


class Agreement:
    """The last interims of one utterance, and what the next one agrees with."""

    def __init__(self) -> None:
        self._readings: deque[Sequence[Word]] = deque(maxlen=READINGS_MAX)
        self._words: Sequence[Word] = ()  # of the last interim, behind the commit point
        self._end_sample = 0

    def feed(
        self, transcript: Transcript, words: Sequence[Word], end_sample: int, committed_to: int
    ) -> Agreed:
        """What may become final now.

        words: those of the interim after the last committed word. end_sample: where its window ends.
        committed_to: where the last committed word ends; 0 where no word is committed yet.
        """
        if not words or not has_times(transcript) or transcript.avg_logprob < LOGPROB_MIN:
            self._words = ()
            return Agreed()
        if not is_behind(words[0], committed_to) or words[0].start_sample < committed_to - BEGINS_SAMPLES:
            return Agreed()  # the first word may be said already, or a part of it
        # A word that ends before the commit point is committed: it has no partner in `words`.
        before = [word for word in self._words if is_behind(word, committed_to)]
        safe_to = min(self._end_sample, end_sample) - EDGE_SAMPLES
        old_to = end_sample - OLD_SAMPLES
        self._end_sample = end_sample
        alike = _safe(words[: _agreed(before, words, safe_to - SETTLED_SAMPLES)], safe_to)
        count = _readable(words[: max(alike, _old(before, words, old_to))], old_to)
        self._words = words[count:]
        self._readings.append(words)
        if count <= alike:
            return Agreed(tuple(words[:count]), count)
        # An older reading may have a word before the first one here that has become final since.
        start = words[alike - 1].end_sample if alike else max(committed_to, words[0].start_sample)
        chosen = _likelier(list(self._readings)[:-1], words[alike:count], start)
        return Agreed((*words[:alike], *chosen), count, is_disputed=True)


def before_hole(words: Sequence[Word], committed_to: int) -> Sequence[Word]:
    """The words up to the first place where the interim has left out speech.

    The alignment stretches a word over speech before it that has no words. committed_to: where the last
    committed word ends; 0 where no word is committed yet.
    """
    end_before = committed_to
    for n, word in enumerate(words):
        figures = sum(map(str.isdigit, word.text))
        longest = HOLE_SAMPLES + figures * FIGURE_SAMPLES + (len(word.text) - figures) * SIGN_SAMPLES
        if end_before and word.end_sample - end_before > longest:
            return words[:n]
        end_before = word.end_sample
    return words


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


def _safe(words: Sequence[Word], safe_to: int) -> int:
    """How many of the first `words`, which both interims have, may become final.

    safe_to: what comes later in the audio can still change words that end behind this sample.
    """
    unsure = (n for n, w in enumerate(words) if w.end_sample > safe_to or w.probability < PROBABILITY_MIN)
    count = next(unsure, len(words))
    while not _is_whole(words, count):
        count -= 1
    return count


def _is_whole(words: Sequence[Word], count: int) -> bool:
    """Whether the first words end in no number that may go on ("4", "4-8").

    It does not go on where a word without a figure follows.
    """
    if not count or not _has_figure(words[count - 1]):
        return True
    return count < len(words) and not _has_figure(words[count])


def _old(before: Sequence[Word], words: Sequence[Word], old_to: int) -> int:
    """How many of the first `words` end before `old_to`, up to the last place where both interims end a word.

    Elsewhere a cut could go through a word of the other interim, and a part of it would be written twice.
    """
    old = [n for n, word in enumerate(words, 1) if word.end_sample <= old_to and _is_whole(words, n)]
    return max((n for n in old if _partner(words[n - 1], words, before) is not None), default=0)


def _partner(word: Word, words: Sequence[Word], before: Sequence[Word]) -> Word | None:
    """The word of the older interim that ends where this one does; None: there is none."""
    other = min(before, key=lambda one: abs(one.end_sample - word.end_sample), default=None)
    if other is None or abs(other.end_sample - word.end_sample) > SAME_END_SAMPLES:
        return None
    closest = min(words, key=lambda one: abs(one.end_sample - other.end_sample))
    return other if closest is word else None


def _likelier(readings: Sequence[Sequence[Word]], words: Sequence[Word], start: int) -> list[Word]:
    """The words, with an earlier reading where that is likelier: from one place to the next at which the last
    of the readings ends a word too.

    start: words of the readings before this sample are left out.
    """
    chosen: list[Word] = []
    piece: list[Word] = []
    for word in words:
        piece.append(word)
        if _partner(word, words, readings[-1]) is None:
            continue
        found = [piece, *(_between(reading, start, word, words) for reading in readings)]
        likeliest = max((one for one in found if one), key=_probability)
        chosen += likeliest
        start, piece = word.end_sample, []
    return [*chosen, *piece]


def _between(reading: Sequence[Word], start: int, last: Word, words: Sequence[Word]) -> list[Word]:
    """The words of a reading from `start` to where `last` ends; none if it ends no word there."""
    end = _partner(last, words, reading)
    if end is None:
        return []
    return [one for one in reading if mid_sample(one) > start and one.end_sample <= end.end_sample]


def _probability(words: Sequence[Word]) -> float:
    return sum(word.probability for word in words) / len(words)


def _has_figure(word: Word) -> bool:
    """Whether the word has a digit."""
    return any(map(str.isdigit, word.text))


def _are_apart(one: Word, other: Word) -> bool:
    return abs(one.start_sample - other.start_sample) > APART_SAMPLES_MAX


def _readable(words: Sequence[Word], old_to: int) -> int:
    """How many of the first words are good lines: up to the last end of a sentence, and what follows it if
    that is long enough for a line, or has waited until its first word is old.
    """
    rest_from = max((n for n, word in enumerate(words, 1) if ends_sentence(word)), default=0)
    rest = words[rest_from:]
    if not rest:
        return rest_from
    is_line = rest[-1].end_sample - rest[0].start_sample >= LENGTH_SAMPLES_MIN
    return len(words) if is_line or rest[0].end_sample <= old_to else rest_from
