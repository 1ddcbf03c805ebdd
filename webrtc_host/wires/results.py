"""Turns the events of a connection's channels into results for its codec. Pure.

Events of other connections that fed the same channel before are left out. Invariants: each utterance has one
`SpeechBegan`, and at most one `SpeechStopped` and one `UtteranceDone`, in this order; `Settled` only moves
forward.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

from webrtc_host.events import (
    ChannelClosed,
    Event,
    SegmentFinal,
    SegmentInterim,
    SpeechEnded,
    SpeechStarted,
    WindowFailed,
)
from webrtc_host.wires.messages import (
    Failed,
    Final,
    Interim,
    Result,
    Settled,
    SpeechBegan,
    SpeechStopped,
    UtteranceDone,
)

UTTERANCES_MAX = 100
"""Utterances of a stream that are not done; one or two are usual."""


class ClientTime(Protocol):
    """Converts the session's clock into the client's; `media.stream_time.StreamTime` implements it."""

    @property
    def is_placed(self) -> bool: ...

    def ms_at(self, ms: int) -> int: ...


@dataclass(slots=True)
class _Utterance:
    start_ms: int  # on the session's clock
    end_ms: int | None = None  # None: speech continues


@dataclass(slots=True)
class StreamResults:
    """The results of one stream. time: converts the session's clock into the client's."""

    name: str
    connection: str
    time: ClientTime
    from_ms: int
    """Events that end before it belong to an earlier connection."""
    is_closed: bool = False
    """Later events belong to the next connection that feeds the channel."""
    _utterances: OrderedDict[str, _Utterance] = field(default_factory=OrderedDict)
    _settled_ms: int = 0  # on the client's clock

    def of(self, event: Event) -> list[Result]:
        match event:
            case SpeechStarted() if event.start_ms >= self.from_ms and not self.is_closed:
                return self._began(event)
            case SpeechEnded() if event.utterance in self._utterances:
                self._utterances[event.utterance].end_ms = event.end_ms
                start, end = self._range(event.start_ms, event.end_ms)
                return [SpeechStopped(self.name, event.utterance, start, end, event.rule)]
            case SegmentInterim() if event.utterance in self._utterances:
                start, end = self._range(event.start_ms, event.end_ms)
                return [
                    Interim(
                        *(self.name, event.utterance, event.text, event.stable_chars, start, end),
                        event.language,
                    )
                ]
            case SegmentFinal() if event.utterance in self._utterances and event.source is None:
                return [self._final(event), *self._done_by(event.utterance, event.end_ms)]
            case WindowFailed() if event.utterance in self._utterances:
                start, end = self._range(event.start_ms, event.end_ms)
                # Not the end of its utterance: words that waited for this window may still become final.
                return [Failed(self.name, event.utterance, start, end, event.code)]
            case ChannelClosed() if event.connection == self.connection:
                return self._closed(event.end_ms)
        return []

    def settled(self, to_ms: int) -> list[Result]:
        """Everything before `to_ms` of the session's clock has a state."""
        results: list[Result] = []
        for utterance_id in list(self._utterances):
            results += self._done_by(utterance_id, to_ms)
        to = self.time.ms_at(to_ms)
        if to > self._settled_ms:
            self._settled_ms = to
            results.append(Settled(self.name, to))
        return results

    def _began(self, event: SpeechStarted) -> list[Result]:
        self._utterances[event.utterance] = _Utterance(event.start_ms)
        if len(self._utterances) > UTTERANCES_MAX:
            self._utterances.popitem(last=False)
        return [SpeechBegan(self.name, event.utterance, self.time.ms_at(event.start_ms))]

    def _final(self, event: SegmentFinal) -> Final:
        start, end = self._range(event.start_ms, event.end_ms)
        words = tuple(
            type(word)(word.text, *self._range(word.start_ms, word.end_ms), word.p) for word in event.words
        )
        return Final(
            *(self.name, event.utterance, event.text, words, start, end),
            *(event.language, event.conf, event.segment),
        )

    def _done_by(self, utterance_id: str, to_ms: int) -> list[Result]:
        """The end of the utterance, when its speech has stopped and all of it up to `to_ms` is final."""
        utterance = self._utterances.get(utterance_id)
        if utterance is None or utterance.end_ms is None or to_ms < utterance.end_ms:
            return []
        del self._utterances[utterance_id]
        return [UtteranceDone(self.name, utterance_id, *self._range(utterance.start_ms, utterance.end_ms))]

    def _closed(self, end_ms: int) -> list[Result]:
        results: list[Result] = []
        for utterance_id, utterance in list(self._utterances.items()):
            if utterance.end_ms is None:
                utterance.end_ms = max(utterance.start_ms, end_ms)
                start, end = self._range(utterance.start_ms, utterance.end_ms)
                results.append(SpeechStopped(self.name, utterance_id, start, end, "channel_closed"))
            results += self._done_by(utterance_id, utterance.end_ms)
        self.is_closed = True
        # One millisecond more, because positions are rounded down to milliseconds.
        return [*results, *self.settled(end_ms + 1)]

    def _range(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        start = self.time.ms_at(start_ms)
        return start, max(start, self.time.ms_at(end_ms))
