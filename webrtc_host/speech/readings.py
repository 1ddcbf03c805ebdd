"""Readings: the windows a channel has asked for, and what came of them.

Owns the utterances still waiting for text and the tasks that wait for the engine. Hears nothing (hearing.py)
and joins nothing (merge.py). Invariant: every final window asked ends as text, as nothing said, or as
`window.failed`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from host_stt.contract import Priority, Transcript, Window
from webrtc_host.errors import EngineError
from webrtc_host.events import EventSink
from webrtc_host.seams import Clock, CoverageNotes, CoverageState, Transcriber
from webrtc_host.speech.endpointing import SpeechEnded, SpeechStarted
from webrtc_host.speech.final_text import TextStage
from webrtc_host.speech.glossary import PromptTerms
from webrtc_host.speech.hearing import WindowHeard
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.language import LanguageLock
from webrtc_host.speech.lines import LineWriter
from webrtc_host.speech.merge import Committed, MergeEvent, UtteranceMerge
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.unread import UnreadSpeech
from webrtc_host.speech.windowing import WindowWanted

logger = logging.getLogger(__name__)


class Terms(Protocol):
    """Where a window's glossary terms come from; speech.glossary.Glossary in life."""

    def prompt_for(self, channel: str) -> PromptTerms: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a channel's readings work with."""

    channel_id: str
    engine_channel: str  # its name towards the engine, unique among sessions
    transcriber: Transcriber
    sink: EventSink
    terms: Terms
    ids: Ids
    clock: Clock
    stages: Sequence[TextStage] = ()  # of the text, between the merge and `segment.final`


@dataclass(slots=True)
class ReadingCounts:
    finals_asked: int = 0
    finals_answered: int = 0
    finals_failed: int = 0
    interims_asked: int = 0
    interims_answered: int = 0
    interims_shed: int = 0  # replaced by newer ones, or not asked because enough were on their way
    interims_failed: int = 0
    first_interim_ms: int | None = (
        None  # speech began -> its first interim emitted; newest utterance that had one
    )


@dataclass(slots=True)
class _Utterance:
    merge: UtteranceMerge
    lines: LineWriter
    start_sample: int  # of its speech
    began_s: float  # on the clock: when its speech began
    speech_end_sample: int | None = None  # None: still speaking
    has_interim: bool = False
    read_to: dict[int, int] = field(default_factory=dict)  # number of an answered final -> its end
    unread: UnreadSpeech = field(default_factory=UnreadSpeech)


@dataclass(frozen=True, slots=True)
class _Asked:
    window: Window
    wanted: WindowWanted
    glossary_version: int
    asked_s: float

    @property
    def is_final(self) -> bool:
        return self.wanted.priority is Priority.FINAL


class Readings:
    """commit: told the commit point of an utterance when it moves. locked: called when the language is
    found."""

    def __init__(
        self,
        around: Surroundings,
        config: SpeechConfig,
        language: LanguageLock,
        *,
        commit: Callable[[str, int], None],
        locked: Callable[[], None],
        notes: CoverageNotes | None = None,
    ) -> None:
        self._around = around
        self._config = config
        self._language = language
        self._commit = commit
        self._locked = locked
        self._notes = notes
        self._utterances: dict[str, _Utterance] = {}
        self._asked: dict[asyncio.Task[None], _Asked] = {}
        self.counts = ReadingCounts()

    @property
    def in_flight(self) -> int:
        return len(self._asked)

    def oldest_final_s(self) -> float | None:
        """How long the oldest unanswered final has waited."""
        asked = [a.asked_s for a in self._asked.values() if a.is_final]
        return self._around.clock() - min(asked) if asked else None

    def started(self, event: SpeechStarted, age_s: float) -> None:
        """age_s: how long ago the speech began."""
        around = self._around
        self._utterances[event.utterance_id] = _Utterance(
            UtteranceMerge(event.utterance_id, event.start_sample),
            LineWriter(
                around.channel_id,
                event.start_sample,
                around.sink,
                around.ids,
                self._config.segments,
                around.stages,
            ),
            event.start_sample,
            around.clock() - age_s,
        )

    def ended(self, event: SpeechEnded) -> None:
        self._utterances[event.utterance_id].speech_end_sample = event.end_sample

    def ask(self, heard: WindowHeard) -> None:
        """Send a window on its way; an interim only while few are."""
        is_final = heard.wanted.priority is Priority.FINAL
        if is_final:
            self.counts.finals_asked += 1
        else:
            on_their_way = sum(not a.is_final for a in self._asked.values())
            if on_their_way >= self._config.pipeline.interims_in_flight_max:
                self.counts.interims_shed += 1
                return
            self.counts.interims_asked += 1
        prompt = self._around.terms.prompt_for(self._around.channel_id)
        window = self._window(heard, prompt)
        asked = _Asked(window, heard.wanted, prompt.version, self._around.clock())
        task = asyncio.create_task(self._transcribe(asked), name=f"window {window.id}")
        self._asked[task] = asked
        task.add_done_callback(self._done)

    async def close(self, timeout_s: float) -> None:
        """Wait for the finals; what is unanswered then fails, finals visibly."""
        finals = [task for task, asked in self._asked.items() if asked.is_final]
        if finals:
            await asyncio.wait(finals, timeout=timeout_s)
        unanswered = dict(self._asked)
        self._asked.clear()
        for task in unanswered:
            task.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)
        for asked in unanswered.values():
            if asked.is_final:
                self._failed(asked, EngineError("deadline", "the channel closed before the engine answered"))

    def _window(self, heard: WindowHeard, prompt: PromptTerms) -> Window:
        wanted, pipeline = heard.wanted, self._config.pipeline
        is_interim = wanted.priority is Priority.INTERIM
        merge = self._utterances[wanted.utterance_id].merge
        return Window(
            id=self._around.ids.window(),
            channel=self._around.engine_channel,
            samples=heard.samples,
            start_sample=heard.start_sample,
            priority=wanted.priority,
            language=self._language.language,
            terms=prompt.terms,
            history=merge.history(pipeline.history_words),
            deadline_ms=pipeline.interim_deadline_ms if is_interim else pipeline.final_deadline_ms,
        )

    async def _transcribe(self, asked: _Asked) -> None:
        try:
            transcript = await self._around.transcriber.transcribe(asked.window)
        except EngineError as error:
            self._failed(asked, error)
        else:
            self._read(asked, transcript)

    def _done(self, task: asyncio.Task[None]) -> None:
        asked = self._asked.pop(task, None)
        if task.cancelled() or asked is None:
            return
        error = task.exception()
        if error is not None:  # a bug on this side: the window fails, the channel goes on
            logger.error("channel %s: a window's answer broke", self._around.channel_id, exc_info=error)
            self._failed(
                asked,
                EngineError("internal", "the answer could not be used; the server's log has the details"),
            )

    def _read(self, asked: _Asked, transcript: Transcript) -> None:
        wanted = asked.wanted
        if asked.is_final:
            self.counts.finals_answered += 1
        else:
            self.counts.interims_answered += 1
        if self._language.feed(transcript, wanted.start_sample, wanted.speech_end_sample):
            self._locked()
        utterance = self._utterances.get(wanted.utterance_id)
        if utterance is not None:  # else an interim came after the last final
            if asked.is_final:
                utterance.read_to[wanted.number] = wanted.end_sample
                utterance.unread.read(wanted.start_sample, wanted.end_sample, transcript.unread)
            self._tell(asked, utterance, utterance.merge.feed(wanted, transcript))

    def _failed(self, asked: _Asked, error: EngineError) -> None:
        if not asked.is_final:
            if error.code == "shed":
                self.counts.interims_shed += 1
            else:
                self.counts.interims_failed += 1
            return
        self.counts.finals_failed += 1
        wanted = asked.wanted
        place = (self._around.channel_id, asked.window.id, wanted.utterance_id)
        logger.warning("channel %s: window %s of %s failed: %s (%s)", *place, error.message, error.code)
        utterance = self._utterances.get(wanted.utterance_id)
        if utterance is not None:
            utterance.lines.failed(wanted, asked.window.id, error)
            read_to = utterance.read_to.get(wanted.number - 1, 0)  # the window before read its head
            self._note_failed(utterance, wanted, read_to, error)
            self._tell(asked, utterance, utterance.merge.fail(wanted))
            self._note(max(utterance.start_sample, wanted.start_sample), read_to)

    def _tell(self, asked: _Asked, utterance: _Utterance, events: Sequence[MergeEvent]) -> None:
        for event in events:
            if isinstance(event, Committed):
                end = utterance.speech_end_sample
                last_sample = event.end_sample if end is None else end
                utterance.lines.finals(event, last_sample, asked.glossary_version)
                to_sample = last_sample if event.is_last else min(event.end_sample, last_sample)
                self._note_read(utterance, max(event.start_sample, utterance.start_sample), to_sample)
            else:
                utterance.lines.interim(event)
                self._note_first_interim(utterance)
        utterance_id = asked.wanted.utterance_id
        if utterance.merge.is_done:
            self._utterances.pop(utterance_id, None)
        else:
            self._commit(utterance_id, utterance.merge.commit_sample)

    def _note_read(self, utterance: _Utterance, start_sample: int, end_sample: int) -> None:
        """Transcribed, but for speech that has no words."""
        for start, end, reason in utterance.unread.split(start_sample, end_sample):
            if reason is None:
                self._note(start, end)
            else:
                self._note(start, end, CoverageState.FAILED, reason.value)
        utterance.unread.forget(end_sample)

    def _note_failed(
        self, utterance: _Utterance, wanted: WindowWanted, read_to: int, error: EngineError
    ) -> None:
        end = wanted.next_start_sample
        if utterance.speech_end_sample is not None:
            end = min(end, utterance.speech_end_sample)
        start = max(utterance.start_sample, wanted.start_sample, read_to)
        self._note(start, end, CoverageState.FAILED, error.code)

    def _note(
        self,
        start_sample: int,
        end_sample: int,
        state: CoverageState = CoverageState.TRANSCRIBED,
        reason: str | None = None,
    ) -> None:
        if self._notes is not None and start_sample < end_sample:
            self._notes.decide(start_sample, end_sample, state, reason)

    def _note_first_interim(self, utterance: _Utterance) -> None:
        if not utterance.has_interim:
            utterance.has_interim = True
            self.counts.first_interim_ms = round((self._around.clock() - utterance.began_s) * 1000)
