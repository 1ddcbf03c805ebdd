"""Lines: what the merge decided, written as events of the wire.

Owns the cutting of commits into segments and the shape of `segment.interim`, `segment.final` and
`window.failed`; decides nothing about words. Invariant: segments of one utterance lie inside its speech, in
order, without overlapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from host_stt.contract import Word
from webrtc_host.errors import EngineError
from webrtc_host.seams import EventSink, EventType, ms_of
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.merge import Committed, InterimText
from webrtc_host.speech.segments import SegmentsConfig, in_order, split, to_the_end
from webrtc_host.speech.windowing import WindowWanted
from webrtc_host.speech.words import text_of


class LineWriter:
    """One utterance's lines."""

    def __init__(
        self, channel_id: str, start_sample: int, sink: EventSink, ids: Ids, config: SegmentsConfig
    ) -> None:
        self._channel_id = channel_id
        self._sink = sink
        self._ids = ids
        self._config = config
        self._floor_sample = start_sample  # end of the line before

    def interim(self, interim: InterimText) -> None:
        start = max(self._floor_sample, interim.start_sample)
        self._sink.emit(
            EventType.SEGMENT_INTERIM,
            self._channel_id,
            utterance=interim.utterance_id,
            revision=interim.revision,
            text=interim.text,
            stable_chars=interim.stable_chars,
            start_ms=ms_of(start),
            end_ms=ms_of(max(start, interim.end_sample)),
            language=interim.language,
        )

    def finals(self, commit: Committed, last_sample: int, glossary_version: int) -> int:
        """One `segment.final` for each line of the commit; how many. last_sample: no speech after this."""
        words = in_order(commit.words, self._floor_sample, max(self._floor_sample, last_sample))
        if commit.is_last and words:
            words = to_the_end(words, last_sample)
        lines = [line for line in split(words, self._config) if text_of(line)]
        for line in lines:
            self._final(commit, line, glossary_version)
            self._floor_sample = line[-1].end_sample
        return len(lines)

    def failed(self, window: WindowWanted, window_id: str, error: EngineError) -> None:
        start = max(self._floor_sample, window.start_sample)
        self._sink.emit(
            EventType.WINDOW_FAILED,
            self._channel_id,
            utterance=window.utterance_id,
            window=window_id,
            start_ms=ms_of(start),
            end_ms=ms_of(max(start, window.end_sample)),
            code=error.code,
            reason=error.message,
        )

    def _final(self, commit: Committed, line: Sequence[Word], glossary_version: int) -> None:
        text = text_of(line)
        self._sink.emit(
            EventType.SEGMENT_FINAL,
            self._channel_id,
            utterance=commit.utterance_id,
            segment=self._ids.segment(),
            start_ms=ms_of(line[0].start_sample),
            end_ms=ms_of(line[-1].end_sample),
            text=text,
            raw=text,
            language=commit.language,
            conf=round(commit.avg_logprob, 3),
            words=[_word(w) for w in line],
            edits=[],
            glossary_version=glossary_version,
        )


def _word(word: Word) -> dict[str, Any]:
    return {
        "text": word.text,
        "start_ms": ms_of(word.start_sample),
        "end_ms": ms_of(word.end_sample),
        "p": round(word.probability, 3),
    }
