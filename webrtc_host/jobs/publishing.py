"""Publishing: writes the result of a stretch as finals and coverage of the job's session.

Finals go through the same function and text stages as those of live channels. Invariant: every moment of a
stretch gets a state in the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from host_stt.contract import Segment, Transcript
from webrtc_host.errors import EngineError
from webrtc_host.events import Event, EventSink, SegmentFinal
from webrtc_host.jobs.reading import Stretch
from webrtc_host.seams import CoverageState, Source
from webrtc_host.session.channel import Channel
from webrtc_host.speech.final_text import FinalText, TextStage
from webrtc_host.speech.lines import write_failed, write_final
from webrtc_host.speech.unread import split_window


class Ids(Protocol):
    def utterance(self) -> str: ...

    def segment(self) -> str: ...

    def window(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the engine made of a stretch. result: None: there was no speech to decode."""

    result: Transcript | EngineError | None
    glossary_version: int = 0


class Publisher:
    def __init__(self, ids: Ids, stages: Sequence[TextStage]) -> None:
        self._ids = ids
        self._stages = tuple(stages)

    def publish(self, channel: Channel, stretch: Stretch, outcome: Outcome) -> int:
        """Write the finals and the coverage of the stretch. Returns the number of finals. Never waits."""
        match outcome.result:
            case None:
                finals = 0
                self._cover(channel, stretch.start_sample, stretch.end_sample, CoverageState.SILENCE)
            case EngineError() as error:
                finals = 0
                self._failed(channel, stretch, error)
            case Transcript() as transcript:
                finals = self._finals(channel, stretch, transcript, outcome.glossary_version)
        channel.coverage.flush()
        return finals

    def _finals(self, channel: Channel, stretch: Stretch, transcript: Transcript, version: int) -> int:
        assert stretch.speech is not None, "only speech is decoded"
        (start, end), sink = stretch.speech, _Sink(channel.session.log)
        utterance, floor, written = self._ids.utterance(), start, 0
        for segment in transcript.segments:
            if text := segment.text.strip():
                final = _final(
                    channel.id, utterance, segment, (floor, end), text, transcript.language, version
                )
                write_final(sink, self._ids.segment(), final, self._stages)
                floor, written = final.end_sample, written + 1
        self._cover(channel, stretch.start_sample, start, CoverageState.SILENCE)
        for low, high, reason in split_window(start, end, transcript.unread):
            if reason is None:
                self._cover(channel, low, high, CoverageState.TRANSCRIBED)
            else:
                self._cover(channel, low, high, CoverageState.FAILED, reason.value)
        return written

    def _failed(self, channel: Channel, stretch: Stretch, error: EngineError) -> None:
        assert stretch.speech is not None, "only speech is decoded"
        start, end = stretch.speech
        write_failed(
            channel.session.log, channel.id, self._ids.utterance(), self._ids.window(), start, end, error
        )
        self._cover(channel, stretch.start_sample, start, CoverageState.SILENCE)
        self._cover(channel, start, end, CoverageState.FAILED, error.code)

    def _cover(
        self, channel: Channel, start: int, end: int, state: CoverageState, reason: str | None = None
    ) -> None:
        if start < end:
            channel.coverage.repair(start, end, state, reason)


class _Sink:
    """Marks finals as text of a recording: they are not live, so they have no latency."""

    def __init__(self, log: EventSink) -> None:
        self._log = log

    def emit(self, event: Event) -> int | None:
        if isinstance(event, SegmentFinal):
            event = replace(event, source=Source.RECORDING)
        return self._log.emit(event)


def _final(
    channel: str,
    utterance: str,
    segment: Segment,
    within: tuple[int, int],
    text: str,
    language: str,
    version: int,
) -> FinalText:
    """within: first sample and end that the final may have: finals of one window do not overlap."""
    floor, last = within
    start = min(max(segment.start_sample, floor), last)
    return FinalText(
        channel=channel,
        utterance=utterance,
        start_sample=start,
        end_sample=min(max(segment.end_sample, start), last),
        text=text,
        raw=text,
        language=language,
        avg_logprob=segment.avg_logprob,
        words=segment.words,
        glossary_version=version,
    )
