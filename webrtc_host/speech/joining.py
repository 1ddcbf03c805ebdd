"""Joining: the words of two overlapping windows become one row of words, none twice and none lost.

Pure functions. Whisper misreads what a window's edge cuts, so neither window is trusted near its own edge:
the words of the overlap are aligned by text and by time, and one joint is chosen well inside it. Left of the
joint the earlier window is right, right of it the later one. Knows nothing of commit points; `fixed` only
says what cannot change any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from host_stt.contract import Word
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.words import ALIKE, keys_of, mid_sample, similarity

EDGE_SAMPLES = 400 * SAMPLES_PER_MS
"""A word this close to its window's edge may be cut: Whisper's word times are off by up to about 200 ms."""
APART_SAMPLES_MAX = 900 * SAMPLES_PER_MS
"""Readings of one word in two windows are never further apart than this: both times off, one of them cut."""
NEAR_SAMPLES = 350 * SAMPLES_PER_MS
"""Readings that look unlike may still be one word when they lie so close together and an edge cut one of
them."""
TOUCH_SAMPLES = 100 * SAMPLES_PER_MS
"""Words may overlap by this much and still follow each other."""
SPARE_PROBABILITY_MIN = 0.3
"""Below this a word that only one window heard is taken for an invention."""


@dataclass(frozen=True, slots=True)
class Overlap:
    start_sample: int  # where the later window begins
    end_sample: int  # where the earlier window ends

    @property
    def middle_sample(self) -> int:
        return (self.start_sample + self.end_sample) // 2


Column = tuple[int | None, int | None]
"""One place in the row: index in the earlier window, index in the later one, None where it heard nothing."""


def join(left: Sequence[Word], right: Sequence[Word], overlap: Overlap, fixed: int = 0) -> list[Word]:
    """The words that follow left[:fixed].

    left: the earlier window's words from a little before the overlap on, the first `fixed` of them already
    final. right: all words of the later window.
    """
    left = _without_heard_once(left, right, overlap, fixed)
    columns, _ = align(left, right, overlap)
    after = _after_fixed(columns, fixed)
    at = _joint(columns[after:], left, right, overlap)
    if at is None:
        row = _join_by_time(columns[after:], left, right, overlap)
    else:
        at += after
        row = [left[i] for i, _ in columns[after:at] if i is not None]
        row.append(_better(left, right, columns[at], overlap))
        row += [right[j] for _, j in columns[at + 1 :] if j is not None]
    said = list(left[max(0, fixed - 1) : fixed])  # what a word at the row's head must not run into
    return _with_holes_filled([*said, *row], columns[after:], left, right, overlap)[len(said) :]


def align(left: Sequence[Word], right: Sequence[Word], overlap: Overlap) -> tuple[list[Column], float]:
    """The best pairing in order, and its score: as many likely pairs as there are, by likeness and by
    time."""
    n, m = len(left), len(right)
    left_keys, right_keys = keys_of(left), keys_of(right)
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
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


def _without_heard_once(
    left: Sequence[Word], right: Sequence[Word], overlap: Overlap, fixed: int
) -> Sequence[Word]:
    """The earlier window's words without a repeated tail, unless the later window heard it twice as well."""
    for n in (3, 2, 1):
        shorter = left[: len(left) - n]
        if not _repeats_tail(left, n) or len(shorter) < fixed:
            continue
        _, once = align(shorter, right, overlap)
        _, twice = align(left, right, overlap)
        if twice - once < 1.0:  # a second pair would be worth up to 2
            return shorter
    return left


def without_repeated_tail(words: Sequence[Word], end_sample: int) -> list[Word]:
    """Without the one to three last words when they only repeat those before them.

    Whisper likes to say the end of a window twice. "Mayday mayday" stays: there was time to speak both before
    end_sample, the end of speech, and the second does not begin before the first is over.
    """
    for n in (3, 2, 1):
        if _repeats_tail(words, n) and not _had_time(words, n, end_sample):
            return list(words[:-n])
    return list(words)


def _had_time(words: Sequence[Word], n: int, end_sample: int) -> bool:
    first, second = words[-2 * n : -n], words[-n:]
    start = first[0].start_sample
    if len(words) > 2 * n:
        start = max(start, min(words[-2 * n - 1].end_sample, second[0].start_sample))
    room = max(0, min(end_sample, second[-1].end_sample) - start)
    left_over = end_sample - first[-1].end_sample
    return (
        room >= 0.7 * _pace(words[:-n]) * 2 * n
        and left_over >= 0.4 * (first[-1].end_sample - first[0].start_sample)
        and second[0].start_sample >= first[-1].end_sample - TOUCH_SAMPLES
    )


def _repeats_tail(words: Sequence[Word], n: int) -> bool:
    keys = keys_of(words[-2 * n :])
    return len(keys) == 2 * n and keys[:n] == keys[n:]


def _pace(words: Sequence[Word]) -> float:
    """Samples from the start of one word to that of the next."""
    steps = [b.start_sample - a.start_sample for a, b in zip(words, words[1:], strict=False)]
    return median(steps) if len(steps) >= 3 else 300 * SAMPLES_PER_MS


def _pair_score(a: Word, b: Word, likeness: float, overlap: Overlap) -> float:
    apart = min(
        abs(a.start_sample - b.start_sample),
        abs(a.end_sample - b.end_sample),
        abs(mid_sample(a) - mid_sample(b)),
    )
    if apart > APART_SAMPLES_MAX:
        return 0.0
    if likeness >= ALIKE:
        return 2.0 * likeness - 0.8 * apart / APART_SAMPLES_MAX
    is_at_edge = _left_margin(a, overlap) < EDGE_SAMPLES or _right_margin(b, overlap) < EDGE_SAMPLES
    return 0.3 * likeness + 0.1 if is_at_edge and apart <= NEAR_SAMPLES else 0.0


def _left_margin(a: Word, overlap: Overlap) -> int:
    """How far a word of the earlier window is from that window's end."""
    return overlap.end_sample - a.end_sample


def _right_margin(b: Word, overlap: Overlap) -> int:
    return b.start_sample - overlap.start_sample


def _after_fixed(columns: Sequence[Column], fixed: int) -> int:
    """Where the columns behind the last fixed word begin."""
    at = 0
    for k, (i, _) in enumerate(columns):
        if i is not None and i < fixed:
            at = k + 1
    return at


def _joint(
    columns: Sequence[Column], left: Sequence[Word], right: Sequence[Word], overlap: Overlap
) -> int | None:
    """The pair best fit to change sides at: read alike by both, nearest the middle."""
    best: int | None = None
    best_cost = 0.0
    for k, (i, j) in enumerate(columns):
        if i is None or j is None:
            continue
        likeness = similarity(*keys_of((left[i], right[j])))
        if likeness < ALIKE:
            continue
        middle = (mid_sample(left[i]) + mid_sample(right[j])) // 2
        cost = abs(middle - overlap.middle_sample) + (1.0 - likeness) * 4 * EDGE_SAMPLES
        if best is None or cost < best_cost:
            best, best_cost = k, cost
    return best


def _better(left: Sequence[Word], right: Sequence[Word], column: Column, overlap: Overlap) -> Word:
    """The reading further from its own window's edge."""
    i, j = column
    if i is None or j is None:
        raise ValueError("a joint is a pair")
    return left[i] if _left_margin(left[i], overlap) >= _right_margin(right[j], overlap) else right[j]


def _join_by_time(
    columns: Sequence[Column], left: Sequence[Word], right: Sequence[Word], overlap: Overlap
) -> list[Word]:
    """No word of the overlap reads alike in both: change sides in its middle. A pair still gives one word,
    and what one side heard where the other has ended, or not begun, stays.
    """
    row: list[Word] = []
    left_end = max((w.end_sample for w in left), default=0) - TOUCH_SAMPLES
    right_start = min((w.start_sample for w in right), default=overlap.end_sample) + TOUCH_SAMPLES
    for i, j in columns:
        if i is not None and j is not None:
            row.append(_better(left, right, (i, j), overlap))
        elif i is not None:
            if mid_sample(left[i]) < overlap.middle_sample or left[i].end_sample <= right_start:
                row.append(left[i])
        elif j is not None:
            if mid_sample(right[j]) >= overlap.middle_sample or right[j].start_sample >= left_end:
                row.append(right[j])
    return row


def _with_holes_filled(
    row: list[Word],
    columns: Sequence[Column],
    left: Sequence[Word],
    right: Sequence[Word],
    overlap: Overlap,
) -> list[Word]:
    """Words that only the side not chosen heard, well inside its window, where the row has nothing."""
    spare = [left[i] for i, j in columns if i is not None and j is None and left[i] not in row]
    spare = [w for w in spare if _left_margin(w, overlap) >= EDGE_SAMPLES]
    missed = [right[j] for i, j in columns if i is None and j is not None and right[j] not in row]
    spare += [w for w in missed if _right_margin(w, overlap) >= EDGE_SAMPLES]
    for word in sorted(spare, key=lambda w: w.start_sample):
        if word.probability >= SPARE_PROBABILITY_MIN:
            row = _fitted(row, word)
    return row


def _fitted(row: list[Word], word: Word) -> list[Word]:
    at = sum(1 for w in row if mid_sample(w) <= mid_sample(word))
    if at == 0 or at == len(row):
        return row  # beyond the row's ends it was left out on purpose
    room = row[at].start_sample - row[at - 1].end_sample
    (key,) = keys_of((word,))
    is_known = any(similarity(key, k) >= ALIKE for k in keys_of(row[max(0, at - 4) : at + 4]))
    spoken = max(word.end_sample - word.start_sample, 150 * SAMPLES_PER_MS)
    if is_known or room < 0.6 * spoken:
        return row
    return [*row[:at], word, *row[at:]]
