"""Recovery: what a crashed server had heard of a channel and not yet written down.

Pure. Owns what counts as dealt with, where reading begins again, and that nothing comes twice. From the
events of the record and the kept sound it makes a Plan; the Plan tells of every word read again whether it is
known already, and of every utterance whether watchers have heard of it. Reads and decodes nothing itself.
Invariant: a word that watchers have seen is not given again; a stretch that may hold unread speech is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from host_stt.contract import Segment, Transcript, Word
from webrtc_host.events import (
    ChannelClosed,
    CoverageChanged,
    Event,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    WindowFailed,
)
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.joining import Overlap, align
from webrtc_host.speech.words import ALIKE, keys_of, mid_sample, similarity, text_of, tokens_of, words_of

LEAD_MS = 600
"""Read before an utterance, so that its speech begins from silence as it did the first time."""
TAIL_MS = 15_000
"""Sound that may have waited for voice detection at the crash (10 s at most by default), and some."""
NEAR_MS = 1000
"""Readings of one utterance, or of one word, do not begin further apart."""
RESTART_RULE = "restart"
"""The rule of a `speech.ended` for speech that broke off with the server, and of which no sound is left."""
WANT_OF_ENGINE = frozenset(
    ("deadline", "unreachable", "overloaded", "engine_starting", "engine_stopping", "engine_lost")
)
"""Codes of `window.failed` that say nothing against the window: another time it may be read."""


@dataclass(frozen=True, slots=True)
class KnownUtterance:
    """What the record has of one utterance. end_ms: None while it was going on."""

    id: str
    start_ms: int
    end_ms: int | None = None
    text_start_ms: int | None = None  # of its first final
    text_end_ms: int | None = None  # end of its last final
    lacks_engine: bool = False  # a window of it was given up for want of an engine
    has_failed: bool = False  # a window of it cannot be read

    def is_dealt_with(self, covered_to_ms: int) -> bool:
        """True when nothing more can come of it."""
        if self.end_ms is None:
            return False
        if self.has_failed or (self.end_ms <= covered_to_ms and not self.lacks_engine):
            return True
        if self.text_start_ms is None or self.text_end_ms is None:
            return False
        return self.text_start_ms - self.start_ms < NEAR_MS and self.end_ms - self.text_end_ms < NEAR_MS


@dataclass(frozen=True, slots=True)
class Known:
    """What the record has of one feed of a channel, up to the crash."""

    opened_ms: int
    covered_to_ms: int  # coverage had said its word on everything before
    utterances: tuple[KnownUtterance, ...]
    words: tuple[Word, ...]  # of all finals, in order of time
    lines: tuple[tuple[int, int], ...]  # (start_sample, end_sample) of the finals


def known_of(opened_ms: int, events: Iterable[Event], until_ms: int | None = None) -> Known:
    """events: the channel's stored events since it was opened, in the order of their seq.

    until_ms: when the channel was opened again; what happened from then on is another feed's. So is what lies
    before `opened_ms`: an earlier feed's sound may have been read, and told, since this one was opened.
    """
    utterances: dict[str, KnownUtterance] = {}
    words: list[Word] = []
    lines: list[tuple[int, int]] = []
    covered_to_ms = opened_ms
    is_closed = False
    for event in events:
        match event:
            case ChannelClosed():
                is_closed = True
            case CoverageChanged():
                # After the close, the restart called the unread time lost, and a recovery may have begun.
                if not is_closed:
                    covered_to_ms = max(covered_to_ms, event.to_ms)
            case SpeechStarted() | SpeechEnded() | WindowFailed() | SegmentFinal():
                if not opened_ms - NEAR_MS <= event.start_ms < (math.inf if until_ms is None else until_ms):
                    continue
                known = _with_event(utterances.get(event.utterance), event)
                if known is not None:
                    utterances[known.id] = known
                if isinstance(event, SegmentFinal):
                    words += _words_of_event(event)
                    lines.append((event.start_ms * SAMPLES_PER_MS, event.end_ms * SAMPLES_PER_MS))
    words.sort(key=mid_sample)
    return Known(opened_ms, covered_to_ms, tuple(utterances.values()), tuple(words), tuple(sorted(lines)))


def _with_event(
    known: KnownUtterance | None, event: SpeechStarted | SpeechEnded | WindowFailed | SegmentFinal
) -> KnownUtterance | None:
    """The utterance with what the event adds. None: the record does not have its beginning."""
    if isinstance(event, SpeechStarted):
        return KnownUtterance(event.utterance, event.start_ms)
    if known is None:
        return None
    if isinstance(event, SpeechEnded):
        return replace(known, end_ms=event.end_ms)
    if isinstance(event, WindowFailed):
        is_want = event.code in WANT_OF_ENGINE
        return replace(
            known, has_failed=known.has_failed or not is_want, lacks_engine=known.lacks_engine or is_want
        )
    first_ms = event.start_ms if known.text_start_ms is None else min(known.text_start_ms, event.start_ms)
    return replace(known, text_start_ms=first_ms, text_end_ms=max(known.text_end_ms or 0, event.end_ms))


def _words_of_event(event: SegmentFinal) -> list[Word]:
    """The words as the engine read them; spread over the line where the event has none."""
    if event.words:
        return [
            Word(w.text, w.start_ms * SAMPLES_PER_MS, w.end_ms * SAMPLES_PER_MS, w.p or 0.0)
            for w in event.words
        ]
    tokens = tokens_of(event.raw or event.text)
    start = event.start_ms * SAMPLES_PER_MS
    each = (event.end_ms * SAMPLES_PER_MS - start) // max(1, len(tokens))
    return [Word(text, start + n * each, start + (n + 1) * each, 0.0) for n, (text, _) in enumerate(tokens)]


class Plan:
    """How one feed of a channel is read again: from `from_sample` to `to_sample`."""

    def __init__(
        self, known: Known, to_sample: int, tail_ms: int = TAIL_MS, again: frozenset[str] = frozenset()
    ) -> None:
        """to_sample: end of the sound kept of this feed. tail_ms: what may not have been heard at all.
        again: utterances to read once more, and nothing else, because windows of them failed.
        """
        self.to_sample = to_sample
        self._known = known
        self._is_of_single = bool(again)
        open_ids = again or {u.id for u in known.utterances if not u.is_dealt_with(known.covered_to_ms)}
        self._open = [u for u in known.utterances if u.id in open_ids]
        self._dealt_with = [
            ((u.start_ms - LEAD_MS) * SAMPLES_PER_MS, (u.end_ms + LEAD_MS) * SAMPLES_PER_MS)
            for u in known.utterances
            if u.end_ms is not None and u.id not in open_ids
        ]
        self._renamed: dict[str, KnownUtterance] = {}  # utterance of the new reading -> the one in the record
        if again:
            self.from_sample = self._before(self._open)
            ends = [u.end_ms for u in self._open if u.end_ms is not None]
            self.to_sample = min(to_sample, (max(ends, default=0) + LEAD_MS) * SAMPLES_PER_MS)
        else:
            self.from_sample = self._begin(tail_ms)

    @property
    def is_empty(self) -> bool:
        return self.from_sample >= self.to_sample

    def is_known(self, start_sample: int, end_sample: int) -> bool:
        """True for a window whose utterance is dealt with: no engine is needed."""
        return any(start <= start_sample and end_sample <= end for start, end in self._dealt_with)

    def fresh(self, transcript: Transcript, window_start_sample: int) -> Transcript:
        """The transcript without the words that the record has."""
        words = words_of(transcript)
        kept = set(map(id, self.fresh_words(words, window_start_sample)))
        if len(kept) == len(words):
            return transcript
        segments: list[Segment] = []
        for segment in transcript.segments:
            own = [w for w in (segment.words or words) if id(w) in kept and _is_in(w, segment)]
            if own:
                segments.append(replace(segment, words=tuple(own), text=text_of(own)))
        return replace(transcript, segments=tuple(segments))

    def fresh_words(self, words: Sequence[Word], window_start_sample: int) -> list[Word]:
        """Known is what reads alike at the same time, and what lies in the middle of a known line."""
        if not words:
            return []
        near = NEAR_MS * SAMPLES_PER_MS
        known = [
            w
            for w in self._known.words
            if w.end_sample > words[0].start_sample - near and w.start_sample < words[-1].end_sample + near
        ]
        if not known:
            return [w for w in words if not self._is_in_a_line(w)]
        columns, _ = align(known, words, Overlap(window_start_sample, known[-1].end_sample))
        known_keys, keys = keys_of(known), keys_of(words)
        again: set[int] = set()
        behind = 0  # first word behind the last known one, where that was read again
        for i, j in columns:
            if i is not None and j is not None and similarity(known_keys[i], keys[j]) >= ALIKE:
                again.add(j)
                behind = j + 1 if i == len(known) - 1 else 0
        return [
            w
            for j, w in enumerate(words)
            if j not in again and (j >= behind > 0 or not self._is_in_a_line(w))
        ]

    def utterance_began(self, utterance: str, start_ms: int) -> bool:
        """An utterance of the new reading. True when watchers have not heard of it."""
        for known in self._known.utterances:
            end_ms = math.inf if known.end_ms is None else known.end_ms
            is_same = known.start_ms - NEAR_MS <= start_ms < max(end_ms, known.start_ms + NEAR_MS)
            if is_same and known not in self._renamed.values():
                self._renamed[utterance] = known
                return False
        return True

    def name_of(self, utterance: str) -> str:
        known = self._renamed.get(utterance)
        return utterance if known is None else known.id

    def start_of(self, utterance: str, start_ms: int) -> int:
        """As watchers were told."""
        known = self._renamed.get(utterance)
        return start_ms if known is None else known.start_ms

    def utterance_ended(self, utterance: str) -> bool:
        """True when watchers have not heard of its end."""
        known = self._renamed.get(utterance)
        return known is None or known.end_ms is None

    def broken_off(self) -> list[KnownUtterance]:
        """Utterances that watchers think are going on, and that the new reading did not find."""
        found = self._renamed.values()
        if self._is_of_single:
            return []
        return [u for u in self._known.utterances if u.end_ms is None and u not in found]

    def _begin(self, tail_ms: int) -> int:
        """As early as something may be unread, and before an utterance, never inside of one."""
        to_ms = self.to_sample // SAMPLES_PER_MS
        begin_ms = min(
            [max(self._known.covered_to_ms, to_ms - 10 * tail_ms), to_ms - tail_ms]
            + [u.start_ms - LEAD_MS for u in self._open]
        )
        for known in sorted(self._known.utterances, key=lambda u: u.start_ms, reverse=True):
            if known.end_ms is None or known.start_ms - LEAD_MS < begin_ms < known.end_ms + LEAD_MS:
                begin_ms = min(begin_ms, known.start_ms - LEAD_MS)
        return max(begin_ms, self._known.opened_ms, 0) * SAMPLES_PER_MS

    def _before(self, utterances: Sequence[KnownUtterance]) -> int:
        begin_ms = min((u.start_ms - LEAD_MS for u in utterances), default=1 << 50)
        return max(begin_ms, self._known.opened_ms, 0) * SAMPLES_PER_MS

    def _is_in_a_line(self, word: Word) -> bool:
        middle = mid_sample(word)
        return any(start < middle < end for start, end in self._known.lines)


def _is_in(word: Word, segment: Segment) -> bool:
    """Of words that belong to no segment by themselves, those of its time."""
    return bool(segment.words) or segment.start_sample <= mid_sample(word) <= segment.end_sample
