"""Mending: finals that leave speech without words have it read once more before they are answered.

Owns the way between a caller and the pool: which holes are read again, and how the readings become one
answer. Where holes lie and how they are filled is `holes`. Serves live finals, pushed pieces and files alike,
because all of them come through `EngineService.submit`. Invariants: each window gets exactly one answer, as
from the pool; a hole is read again once; speech that has no words then stands in the answer's `unread`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from host_stt.contract import (
    SAMPLE_RATE,
    Answer,
    EndReason,
    Float32Array,
    Priority,
    Transcript,
    Unread,
    UnreadReason,
    Window,
    Word,
)
from host_stt.engines.rows import segments_of
from host_stt.guards import NO_SPEECH
from host_stt.holes import SPEECH_SAMPLES_MIN, Hole, Range, fill, find_holes, parts, voiced_ranges

logger = logging.getLogger(__name__)

PART_SAMPLES = 8 * SAMPLE_RATE
"""What is left of a hole after a second reading is read in parts of up to this, cut at pauses."""
NEW_SAMPLES_MIN = SAMPLE_RATE
"""A part must be this much shorter than what was read before, or it would only be read the same."""
LOGPROB_MIN = -1.0
"""OpenAI's threshold: a second reading that is less sure of itself adds no words."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be read again of one window."""

    rounds: int  # in each after the first, what is left of a hole is read, in shorter parts
    readings: int  # each costs a decode; the longest holes go first
    samples: int


LIVE = Limits(rounds=1, readings=2, samples=15 * SAMPLE_RATE)
LONG = Limits(rounds=3, readings=6, samples=45 * SAMPLE_RATE)
"""For pieces of recordings: nobody waits for their text within a second."""
LIVE_SAMPLES_MAX = 15 * SAMPLE_RATE
"""A longer final is no live one (10 s at most where nobody set more): it is a pushed piece."""

Deliver = Callable[[Answer], None]
Submit = Callable[[Window, str, Deliver], None]


class VoiceDetector(Protocol):
    """Hears where there is speech."""

    @property
    def frame_samples(self) -> int: ...

    def probabilities(self, samples: Float32Array) -> Float32Array:
        """(k,) in [0, 1], one for each `frame_samples` of samples (n,); k = ceil(n / frame_samples)."""


class HoleCounts(Protocol):
    """Who counts. Called from pool threads."""

    def hole(self, outcome: str, speech_s: float) -> None:
        """outcome: `filled`, `silent` (a decoded silence), or why the hole is unread."""


@dataclass(frozen=True, slots=True)
class Read:
    """A stretch that was read again, and what came of it."""

    part: Range
    answer: Answer


@dataclass(slots=True)
class _Case:
    """One window whose holes are being read again. Locked: answers come from several threads."""

    window: Window
    source: str
    deliver: Deliver
    first: Transcript
    voiced: list[Range]
    words: list[Word]  # so far
    holes: list[Hole]  # of these words
    found: list[Range]  # the holes of the first reading
    limits: Limits
    rounds: int = 0
    samples: int = 0  # read again
    answers: dict[tuple[int, Range], Answer | None] = field(default_factory=dict)
    """Of this round: by index of the hole and by the part of it that is read."""
    read: list[Read] = field(default_factory=list)  # of all rounds
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fill(self) -> None:
        """Take in the answers of a round."""
        heard: dict[int, list[Word]] = {}
        for (index, part), answer in sorted(self.answers.items(), key=lambda item: item[0]):
            if answer is not None:
                heard.setdefault(index, []).extend(believed_words(answer))
                self.read.append(Read(part, answer))
        words = self.words
        for index in sorted(heard, reverse=True):  # from behind: filling moves what follows
            words = fill(words, self.holes[index], heard[index])
        self.words = words
        self.holes = self.find_holes()

    def find_holes(self) -> list[Hole]:
        start = self.window.start_sample
        return find_holes(self.words, self.voiced, (start, start + len(self.window.samples)))


class Mender:
    """submit: the pool's. Its own `submit` takes windows of every kind; only finals are mended."""

    def __init__(self, submit: Submit, detector: VoiceDetector, counts: HoleCounts) -> None:
        self._submit = submit
        self._detector = detector
        self._counts = counts

    def submit(self, window: Window, source: str, deliver: Deliver) -> None:
        """Have a window decoded; `deliver` is called once, from any thread."""
        if not window.priority.is_final:
            self._submit(window, source, deliver)
        else:
            self._submit(window, source, partial(self._first, window, source, deliver))

    def _first(self, window: Window, source: str, deliver: Deliver, answer: Answer) -> None:
        case = None
        if isinstance(answer, Transcript) and may_have_holes(window, answer):
            case = self._case(window, source, deliver, answer)
        if case is None:
            deliver(answer)
        elif not self._next_round(case):
            self._finish(case)

    def _case(self, window: Window, source: str, deliver: Deliver, first: Transcript) -> _Case | None:
        """None when no speech is without words."""
        try:
            probabilities = self._detector.probabilities(window.as_float32())
        except Exception:  # a library of others; its failure must not cost the text
            logger.exception("window %s: the voice detector failed", window.id)
            return None
        voiced = voiced_ranges(probabilities, self._detector.frame_samples, window.start_sample)
        is_live = window.priority is Priority.FINAL and len(window.samples) <= LIVE_SAMPLES_MAX
        limits = LIVE if is_live else LONG
        case = _Case(window, source, deliver, first, voiced, list(first.words), [], [], limits)
        case.holes = case.find_holes()
        case.found = [(hole.start_sample, hole.end_sample) for hole in case.holes]
        return case if case.holes else None

    def _next_round(self, case: _Case) -> bool:
        """Have the holes read that may be; False when there is none."""
        chosen = _chosen(case) if case.rounds < case.limits.rounds else []
        case.rounds += 1
        case.answers = dict.fromkeys(chosen)
        case.samples += sum(end - start for _, (start, end) in chosen)
        for index, part in chosen:
            window = _second_window(case, part)
            self._submit(window, case.source, partial(self._second, case, (index, part)))
        return bool(chosen)

    def _second(self, case: _Case, which: tuple[int, Range], answer: Answer) -> None:
        with case.lock:
            case.answers[which] = answer
            if None in case.answers.values():
                return
        try:
            case.fill()
        except Exception:  # a mistake of ours here must not cost the text of the first reading
            logger.exception("window %s: its holes could not be filled", case.window.id)
            case.rounds = case.limits.rounds
        if not self._next_round(case):
            self._finish(case)

    def _finish(self, case: _Case) -> None:
        unread = unread_of(case.holes, case.read)
        for found in case.found:
            left = [u.reason.value for u in unread if _touch((u.start_sample, u.end_sample), found)]
            is_silent = any(map(is_silence, _readings_of(found, case.read)))
            outcome = left[0] if left else "silent" if is_silent else "filled"
            self._counts.hole(outcome, _length(found) / SAMPLE_RATE)
        case.deliver(mended(case.first, case.words, case.read, unread))


def may_have_holes(window: Window, first: Transcript) -> bool:
    """Cheap, before the detector is asked."""
    if not first.words:
        # Nothing was said, and the model is sure; or it gave no times, and nothing can be told.
        return not first.segments and first.no_speech_prob <= NO_SPEECH
    covered = sum(word.end_sample - word.start_sample for word in first.words)
    return len(window.samples) - covered >= SPEECH_SAMPLES_MIN or any(map(_is_long, first.words))


def believed_words(answer: Answer) -> tuple[Word, ...]:
    """What a second reading may add."""
    if not isinstance(answer, Transcript) or answer.end_reason is not EndReason.COMPLETE:
        return ()
    return answer.words if answer.avg_logprob >= LOGPROB_MIN else ()


def is_silence(answer: Answer) -> bool:
    """The model read it, wrote nothing and says that nobody speaks."""
    return isinstance(answer, Transcript) and not answer.words and answer.no_speech_prob > NO_SPEECH


def unread_of(left: Sequence[Hole], read: Sequence[Read]) -> tuple[Unread, ...]:
    """left: the holes of all words; read: what was read again."""
    unread = []
    for hole in left:
        answers = _readings_of((hole.start_sample, hole.end_sample), read)
        if any(map(is_silence, answers)):
            continue
        was_read = bool(answers) and all(isinstance(answer, Transcript) for answer in answers)
        reason = UnreadReason.NO_WORDS if was_read else UnreadReason.NOT_READ_AGAIN
        unread.append(Unread(hole.start_sample, hole.end_sample, reason))
    return tuple(unread)


def mended(
    first: Transcript, words: Sequence[Word], read: Sequence[Read], unread: tuple[Unread, ...]
) -> Transcript:
    """The first reading with `words` in place of its own; where it had none, the second one's language."""
    if tuple(words) == first.words:
        return replace(first, unread=unread)
    spoke = first if first.words else next(r.answer for r in read if believed_words(r.answer))
    assert isinstance(spoke, Transcript)
    return replace(
        spoke,
        segments=segments_of(words, spoke.avg_logprob, spoke.no_speech_prob),
        queue_ms=first.queue_ms,
        decode_ms=first.decode_ms,
        unread=unread,
    )


def _is_long(word: Word) -> bool:
    return word.end_sample - word.start_sample >= SPEECH_SAMPLES_MIN


def _chosen(case: _Case) -> list[tuple[int, Range]]:
    """What to read now, by index of the hole: the longest holes, as many as the limits allow."""
    chosen: list[tuple[int, Range]] = []
    samples_left = case.limits.samples - case.samples
    readings_left = case.limits.readings - len(case.read)
    for index in sorted(range(len(case.holes)), key=lambda index: -case.holes[index].speech_samples):
        wanted = _parts_wanted(case, case.holes[index])
        length = sum(end - start for start, end in wanted)
        if length <= samples_left and len(wanted) <= readings_left:
            chosen += [(index, part) for part in wanted]
            samples_left -= length
            readings_left -= len(wanted)
    return chosen


def _parts_wanted(case: _Case, hole: Hole) -> list[Range]:
    """At first the whole hole; after that its parts, where they are shorter than what was read before."""
    whole = (hole.read_from, hole.read_to)
    before = [
        _length(one.part) for one in case.read if _touch(one.part, (hole.start_sample, hole.end_sample))
    ]
    if not before or _length(whole) <= min(before) - NEW_SAMPLES_MIN:
        return [whole]
    shorter = parts(hole, case.voiced, min(PART_SAMPLES, _length(whole) * 2 // 3))
    return shorter if max(map(_length, shorter)) <= min(before) - NEW_SAMPLES_MIN else []


def _second_window(case: _Case, part: Range) -> Window:
    """The part alone, in the language that the first reading found, without what was said before."""
    window = case.window
    start = window.start_sample
    return replace(
        window,
        samples=window.as_float32()[part[0] - start : part[1] - start],
        start_sample=part[0],
        language=case.first.language if case.words else window.language,
        history="",
        is_second_reading=True,
    )


def _readings_of(stretch: Range, read: Sequence[Read]) -> list[Answer]:
    return [one.answer for one in read if _touch(one.part, stretch)]


def _length(stretch: Range) -> int:
    return stretch[1] - stretch[0]


def _touch(a: Range, b: Range) -> bool:
    return a[0] < b[1] and b[0] < a[1]
