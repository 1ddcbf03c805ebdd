"""Writes the text of an utterance as events: `segment.interim`, `segment.final` and `window.failed`.

It cuts committed words into segments (lines of text), for live channels and for uploads. `merge.py` decides
which words are committed. Invariant: the segments of one utterance lie inside its speech, in order, without
overlap.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os.path import commonprefix

from host_stt.contract import Word
from webrtc_host.errors import EngineError
from webrtc_host.events import EventSink, SegmentFinal, SegmentInterim, TimedWord, WindowFailed
from webrtc_host.seams import ms_of
from webrtc_host.speech.final_text import FinalText, TextStage, apply_stages
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.merge import Committed, InterimText
from webrtc_host.speech.segments import SegmentsConfig, in_order, split, to_the_end
from webrtc_host.speech.windowing import WindowSpec
from webrtc_host.speech.words import text_of

logger = logging.getLogger(__name__)


def write_final(
    sink: EventSink, segment_id: str, final: FinalText, stages: Sequence[TextStage] = ()
) -> FinalText:
    """Write `segment.final` and return the final as it was written, after the text stages.

    All inputs and all sources of audio write their finals with this function.
    """
    final = apply_stages(stages, final, _log_failure)
    sink.emit(
        SegmentFinal(
            channel=final.channel,
            utterance=final.utterance,
            segment=segment_id,
            start_ms=ms_of(final.start_sample),
            end_ms=ms_of(final.end_sample),
            text=final.text,
            raw=final.raw,
            language=final.language,
            conf=final.conf,
            words=tuple(timed(word) for word in final.words),
            edits=final.edits,
            glossary_version=final.glossary_version,
        )
    )
    return final


def write_failed(
    sink: EventSink,
    channel_id: str,
    utterance: str,
    window_id: str,
    start_sample: int,
    end_sample: int,
    error: EngineError,
) -> None:
    """Write `window.failed`: the engine could not decode [start_sample, end_sample) of this utterance."""
    sink.emit(
        WindowFailed(
            channel=channel_id,
            utterance=utterance,
            window=window_id,
            start_ms=ms_of(start_sample),
            end_ms=ms_of(end_sample),
            code=error.code,
            reason=error.message,
        )
    )


class LineWriter:
    """Writes the segments of one utterance."""

    def __init__(
        self,
        channel_id: str,
        start_sample: int,
        sink: EventSink,
        ids: Ids,
        config: SegmentsConfig,
        stages: Sequence[TextStage] = (),
    ) -> None:
        self._channel_id = channel_id
        self._sink = sink
        self._ids = ids
        self._config = config
        self._stages = stages
        self._floor_sample = start_sample  # end of the last line
        self._shown = ("", "")  # the engine's text and the shown text of the last interim

    def interim(self, interim: InterimText) -> None:
        start = max(self._floor_sample, interim.start_sample)
        text = self._provisional(interim, start)
        stable_chars = self._stable_chars(interim, text)
        self._shown = (interim.text, text)
        self._sink.emit(
            SegmentInterim(
                channel=self._channel_id,
                utterance=interim.utterance_id,
                revision=interim.revision,
                text=text,
                stable_chars=stable_chars,
                start_ms=ms_of(start),
                end_ms=ms_of(max(start, interim.end_sample)),
                language=interim.language,
            )
        )

    def _provisional(self, interim: InterimText, start: int) -> str:
        """The text of an interim after the text stages."""
        if not self._stages:
            return interim.text
        line = FinalText(
            channel=self._channel_id,
            utterance=interim.utterance_id,
            start_sample=start,
            end_sample=max(start, interim.end_sample),
            text=interim.text,
            raw=interim.text,
            language=interim.language,
            avg_logprob=0.0,
            words=(),
            glossary_version=0,  # an interim does not carry it
            is_provisional=True,
        )
        return apply_stages(self._stages, line, _log_failure).text

    def _stable_chars(self, interim: InterimText, text: str) -> int:
        """The characters at the beginning of `text` that the last interim showed as well."""
        if text == interim.text and self._shown[0] == self._shown[1]:
            return interim.stable_chars
        return len(commonprefix((self._shown[1], text)))

    def finals(self, commit: Committed, last_sample: int, glossary_version: int) -> int:
        """Write one `segment.final` per line of the commit; returns how many. last_sample: end of speech."""
        words = in_order(commit.words, self._floor_sample, max(self._floor_sample, last_sample))
        if commit.is_last and words:
            words = to_the_end(words, last_sample)
        lines = [line for line in split(words, self._config) if text_of(line)]
        for line in lines:
            self._final(commit, line, glossary_version)
            self._floor_sample = line[-1].end_sample
        return len(lines)

    def failed(self, window: WindowSpec, window_id: str, error: EngineError) -> None:
        start = max(self._floor_sample, window.start_sample)
        end = max(start, window.end_sample)
        write_failed(self._sink, self._channel_id, window.utterance_id, window_id, start, end, error)

    def _final(self, commit: Committed, line: Sequence[Word], glossary_version: int) -> None:
        text = text_of(line)
        final = FinalText(
            channel=self._channel_id,
            utterance=commit.utterance_id,
            start_sample=line[0].start_sample,
            end_sample=line[-1].end_sample,
            text=text,
            raw=text,
            language=commit.language,
            avg_logprob=commit.avg_logprob,
            words=line,
            glossary_version=glossary_version,
        )
        write_final(self._sink, self._ids.segment(), final, self._stages)


def _log_failure(stage: TextStage, error: Exception) -> None:
    logger.error("the text stage %s failed; its finals keep the text they had", stage, exc_info=error)


def timed(word: Word) -> TimedWord:
    """A word of the engine as events have it."""
    return TimedWord(word.text, ms_of(word.start_sample), ms_of(word.end_sample), round(word.probability, 3))
