"""Transcribes a recording that a client pushed: window by window, without speech detection.

A recording is cut at quiet places. Its finals go through the same function and the same text stages as those
of live channels. Invariant: every moment of the recording gets a state in the coverage.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from host_stt.contract import SAMPLE_RATE, TERMS_MAX, Float32Array, Priority, Transcript, Window
from webrtc_host.doors.form import PushForm
from webrtc_host.errors import EngineError, Overloaded, RequestError
from webrtc_host.glossary.entries import PromptTerms
from webrtc_host.media.cutting import cut_at_quiet
from webrtc_host.seams import CoverageState, Transcriber
from webrtc_host.session.channel import Channel
from webrtc_host.speech.final_text import FinalText, TextStage
from webrtc_host.speech.lines import write_failed, write_final
from webrtc_host.speech.unread import split_window

logger = logging.getLogger(__name__)

DEADLINE_MS = 60_000
RETRY_AFTER_S = 2.0
SILENT_BELOW = 1e-4  # digital silence is not sent to the engine


class Terms(Protocol):
    def prompt_for(self, channel: str, language: str | None = None) -> PromptTerms: ...


class Ids(Protocol):
    def utterance(self) -> str: ...

    def segment(self) -> str: ...

    def window(self) -> str: ...


class RecordingReader:
    """Sends recordings to the engine, and writes their finals and coverage."""

    def __init__(
        self, transcriber: Transcriber, terms: Terms, ids: Ids, stages: Sequence[TextStage] = ()
    ) -> None:
        """stages: change the text of the finals, as on the live path."""
        self._transcriber = transcriber
        self._terms = terms
        self._ids = ids
        self._stages = tuple(stages)

    async def transcribe(self, channel: Channel, form: PushForm, samples: Float32Array) -> list[FinalText]:
        """Transcribe window by window; returns the finals as they were written.

        Raises RequestError 422 for a language that the model does not have, and Overloaded when the engine
        could transcribe none of the windows. When it could transcribe some, the others are `window.failed`.
        """
        finals: list[FinalText] = []
        answered, failure = 0, None
        for start, end in cut_at_quiet(samples):
            piece = samples[start:end]
            notes = _WindowCoverage(channel, form.start_sample + start, form.start_sample + end)
            if float(np.abs(piece).max()) < SILENT_BELOW:
                notes.set(CoverageState.SILENCE)
                answered += 1
                continue
            prompt = self._terms.prompt_for(channel.id, form.language or channel.language)
            window = self._window(channel, form, piece, form.start_sample + start, prompt)
            utterance = self._ids.utterance()
            try:
                transcript = await self._transcriber.transcribe(window)
            except EngineError as error:
                failure = error
                self._report_failure(channel, window, utterance, error)
                notes.set(CoverageState.FAILED, error.code)
            else:
                answered += 1
                finals += self._finals(channel, window, utterance, transcript, prompt.version)
                notes.set_transcribed(transcript)
        if failure is not None and not answered:
            if failure.code == "unknown_language":
                raise RequestError(failure.code, failure.message, 422) from failure
            raise Overloaded(
                "engine_failed",
                f"the speech engine could not transcribe the file: {failure.message}",
                retry_after_s=RETRY_AFTER_S,
            ) from failure
        return finals

    def _window(
        self, channel: Channel, form: PushForm, samples: Float32Array, start_sample: int, prompt: PromptTerms
    ) -> Window:
        known = dict.fromkeys((*form.terms, *(channel.terms or ()), *prompt.terms))
        return Window(
            id=self._ids.window(),
            channel=f"{channel.session.id}_{channel.id}",
            samples=samples,
            start_sample=start_sample,
            priority=Priority.FINAL,
            language=form.language or channel.language,
            terms=tuple(known)[:TERMS_MAX],
            echo_guard=prompt.echo_guard,
            history=form.history,
            deadline_ms=DEADLINE_MS,
        )

    def _finals(
        self, channel: Channel, window: Window, utterance: str, transcript: Transcript, glossary_version: int
    ) -> list[FinalText]:
        floor, last = window.start_sample, window.start_sample + len(window.samples)
        written: list[FinalText] = []
        for segment in transcript.segments:
            text = segment.text.strip()
            if not text:
                continue
            start = min(max(segment.start_sample, floor), last)
            floor = end = min(max(segment.end_sample, start), last)
            final = FinalText(
                channel=channel.id,
                utterance=utterance,
                start_sample=start,
                end_sample=end,
                text=text,
                raw=text,
                language=transcript.language,
                avg_logprob=segment.avg_logprob,
                words=segment.words,
                glossary_version=glossary_version,
            )
            written.append(write_final(channel.session.log, self._ids.segment(), final, self._stages))
        return written

    def _report_failure(self, channel: Channel, window: Window, utterance: str, error: EngineError) -> None:
        logger.warning(
            "%s %s: a pushed window failed: %s (%s)",
            channel.session.id,
            channel.id,
            error.message,
            error.code,
        )
        start, end = window.start_sample, window.start_sample + len(window.samples)
        write_failed(channel.session.log, channel.id, utterance, window.id, start, end, error)


@dataclass(frozen=True, slots=True)
class _WindowCoverage:
    """Reports coverage of one window. An upload may be at any time, so its states are repairs."""

    channel: Channel
    start_sample: int
    end_sample: int

    def set(self, state: CoverageState, reason: str | None = None) -> None:
        self.channel.coverage.repair(self.start_sample, self.end_sample, state, reason)

    def set_transcribed(self, transcript: Transcript) -> None:
        """Report the window as transcribed, except for speech without words."""
        for start, end, reason in split_window(self.start_sample, self.end_sample, transcript.unread):
            if reason is None:
                self.channel.coverage.repair(start, end, CoverageState.TRANSCRIBED)
            else:
                self.channel.coverage.repair(start, end, CoverageState.FAILED, reason.value)


def seconds_of(sample: int) -> float:
    return round(sample / SAMPLE_RATE, 3)
