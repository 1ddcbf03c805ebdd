"""Second decode: send the holes of finals to the engine again, before the result is delivered.

Stands between the caller and the pool. Decides which holes are decoded again, and combines the results.
`holes` finds the holes and fills them. Works for live finals, uploaded pieces and files, because all of them
pass `EngineService.submit`. Invariants: each window gets exactly one result, as from the pool. Each hole is
decoded again once; speech that still has no words is listed in the result's `unread`.
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
    Task,
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
"""What is left of a hole after a second decode is decoded in parts of up to this length, cut at pauses."""
NEW_SAMPLES_MIN = SAMPLE_RATE
"""A part must be this much shorter than the audio of the previous decode; otherwise the result would be the
same.
"""
LOGPROB_MIN = -1.0
"""OpenAI's threshold: a second decode with a lower average log probability adds no words."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the second decodes for one window."""

    rounds: int  # from the second round on, the rest of a hole is decoded in shorter parts
    readings: int  # number of decodes; the longest holes go first
    samples: int  # of all second decodes together


LIVE = Limits(rounds=1, readings=2, samples=15 * SAMPLE_RATE)
LONG = Limits(rounds=3, readings=6, samples=45 * SAMPLE_RATE)
"""For pieces of recordings, whose text is not needed within a second."""
LIVE_SAMPLES_MAX = 15 * SAMPLE_RATE
"""A longer final is not live (live ones have 13 s at most by default) but a piece of an upload."""

Deliver = Callable[[Answer], None]
Submit = Callable[[Window, str, Deliver], None]


class VoiceDetector(Protocol):
    """Finds speech in audio."""

    @property
    def frame_samples(self) -> int: ...

    def probabilities(self, samples: Float32Array) -> Float32Array:
        """(k,) in [0, 1], one for each `frame_samples` of samples (n,); k = ceil(n / frame_samples)."""


class HoleCounts(Protocol):
    """Counts holes. Called from pool threads."""

    def hole(self, outcome: str, speech_s: float) -> None:
        """outcome: `filled`, `silent` (the second decode found silence), or why the hole is unread."""


@dataclass(frozen=True, slots=True)
class Read:
    """A range that was decoded again, and its result."""

    part: Range
    answer: Answer


@dataclass(slots=True)
class _Case:
    """One window whose holes are being decoded again. Locked, because results come from several threads."""

    window: Window
    source: str
    deliver: Deliver
    first: Transcript
    voiced: list[Range]
    words: list[Word]  # including words added so far
    holes: list[Hole]  # of `words`
    found: list[Range]  # the holes of the first result
    limits: Limits
    rounds: int = 0
    samples: int = 0  # decoded again
    answers: dict[tuple[int, Range], Answer | None] = field(default_factory=dict)
    """Of the current round, by (index of the hole, decoded part of it); None: no result yet."""
    read: list[Read] = field(default_factory=list)  # of all rounds
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fill(self) -> None:
        """Add the words of a round's results."""
        heard: dict[int, list[Word]] = {}
        for (index, part), answer in sorted(self.answers.items(), key=lambda item: item[0]):
            if answer is not None:
                heard.setdefault(index, []).extend(believed_words(answer))
                self.read.append(Read(part, answer))
        words = self.words
        for index in sorted(heard, reverse=True):  # backwards, because filling shifts the words after a hole
            words = fill(words, self.holes[index], heard[index])
        self.words = words
        self.holes = self.find_holes()

    def find_holes(self) -> list[Hole]:
        start = self.window.start_sample
        return find_holes(self.words, self.voiced, (start, start + len(self.window.samples)))


class SecondDecoder:
    """Decodes the holes of finals again. submit: the pool's `submit`."""

    def __init__(self, submit: Submit, detector: VoiceDetector, counts: HoleCounts) -> None:
        self._submit = submit
        self._detector = detector
        self._counts = counts

    def submit(self, window: Window, source: str, deliver: Deliver) -> None:
        """Decode a window of any kind; `deliver` is called once, from any thread."""
        if not window.priority.is_final or window.task is Task.TRANSLATE:
            # The words of a translation come in another order than in the audio, so they show no holes.
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
        """The state of a window with holes; None if all speech has words."""
        try:
            probabilities = self._detector.probabilities(window.as_float32())
        except Exception:  # a foreign library; its failure must not cost the text
            logger.exception("window %s: the speech detector failed", window.id)
            return None
        voiced = voiced_ranges(probabilities, self._detector.frame_samples, window.start_sample)
        is_live = window.priority is Priority.FINAL and len(window.samples) <= LIVE_SAMPLES_MAX
        limits = LIVE if is_live else LONG
        case = _Case(window, source, deliver, first, voiced, list(first.words), [], [], limits)
        case.holes = case.find_holes()
        case.found = [(hole.start_sample, hole.end_sample) for hole in case.holes]
        return case if case.holes else None

    def _next_round(self, case: _Case) -> bool:
        """Submit the parts to decode in this round; False if there are none."""
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
                # Some results of this round are still missing; the thread of the last one continues.
                return
        try:
            case.fill()
        except Exception:  # a fault in this code must not cost the text of the first result
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
        case.deliver(with_filled_holes(case.first, case.words, case.read, unread))


def may_have_holes(window: Window, first: Transcript) -> bool:
    """A cheap test before the speech detector runs."""
    if not first.words:
        # No words: either the model is sure that there is no speech, or it gave no times to find holes with.
        return not first.segments and first.no_speech_prob <= NO_SPEECH
    covered = sum(word.end_sample - word.start_sample for word in first.words)
    # There may be a hole only if the words leave a second of the window free, or if one was stretched over
    # it.
    return len(window.samples) - covered >= SPEECH_SAMPLES_MIN or any(map(_is_long, first.words))


def believed_words(answer: Answer) -> tuple[Word, ...]:
    """The words that a second decode may add."""
    if not isinstance(answer, Transcript) or answer.end_reason is not EndReason.COMPLETE:
        return ()
    return answer.words if answer.avg_logprob >= LOGPROB_MIN else ()


def is_silence(answer: Answer) -> bool:
    """The model decoded it, wrote nothing and reports that there is no speech."""
    return isinstance(answer, Transcript) and not answer.words and answer.no_speech_prob > NO_SPEECH


def unread_of(left: Sequence[Hole], read: Sequence[Read]) -> tuple[Unread, ...]:
    """left: the holes that remain; read: the ranges that were decoded again."""
    unread = []
    for hole in left:
        answers = _readings_of((hole.start_sample, hole.end_sample), read)
        if any(map(is_silence, answers)):
            continue
            # The detector found speech, but the model reports silence: not a hole.
        was_read = bool(answers) and all(isinstance(answer, Transcript) for answer in answers)
        reason = UnreadReason.NO_WORDS if was_read else UnreadReason.NOT_READ_AGAIN
        unread.append(Unread(hole.start_sample, hole.end_sample, reason))
    return tuple(unread)


def with_filled_holes(
    first: Transcript, words: Sequence[Word], read: Sequence[Read], unread: tuple[Unread, ...]
) -> Transcript:
    """The first result with `words` instead of its own; if it had no words, in the second one's language."""
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
    """(index of the hole, part) for this round: the longest holes first, within the limits."""
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
    """First the whole hole; later its parts, if they are shorter than what was decoded before."""
    whole = (hole.read_from, hole.read_to)
    before = [
        _length(one.part) for one in case.read if _touch(one.part, (hole.start_sample, hole.end_sample))
    ]
    if not before or _length(whole) <= min(before) - NEW_SAMPLES_MIN:
        return [whole]
    # The same audio in a window of nearly the same length gives the same result, so only shorter parts help.
    shorter = parts(hole, case.voiced, min(PART_SAMPLES, _length(whole) * 2 // 3))
    return shorter if max(map(_length, shorter)) <= min(before) - NEW_SAMPLES_MIN else []


def _second_window(case: _Case, part: Range) -> Window:
    """A window of the part alone, in the language of the first result, without other texts."""
    window = case.window
    start = window.start_sample
    return replace(
        window,
        samples=window.as_float32()[part[0] - start : part[1] - start],
        start_sample=part[0],
        language=case.first.language if case.words else window.language,
        history="",
        known_text="",
        is_second_decode=True,
    )


def _readings_of(stretch: Range, read: Sequence[Read]) -> list[Answer]:
    return [one.answer for one in read if _touch(one.part, stretch)]


def _length(stretch: Range) -> int:
    return stretch[1] - stretch[0]


def _touch(a: Range, b: Range) -> bool:
    return a[0] < b[1] and b[0] < a[1]
