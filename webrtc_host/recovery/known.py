"""What the record has of a channel when a job begins: its utterances and its finals.

Pure. This module makes `Known` from stored events, and has the rule for when an utterance is complete.
`recovery.plan` decides which audio is read, and `recovery.merge` which words are new.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from host_stt.contract import BEHIND, Word
from webrtc_host.events import (
    ChannelClosed,
    CoverageChanged,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    WindowFailed,
)
from webrtc_host.seams import SAMPLES_PER_MS
from webrtc_host.speech.words import tokens_of
from webrtc_host.transcript.event_codec import Envelope

NEAR_MS = 1000
"""An utterance, or a word, that is found again begins at most this far from its first time."""
NEAR_SAMPLES = NEAR_MS * SAMPLES_PER_MS
WANT_OF_ENGINE = frozenset(
    ("deadline", "unreachable", "overloaded", "engine_starting", "engine_stopping", "engine_lost", BEHIND)
)
"""Codes of `window.failed` that mean: there was no engine, or it had too much to do. A later try can succeed.
With every other code the engine had the window and could not decode it, so another try would fail, too.
"""


class Range(NamedTuple):
    """[start_sample, end_sample) on the session's timeline, at 16 kHz."""

    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class KnownUtterance:
    """What the record has of one utterance. end_ms: None as long as its end is not in the record."""

    id: str
    start_ms: int
    end_ms: int | None = None
    text_start_ms: int | None = None  # start of its first final
    text_end_ms: int | None = None  # end of its last final
    lacks_engine: bool = False  # a window of it failed because there was no engine
    has_failed: bool = False  # a window of it failed, and another try would fail too

    def is_complete(self, covered_to_ms: int) -> bool:
        """True when transcribing its audio again can bring no more text.

        covered_to_ms: the record has the coverage up to here.
        """
        if self.end_ms is None:
            return False
        if self.has_failed or (self.end_ms <= covered_to_ms and not self.lacks_engine):
            return True
        # Coverage is written a little later than text. So an utterance with text from its start to its end is
        # complete, even if the crash came before its coverage was written.
        if self.text_start_ms is None or self.text_end_ms is None:
            return False
        return self.text_start_ms - self.start_ms < NEAR_MS and self.end_ms - self.text_end_ms < NEAR_MS


@dataclass(frozen=True, slots=True)
class KnownLine:
    """One final. is_live: its audio was live; False: its audio was past audio of an earlier job."""

    seq: int
    start_sample: int
    end_sample: int
    words: tuple[Word, ...]
    is_live: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What the record has of one channel, within one feed or around some time."""

    opened_ms: int = 0
    covered_to_ms: int = 0  # every moment before has a state in the coverage
    utterances: tuple[KnownUtterance, ...] = ()
    lines: tuple[KnownLine, ...] = ()
    to_seq: int = 0  # finals up to this event are among the lines; later ones are in the log


def known_of(opened_ms: int, stored: Iterable[Envelope], until_ms: int | None = None) -> Known:
    """stored: the channel's events since `opened_ms`, in the order of their seq.

    until_ms: when the channel was opened again; None: it was not. Utterances and finals that begin later are
    of the next feed, and are left out. Those that begin before `opened_ms` are of an earlier feed, and are
    left out, too: they are among the events because a recovery published them later.
    """
    utterances: dict[str, KnownUtterance] = {}
    lines: list[KnownLine] = []
    covered_to_ms = opened_ms
    is_closed = False
    limit_ms = math.inf if until_ms is None else until_ms
    for envelope in stored:
        match envelope.event:
            case ChannelClosed():
                is_closed = True
            case CoverageChanged(to_ms=to_ms):
                # Coverage from after the end of the feed does not show that its audio was transcribed: the
                # restart marked the time without text as lost, and an earlier recovery may have begun.
                if not is_closed:
                    covered_to_ms = max(covered_to_ms, to_ms)
            case SpeechStarted() | SpeechEnded() | WindowFailed() | SegmentFinal() as event:
                if opened_ms - NEAR_MS <= event.start_ms < limit_ms:
                    _note_utterance(utterances, event)
                    lines += lines_of([envelope])
    lines.sort(key=lambda line: (line.start_sample, line.end_sample))
    return Known(opened_ms, covered_to_ms, tuple(utterances.values()), tuple(lines))


def _note_utterance(
    utterances: dict[str, KnownUtterance], event: SpeechStarted | SpeechEnded | WindowFailed | SegmentFinal
) -> None:
    """Add the event to its utterance. An utterance whose start is not in the record is left out."""
    known = utterances.get(event.utterance)
    if isinstance(event, SpeechStarted):
        utterances[event.utterance] = KnownUtterance(event.utterance, event.start_ms)
    elif known is not None:
        utterances[event.utterance] = _with_event(known, event)


def _with_event(known: KnownUtterance, event: SpeechEnded | WindowFailed | SegmentFinal) -> KnownUtterance:
    match event:
        case SpeechEnded():
            return replace(known, end_ms=event.end_ms)
        case WindowFailed():
            is_want = event.code in WANT_OF_ENGINE
            return replace(
                known,
                lacks_engine=known.lacks_engine or is_want,
                has_failed=known.has_failed or not is_want,
            )
        case SegmentFinal():
            first_ms = event.start_ms
            if known.text_start_ms is not None:
                first_ms = min(first_ms, known.text_start_ms)
            return replace(
                known, text_start_ms=first_ms, text_end_ms=max(known.text_end_ms or 0, event.end_ms)
            )


def lines_of(stored: Iterable[Envelope]) -> list[KnownLine]:
    """The finals among the events, with their words as the engine gave them."""
    lines: list[KnownLine] = []
    for envelope in stored:
        final = envelope.event
        if isinstance(final, SegmentFinal) and envelope.seq is not None:
            start, end = final.start_ms * SAMPLES_PER_MS, final.end_ms * SAMPLES_PER_MS
            lines.append(KnownLine(envelope.seq, start, end, _words_of(final), final.source is None))
    return lines


def _words_of(final: SegmentFinal) -> tuple[Word, ...]:
    """The words of the final. Where it has none, its text is spread evenly over its time."""
    if final.words:
        return tuple(
            Word(word.text, word.start_ms * SAMPLES_PER_MS, word.end_ms * SAMPLES_PER_MS, word.p or 0.0)
            for word in final.words
        )
    tokens = tokens_of(final.raw or final.text)
    start = final.start_ms * SAMPLES_PER_MS
    each = (final.end_ms * SAMPLES_PER_MS - start) // max(1, len(tokens))
    return tuple(
        Word(text, start + n * each, start + (n + 1) * each, 0.0) for n, (text, _) in enumerate(tokens)
    )
