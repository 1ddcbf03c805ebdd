"""Stored events of one channel, and words at given times."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from host_stt.contract import Word
from tests.support.opus_packets import MS
from webrtc_host.events import (
    ChannelClosed,
    CoverageChanged,
    Event,
    SegmentFinal,
    SpeechEnded,
    SpeechStarted,
    TimedWord,
    WindowFailed,
)
from webrtc_host.seams import CoverageState, Source
from webrtc_host.transcript.event_codec import Envelope

_seq = itertools.count(1)
_WALL = datetime(2026, 11, 21, 6, 10, tzinfo=UTC)


def stored(event: Event) -> Envelope:
    return Envelope(event, "s_1", next(_seq), _WALL)


def started(utterance: str, start_ms: int) -> Envelope:
    return stored(SpeechStarted(channel="C01", utterance=utterance, start_ms=start_ms))


def ended(utterance: str, start_ms: int, end_ms: int) -> Envelope:
    bounds = {"start_ms": start_ms, "end_ms": end_ms}
    return stored(SpeechEnded(channel="C01", utterance=utterance, rule="hangover", **bounds))


def a_final(utterance: str, words: Sequence[Word], source: Source | None = None) -> SegmentFinal:
    """A line with these words, from the first to the last."""
    text = texts(words)
    return SegmentFinal(
        channel="C01",
        utterance=utterance,
        segment=f"g_{words[0].start_sample // MS}",
        start_ms=words[0].start_sample // MS,
        end_ms=words[-1].end_sample // MS,
        text=text,
        raw=text,
        words=tuple(TimedWord(w.text, w.start_sample // MS, w.end_sample // MS, 0.9) for w in words),
        source=source,
    )


def final(utterance: str, text: str, start_ms: int, source: Source | None = None) -> Envelope:
    return stored(a_final(utterance, words_at(text, start_ms), source))


def failed(utterance: str, start_ms: int, end_ms: int, code: str) -> Envelope:
    window = {"window": "w_1", "reason": "x"}
    event = WindowFailed(
        channel="C01", utterance=utterance, start_ms=start_ms, end_ms=end_ms, code=code, **window
    )
    return stored(event)


def covered(to_ms: int, state: CoverageState = CoverageState.SILENCE) -> Envelope:
    return stored(CoverageChanged(channel="C01", from_ms=0, to_ms=to_ms, state=state))


def closed() -> Envelope:
    return stored(ChannelClosed(channel="C01", connection="c_1", reason="server_crashed", end_ms=0))


def said(utterance: str, text: str, start_ms: int) -> list[Envelope]:
    """An utterance from beginning to end, with its text."""
    line = final(utterance, text, start_ms)
    return [started(utterance, start_ms), ended(utterance, start_ms, end_of(line) + 20), line]


def end_of(line: Envelope) -> int:
    """end_ms of a final."""
    assert isinstance(line.event, SegmentFinal)
    return line.event.end_ms


def with_source(line: Envelope, source: Source) -> Envelope:
    assert isinstance(line.event, SegmentFinal)
    return replace(line, event=replace(line.event, source=source))


def words_at(text: str, start_ms: int, word_ms: int = 300) -> list[Word]:
    return [
        Word(word, (start_ms + n * word_ms) * MS, (start_ms + (n + 1) * word_ms) * MS, 0.9)
        for n, word in enumerate(text.split())
    ]


def timed(*words: tuple[str, int, int]) -> list[Word]:
    """words: (text, start_ms, end_ms)."""
    return [Word(text, start_ms * MS, end_ms * MS, 0.9) for text, start_ms, end_ms in words]


def texts(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)
