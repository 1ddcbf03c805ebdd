"""The windows of a channel that were sent to the engine, and the handling of their results.

This module holds the utterances that still wait for text, and one task per sent window. `analysis.py` makes
the windows, `merge.py` joins the results, `lines.py` writes the events. Invariant: every final window that is
sent ends as text, as an empty result, or as `window.failed`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from host_stt.contract import BEHIND, EndReason, Priority, Transcript, Window, Word
from webrtc_host.errors import EngineError
from webrtc_host.events import EventSink
from webrtc_host.glossary.entries import PromptTerms
from webrtc_host.seams import Clock, CoverageNotes, CoverageState, Transcriber
from webrtc_host.speech.analysis import WindowAudio
from webrtc_host.speech.closing_words import ClosingWords
from webrtc_host.speech.endpointing import SpeechEnded, SpeechStarted
from webrtc_host.speech.evidence import is_believable
from webrtc_host.speech.final_text import TextStage
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.language import LanguageLock
from webrtc_host.speech.lines import LineWriter
from webrtc_host.speech.merge import Committed, MergeEvent, UtteranceMerge
from webrtc_host.speech.noise import ChannelNoise
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.unread import UnreadSpeech
from webrtc_host.speech.windowing import WindowSpec

logger = logging.getLogger(__name__)


class Terms(Protocol):
    """Gives the glossary terms of a window; `glossary.store.Glossary` implements it."""

    def prompt_for(self, channel: str) -> PromptTerms: ...


@dataclass(frozen=True, slots=True)
class ChannelContext:
    """What the windows of a channel need: names, engine, event log, terms, ids and clock."""

    channel_id: str
    engine_channel: str  # the channel's name in requests to the engine, unique among all sessions
    transcriber: Transcriber
    sink: EventSink
    terms: Terms
    ids: Ids
    clock: Clock
    stages: Sequence[TextStage] = ()  # change the text of finals before they are written
    has_free_engine: Callable[[], bool] = lambda: True  # early finals are sent only while it has
    can_read_later: Callable[[], bool] = lambda: False  # the archive has the audio, and recovery reads it


@dataclass(slots=True)
class WindowCounts:
    """Counters of one channel's windows."""

    finals_sent: int = 0
    finals_decoded: int = 0
    finals_failed: int = 0
    finals_behind: int = 0  # left for later, because newer speech is decoded first
    early_sent: int = 0  # finals sent ahead of their time, in a pause
    early_used: int = 0  # those of them that became the final; after the others speech continued
    interims_sent: int = 0
    interims_decoded: int = 0
    interims_shed: int = 0  # replaced by newer ones, or not sent because enough were in flight
    interims_failed: int = 0
    first_interim_ms: int | None = None  # start of speech -> its first interim, of the newest utterance


@dataclass(slots=True)
class _EarlyFinal:
    """A window sent in a pause. It becomes the last final, or speech continues and it is dropped."""

    sent: _SentWindow
    task: asyncio.Task[None]
    result: Transcript | None = None
    has_failed: bool = False


@dataclass(slots=True)
class _Utterance:
    merge: UtteranceMerge
    lines: LineWriter
    start_sample: int  # of its speech
    began_s: float  # on the clock: when its speech began
    speech_end_sample: int | None = None  # None: speech continues
    has_interim: bool = False
    decoded_to: dict[int, int] = field(default_factory=dict)  # number of a final with a result -> its end
    unread: UnreadSpeech = field(default_factory=UnreadSpeech)
    early: _EarlyFinal | None = None


@dataclass(frozen=True, slots=True)
class _SentWindow:
    window: Window
    spec: WindowSpec
    glossary_version: int
    sent_s: float

    @property
    def is_final(self) -> bool:
        """Whether a result is owed. None is owed for an early final until it is confirmed."""
        return self.spec.priority is Priority.FINAL and not self.spec.is_early


class WindowRequests:
    """commit: called with an utterance and two samples: where its interims begin from now on, and where they
    begin without context (`Windowing.commit`). locked: called when the language is known.

    closed: called when the text of an early final closes the transmission, with the utterance and its end.
    """

    def __init__(
        self,
        context: ChannelContext,
        config: SpeechConfig,
        language: LanguageLock,
        *,
        commit: Callable[[str, int, int], None],
        locked: Callable[[], None],
        closed: Callable[[str, int], None] = lambda utterance_id, end_sample: None,
        notes: CoverageNotes | None = None,
    ) -> None:
        self._context = context
        self._config = config
        self._language = language
        self._noise = ChannelNoise()
        self._commit = commit
        self._locked = locked
        self._closed = closed
        self._closing_words = ClosingWords(config.endpointing.closing_words)
        self._notes = notes
        self._utterances: dict[str, _Utterance] = {}
        self._sent: dict[asyncio.Task[None], _SentWindow] = {}
        self._behind_at_s = float("-inf")  # on the clock: when a final was left for later
        self.counts = WindowCounts()
        self._last_words: Sequence[Word] = ()  # the newest final words of the last utterance

    @property
    def in_flight(self) -> int:
        return len(self._sent)

    def oldest_final_s(self) -> float | None:
        """How long the oldest final without a result has waited; None when there is none."""
        sent = [a.sent_s for a in self._sent.values() if a.is_final]
        return self._context.clock() - min(sent) if sent else None

    def behind_s(self) -> float:
        """Seconds since a final was last left for later; infinite when none was."""
        return self._context.clock() - self._behind_at_s

    def started(self, event: SpeechStarted, age_s: float) -> None:
        """Speech has started. age_s: seconds since its start."""
        context = self._context
        # While the utterance before has no last result, its words are not known.
        before = () if self._utterances else self._last_words
        self._utterances[event.utterance_id] = _Utterance(
            UtteranceMerge(event.utterance_id, event.start_sample, before, event.audio_sample),
            LineWriter(
                context.channel_id,
                event.start_sample,
                context.sink,
                context.ids,
                self._config.segments,
                context.stages,
            ),
            event.start_sample,
            context.clock() - age_s,
        )

    def ended(self, event: SpeechEnded) -> None:
        """Speech has ended."""
        self._utterances[event.utterance_id].speech_end_sample = event.end_sample

    def send(self, window_audio: WindowAudio) -> None:
        """Send a window to the engine. An interim is not sent while enough interims are in flight."""
        spec = window_audio.spec
        if spec.is_early:
            self._send_early(window_audio)
            return
        if spec.priority is Priority.FINAL:
            self.counts.finals_sent += 1
            if self._confirm_early(spec):
                return
        else:
            on_their_way = sum(not a.is_final for a in self._sent.values())
            if on_their_way >= self._config.pipeline.interims_in_flight_max:
                self.counts.interims_shed += 1
                return
            self.counts.interims_sent += 1
        self._start(window_audio)

    def _send_early(self, window_audio: WindowAudio) -> None:
        """Send the last final ahead of the end of its utterance, if the engine has room for it.

        Work that speech makes worthless must not delay work that is certain.
        """
        if not self._context.has_free_engine():
            return
        self.counts.early_sent += 1
        task = self._start(window_audio)
        utterance = self._utterances[window_audio.spec.utterance_id]
        utterance.early = _EarlyFinal(self._sent[task], task)

    def _confirm_early(self, spec: WindowSpec) -> bool:
        """Use the early final of the same window as this final. False: there is none.

        The utterance has ended in the pause, or it is cut there.
        """
        utterance = self._utterances[spec.utterance_id]
        early, utterance.early = utterance.early, None
        if early is None or early.has_failed or not early.sent.spec.has_audio_of(spec):
            return False
        self.counts.early_used += 1
        sent = replace(early.sent, spec=spec)
        if early.result is None:
            self._sent[early.task] = sent  # the task handles its result as that of a final
        else:
            self._on_result(sent, early.result)
        return True

    def _start(self, window_audio: WindowAudio) -> asyncio.Task[None]:
        prompt = self._context.terms.prompt_for(self._context.channel_id)
        window = self._window(window_audio, prompt)
        sent = _SentWindow(window, window_audio.spec, prompt.version, self._context.clock())
        task = asyncio.create_task(self._transcribe(sent), name=f"window {window.id}")
        self._sent[task] = sent
        task.add_done_callback(self._on_task_done)
        return task

    async def wait_for_finals(self, timeout_s: float) -> None:
        """Wait until every final that was sent before this call has a result, at most `timeout_s`."""
        finals = [task for task, sent in self._sent.items() if sent.is_final]
        if finals:
            await asyncio.wait(finals, timeout=timeout_s)

    async def close(self, timeout_s: float) -> None:
        """Wait for the finals. Windows without a result then fail; each final writes `window.failed`."""
        await self.wait_for_finals(timeout_s)
        unanswered = dict(self._sent)
        self._sent.clear()
        for task in unanswered:
            task.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)
        for sent in unanswered.values():
            if sent.is_final:
                self._on_failure(
                    sent, EngineError("deadline", "the channel closed before the engine responded")
                )

    def _window(self, window_audio: WindowAudio, prompt: PromptTerms) -> Window:
        spec, pipeline = window_audio.spec, self._config.pipeline
        is_interim = spec.priority is Priority.INTERIM
        merge = self._utterances[spec.utterance_id].merge
        return Window(
            id=self._context.ids.window(),
            channel=self._context.engine_channel,
            samples=window_audio.samples,
            start_sample=window_audio.start_sample,
            priority=spec.priority,
            language=self._language.language,
            # Not once words of the utterance are final: a speaker changes the language between utterances.
            may_change_language=self._language.may_change and not merge.has_words,
            is_noisy=is_interim and self._noise.is_noisy,
            is_joined=not is_interim and merge.has_words,
            terms=prompt.terms,
            echo_guard=prompt.echo_guard,
            history=merge.history(pipeline.history_words),
            deadline_ms=pipeline.interim_deadline_ms if is_interim else pipeline.final_deadline_ms,
            start_within_ms=0
            if is_interim or not self._context.can_read_later()
            else pipeline.live_lag_ms_max,
        )

    async def _transcribe(self, sent: _SentWindow) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            transcript = await self._context.transcriber.transcribe(sent.window)
        except EngineError as error:
            self._on_failure(self._sent.get(task, sent), error)
        else:
            self._on_result(self._sent.get(task, sent), transcript)  # it may have been confirmed meanwhile

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        sent = self._sent.pop(task, None)
        if task.cancelled() or sent is None:
            return
        error = task.exception()
        if error is not None:  # a fault of this process: the window fails, the channel continues
            logger.error(
                "channel %s: handling a window's result failed", self._context.channel_id, exc_info=error
            )
            self._on_failure(
                sent,
                EngineError("internal", "the result could not be used; the server's log has the details"),
            )

    def _on_result(self, sent: _SentWindow, transcript: Transcript) -> None:
        spec = sent.spec
        if spec.is_early:
            self._on_early_result(sent, transcript)
            return
        if sent.is_final:
            self.counts.finals_decoded += 1
            self._noise.feed(transcript)
        else:
            self.counts.interims_decoded += 1
        if not is_believable(transcript, spec.voiced_ms):
            transcript = replace(transcript, segments=(), end_reason=EndReason.NO_SPEECH)
        asked = sent.window.language
        if self._language.feed(transcript, spec.start_sample, spec.speech_end_sample, asked=asked):
            self._locked()
        utterance = self._utterances.get(spec.utterance_id)
        if utterance is not None:  # None: an interim came after the last final
            if sent.is_final:
                utterance.decoded_to[spec.number] = spec.end_sample
                utterance.unread.read(spec.context_end_sample, spec.end_sample, transcript.unread)
            self._write_events(sent, utterance, utterance.merge.feed(spec, transcript))

    def _on_early_result(self, sent: _SentWindow, transcript: Transcript) -> None:
        """Keep the result for the end of the utterance, and show its text as an interim until then."""
        utterance = self._utterances.get(sent.spec.utterance_id)
        if utterance is None:
            return
        if utterance.early is not None and utterance.early.sent is sent:
            utterance.early.result = transcript
        if is_believable(transcript, sent.spec.voiced_ms):
            shown = replace(sent.spec, priority=Priority.INTERIM, is_last=False)
            self._write_events(sent, utterance, utterance.merge.feed(shown, transcript))
            if self._closing_words.end(transcript):
                self._closed(sent.spec.utterance_id, sent.spec.speech_end_sample)

    def _on_failure(self, sent: _SentWindow, error: EngineError) -> None:
        if sent.spec.is_early:
            utterance = self._utterances.get(sent.spec.utterance_id)
            if utterance is not None and utterance.early is not None and utterance.early.sent is sent:
                utterance.early.has_failed = True  # the final is sent again when the utterance ends
            return
        if not sent.is_final:
            if error.code == "shed":
                self.counts.interims_shed += 1
            else:
                self.counts.interims_failed += 1
            return
        spec = sent.spec
        where = (self._context.channel_id, sent.window.id, spec.utterance_id)
        if error.code == BEHIND:
            self.counts.finals_behind += 1
            self._behind_at_s = self._context.clock()
            logger.debug("channel %s: window %s of %s is decoded later", *where)
        else:
            self.counts.finals_failed += 1
            logger.warning("channel %s: window %s of %s failed: %s (%s)", *where, error.message, error.code)
        utterance = self._utterances.get(spec.utterance_id)
        if utterance is not None:
            utterance.lines.failed(spec, sent.window.id, error)
            # Only time that no neighbouring window transcribed is failed: the window before covers its start.
            decoded_to = utterance.decoded_to.get(spec.number - 1, 0)
            self._note_failed(utterance, spec, decoded_to, error)
            self._write_events(sent, utterance, utterance.merge.fail(spec))
            self._last_words = ()  # the next utterance must not take the words that are missing here
            self._note(max(utterance.start_sample, spec.start_sample), decoded_to)

    def _write_events(self, sent: _SentWindow, utterance: _Utterance, events: Sequence[MergeEvent]) -> None:
        for event in events:
            if isinstance(event, Committed):
                end = utterance.speech_end_sample
                last_sample = event.end_sample if end is None else end
                utterance.lines.finals(event, last_sample, sent.glossary_version)
                to_sample = last_sample if event.is_last else min(event.end_sample, last_sample)
                self._note_transcribed(utterance, max(event.start_sample, utterance.start_sample), to_sample)
            else:
                utterance.lines.interim(event)
                self._note_first_interim(utterance)
        utterance_id = sent.spec.utterance_id
        if utterance.merge.is_done:
            self._last_words = utterance.merge.tail
            self._utterances.pop(utterance_id, None)
            if len(self._utterances) == 1:  # the one behind it, which began before these words were final
                next(iter(self._utterances.values())).merge.know_before(self._last_words)
        else:
            merge = utterance.merge
            self._commit(utterance_id, merge.window_commit_sample, merge.restart_sample)

    def _note_transcribed(self, utterance: _Utterance, start_sample: int, end_sample: int) -> None:
        """Report the range as transcribed, except for speech without words."""
        for start, end, reason in utterance.unread.split(start_sample, end_sample):
            if reason is None:
                self._note(start, end)
            else:
                self._note(start, end, CoverageState.FAILED, reason.value)
        utterance.unread.forget(end_sample)

    def _note_failed(
        self, utterance: _Utterance, spec: WindowSpec, decoded_to: int, error: EngineError
    ) -> None:
        end = spec.next_start_sample
        if utterance.speech_end_sample is not None:
            end = min(end, utterance.speech_end_sample)
        start = max(utterance.start_sample, spec.start_sample, decoded_to)
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
            self.counts.first_interim_ms = round((self._context.clock() - utterance.began_s) * 1000)
