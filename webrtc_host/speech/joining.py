"""Joining: merges the words of two overlapping windows into one list, without duplicate or missing words.

Whisper makes errors in words that a window's edge cuts. So no window is trusted near its own edge: the words
of the overlap are aligned by text and by time, and a merge point is chosen well inside the overlap. Before
the merge point the words of the earlier window are used, after it those of the later one. Pure functions;
`merge.py` decides what is committed, and passes it here as `fixed`.
Invariant: the words left[:fixed] are not changed and not returned again.
Explanation: docs/explanation/windows.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from host_stt.contract import Word
from host_stt_common.likeness import letters_and_syllables
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.spelled import signs_said
from webrtc_host.speech.words import ALIKE, keys_of, mid_sample, similarity

EDGE_SAMPLES = 400 * SAMPLES_PER_MS
"""A word this close to its window's edge may be cut: Whisper's word times are wrong by up to about 200 ms."""
APART_SAMPLES_MAX = 900 * SAMPLES_PER_MS
"""The largest distance of the same word in two windows: both times may be wrong, and one word may be cut."""
NEAR_SAMPLES = 350 * SAMPLES_PER_MS
"""Two unlike words that are closer than this may be the same word, when an edge has cut one of them."""
TOUCH_SAMPLES = 100 * SAMPLES_PER_MS
"""Words may overlap by this much and still count as one after the other."""
SPARE_PROBABILITY_MIN = 0.3
"""A word of one window only is left out below this probability: it is probably a hallucination."""
SIGN_SAMPLES = 200 * SAMPLES_PER_MS
"""A letter or figure that is said alone takes at least about so long."""
COPY_LENGTH_MIN = 0.25
"""A second copy is not shorter than this share of the first one. Words that are said take their time."""
REPEATED_WORDS_MAX = 12
"""A longer repetition has about 4 s of speech, which no window of a short sentence has."""
LETTER_SAMPLES, SYLLABLE_SAMPLES = 35 * SAMPLES_PER_MS, 80 * SAMPLES_PER_MS
"""Nobody speaks faster: 28 letters of an alphabet, or 12 characters that are a syllable, in a second."""


@dataclass(frozen=True, slots=True)
class Overlap:
    start_sample: int  # where the later window begins
    end_sample: int  # where the earlier window ends

    @property
    def middle_sample(self) -> int:
        return (self.start_sample + self.end_sample) // 2


Column = tuple[int | None, int | None]
"""One position of the alignment: index in the earlier window, index in the later one; None: not in it."""


def join(left: Sequence[Word], right: Sequence[Word], overlap: Overlap, fixed: int = 0) -> list[Word]:
    """Merge two windows; returns the words that follow left[:fixed].

    left: the words of the earlier window from shortly before the overlap; the first `fixed` of them are
    final. right: all words of the later window.
    """
    left = _without_false_repeat(left, right, overlap, fixed)
    columns, _ = align(left, right, overlap)
    after = _after_fixed(columns, fixed)
    at = _merge_point(columns[after:], left, right, overlap)
    if at is None:
        merged = _join_by_time(columns[after:], left, right, overlap)
    else:
        at += after
        merged = [left[i] for i, _ in columns[after:at] if i is not None]
        merged.append(_farther_from_edge(left, right, columns[at], overlap))
        merged += [right[j] for _, j in columns[at + 1 :] if j is not None]
    # The last fixed word takes part: an added word must not overlap it.
    before = list(left[max(0, fixed - 1) : fixed])
    return _with_missed_words([*before, *merged], columns[after:], left, right, overlap)[len(before) :]


def align(left: Sequence[Word], right: Sequence[Word], overlap: Overlap) -> tuple[list[Column], float]:
    """The best alignment in order, and its score: as many likely pairs as possible, by text and by time.

    A dynamic program over the ends of both lists (a longest common subsequence with weights). An overlap has
    few words, so the quadratic cost does not matter.
    """
    n, m = len(left), len(right)
    left_keys, right_keys = keys_of(left), keys_of(right)
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    # From the end to the start, so that `columns` can be built forwards, in the order of speech.
    pair = [[0.0] * m for _ in range(n)]
    for i in range(n - 1, -1, -1):
        for j in range(m - 1, -1, -1):
            pair[i][j] = _pair_score(left[i], right[j], similarity(left_keys[i], right_keys[j]), overlap)
            best[i][j] = max(best[i + 1][j], best[i][j + 1], pair[i][j] + best[i + 1][j + 1])
    columns: list[Column] = []
    i = j = 0
    while i < n and j < m:
        if pair[i][j] > 0 and best[i][j] == pair[i][j] + best[i + 1][j + 1]:
            columns.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            columns.append((i, None))
            i += 1
        else:
            columns.append((None, j))
            j += 1
    columns += [(k, None) for k in range(i, n)]
    columns += [(None, k) for k in range(j, m)]
    return columns, best[0][0]


def _without_false_repeat(
    left: Sequence[Word], right: Sequence[Word], overlap: Overlap, fixed: int
) -> Sequence[Word]:
    """The earlier window's words without a repeated tail, unless the later window has it twice as well.

    Whisper often repeats the last words of a window. The later window has the same speech well inside, so it
    shows how often the words were spoken.
    """
    for n in (3, 2, 1):  # the longest repetition first, so that all of it is removed
        shorter = left[: len(left) - n]
        if not _repeats_tail(left, n) or len(shorter) < fixed:
            continue
        _, once = align(shorter, right, overlap)
        _, twice = align(left, right, overlap)
        if twice - once < 1.0:  # a matching second copy adds a pair, which scores up to 2
            return shorter
    return left


def without_repeated_tail(words: Sequence[Word], end_sample: int, words_min: int = 1) -> list[Word]:
    """The words without the last ones, when these only repeat the words before them.

    Whisper can write a whole short sentence twice when little silence follows it.

    A real repetition ("mayday mayday") stays: there was time to speak it twice before `end_sample`, the end
    of speech, and the second copy begins after the first one has ended. words_min: a shorter repetition stays
    too.
    """
    for n in range(min(REPEATED_WORDS_MAX, len(words) // 2), words_min - 1, -1):
        if _repeats_tail(words, n) and not _had_time(words, n, end_sample):
            return list(words[:-n])
    return list(words)


def _had_time(words: Sequence[Word], n: int, end_sample: int) -> bool:
    # Five signs of a real repetition, and all are needed: there was time for the letters of both copies, and
    # for both at the pace of the words before; speech went on long enough after the first; the second does
    # not overlap it, and is not much shorter.
    first, second = words[-2 * n : -n], words[-n:]
    start = first[0].start_sample
    if len(words) > 2 * n:
        start = max(start, min(words[-2 * n - 1].end_sample, second[0].start_sample))
    available = max(0, min(end_sample, second[-1].end_sample) - start)
    left_over = end_sample - first[-1].end_sample
    length = first[-1].end_sample - first[0].start_sample
    pace = _pace(words[:-n])
    return (
        available >= _least_samples([*first, *second])
        and available >= 0.7 * 2 * sum(max(pace, signs_said(word.text) * SIGN_SAMPLES) for word in second)
        and left_over >= 0.4 * length
        and second[-1].end_sample - second[0].start_sample >= COPY_LENGTH_MIN * length
        and second[0].start_sample >= first[-1].end_sample - TOUCH_SAMPLES
    )


def _least_samples(words: Sequence[Word]) -> int:
    """The time that the fastest speaker needs for the letters of these words."""
    letters, syllables = letters_and_syllables(" ".join(word.text for word in words))
    return letters * LETTER_SAMPLES + syllables * SYLLABLE_SAMPLES


def _repeats_tail(words: Sequence[Word], n: int) -> bool:
    keys = keys_of(words[-2 * n :])
    return len(keys) == 2 * n and keys[:n] == keys[n:]


def _pace(words: Sequence[Word]) -> float:
    """Samples from the start of one word to the start of the next, as a median; 300 ms when unknown."""
    steps = [b.start_sample - a.start_sample for a, b in zip(words, words[1:], strict=False)]
    return median(steps) if len(steps) >= 3 else 300 * SAMPLES_PER_MS


def _pair_score(a: Word, b: Word, likeness: float, overlap: Overlap) -> float:
    at_an_end = min(abs(a.start_sample - b.start_sample), abs(a.end_sample - b.end_sample))
    apart = min(at_an_end, abs(mid_sample(a) - mid_sample(b)))
    if apart > APART_SAMPLES_MAX:
        return 0.0
    if likeness >= ALIKE:
        # Text outweighs time: times of equal words differ by the errors of both windows.
        return 2.0 * likeness - 0.8 * apart / APART_SAMPLES_MAX
    is_at_edge = _left_margin(a, overlap) < EDGE_SAMPLES or _right_margin(b, overlap) < EDGE_SAMPLES
    # An edge cuts one end of a word; the other end is at the same time in both windows.
    return 0.3 * likeness + 0.1 if is_at_edge and at_an_end <= NEAR_SAMPLES else 0.0


def _left_margin(a: Word, overlap: Overlap) -> int:
    """The distance of a word in the earlier window from that window's end."""
    return overlap.end_sample - a.end_sample


def _right_margin(b: Word, overlap: Overlap) -> int:
    """The distance of a word in the later window from that window's start."""
    return b.start_sample - overlap.start_sample


def _after_fixed(columns: Sequence[Column], fixed: int) -> int:
    """The index of the first column after the last fixed word."""
    at = 0
    for k, (i, _) in enumerate(columns):
        if i is not None and i < fixed:
            at = k + 1
    return at


def _merge_point(
    columns: Sequence[Column], left: Sequence[Word], right: Sequence[Word], overlap: Overlap
) -> int | None:
    """The best pair to change windows at: the same word in both, nearest to the middle of the overlap."""
    best: int | None = None
    best_cost = 0.0
    for k, (i, j) in enumerate(columns):
        if i is None or j is None:
            continue
        likeness = similarity(*keys_of((left[i], right[j])))
        if likeness < ALIKE:
            continue
        middle = (mid_sample(left[i]) + mid_sample(right[j])) // 2
        # The middle is farthest from both edges. A less similar pair counts as a farther one.
        cost = abs(middle - overlap.middle_sample) + (1.0 - likeness) * 4 * EDGE_SAMPLES
        if best is None or cost < best_cost:
            best, best_cost = k, cost
    return best


def _farther_from_edge(left: Sequence[Word], right: Sequence[Word], column: Column, overlap: Overlap) -> Word:
    """The word of a pair that is farther from its own window's edge."""
    i, j = column
    if i is None or j is None:
        raise ValueError("the merge point must be a pair")
    return left[i] if _left_margin(left[i], overlap) >= _right_margin(right[j], overlap) else right[j]


def _join_by_time(
    columns: Sequence[Column], left: Sequence[Word], right: Sequence[Word], overlap: Overlap
) -> list[Word]:
    """Merge without a merge point: no word of the overlap is alike in both, so change at its middle.

    A pair still gives one word. A word of one window stays when the other window has ended before it, or has
    not begun.
    """
    merged: list[Word] = []
    left_end = max((w.end_sample for w in left), default=0) - TOUCH_SAMPLES
    right_start = min((w.start_sample for w in right), default=overlap.end_sample) + TOUCH_SAMPLES
    for i, j in columns:
        if i is not None and j is not None:
            merged.append(_farther_from_edge(left, right, (i, j), overlap))
        elif i is not None:
            if mid_sample(left[i]) < overlap.middle_sample or left[i].end_sample <= right_start:
                merged.append(left[i])
        elif j is not None:
            if mid_sample(right[j]) >= overlap.middle_sample or right[j].start_sample >= left_end:
                merged.append(right[j])
    return merged


def _with_missed_words(
    merged: list[Word],
    columns: Sequence[Column],
    left: Sequence[Word],
    right: Sequence[Word],
    overlap: Overlap,
) -> list[Word]:
    """Add words that only the window not chosen has, well inside that window, where the list has a gap."""
    candidates = [left[i] for i, j in columns if i is not None and j is None and left[i] not in merged]
    candidates = [w for w in candidates if _left_margin(w, overlap) >= EDGE_SAMPLES]
    only_right = [right[j] for i, j in columns if i is None and j is not None and right[j] not in merged]
    candidates += [w for w in only_right if _right_margin(w, overlap) >= EDGE_SAMPLES]
    for word in sorted(candidates, key=lambda w: w.start_sample):
        if word.probability >= SPARE_PROBABILITY_MIN:
            merged = _with_word(merged, word)
    return merged


def _with_word(merged: list[Word], word: Word) -> list[Word]:
    """The list with `word` in it, when there is a gap for it and the word is not there already."""
    at = sum(1 for w in merged if mid_sample(w) <= mid_sample(word))
    if at == 0 or at == len(merged):
        return merged  # beyond the first and last word it was left out on purpose
    available = merged[at].start_sample - merged[at - 1].end_sample
    (key,) = keys_of((word,))
    # The word may be in the list at another time, so its neighbours are compared too.
    is_known = any(similarity(key, k) >= ALIKE for k in keys_of(merged[max(0, at - 4) : at + 4]))
    spoken = max(word.end_sample - word.start_sample, 150 * SAMPLES_PER_MS)
    if is_known or available < 0.6 * spoken:
        return merged
    return [*merged[:at], word, *merged[at:]]
