"""The speech pipeline of one channel: takes blocks, writes events.

This module runs the channel's task and keeps its state (`talking`, `idle`, `behind`). It passes blocks to a
thread (`intake.py`, `analysis.py`), and windows to the engine (`window_requests.py`).
Invariants: `feed` never waits; the event loop does no heavy computation; when `close` returns, the last audio
has become finals or `window.failed`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

from host_stt.contract import Priority
from webrtc_host import events
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    Block,
    ChannelState,
    Clock,
    CoverageNotes,
    CoverageState,
    Transcriber,
    ms_of,
)
from webrtc_host.speech.analysis import AnalysisEvent, SpeechAnalysis, WindowAudio
from webrtc_host.speech.endpointing import SpeechEnded, SpeechStarted
from webrtc_host.speech.final_text import TextStage
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.intake import Intake
from webrtc_host.speech.language import LanguageLock
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.window_requests import ChannelContext, Terms, WindowRequests

logger = logging.getLogger(__name__)

TICK_S = 0.1
PAUSE_BATCH_MS = 40
"""While speech pauses, audio is analysed in pieces of this length, so that the end is found without delay."""
BEHIND_SHOWN_S = 5.0
"""A channel stays `behind` for so long after a final of it was left for later."""
STOPPED = "stopped"  # coverage reason of audio that came after the pipeline had stopped


@dataclass(frozen=True, slots=True)
class PipelineStatistics:
    """Counters of one pipeline, and what waits in it now."""

    queued_ms: int
    shed_ms: int  # audio dropped because the queue was full
    finals_sent: int
    finals_decoded: int
    finals_failed: int
    finals_behind: int
    early_sent: int
    early_used: int
    interims_sent: int
    interims_decoded: int
    interims_shed: int
    interims_failed: int
    in_flight: int
    first_interim_ms: int | None  # start of speech -> its first interim, of the newest utterance


class ChannelPipeline:
    """One per opening of a channel. Call `start`, `feed` (in the event loop), and `close`."""

    def __init__(
        self,
        channel_id: str,
        config: SpeechConfig,
        transcriber: Transcriber,
        sink: events.EventSink,
        terms: Terms,
        language: str,
        executor: Executor | None,
        ids: Ids,
        clock: Clock,
        *,
        engine_channel: str | None = None,
        notes: CoverageNotes | None = None,
        stages: Sequence[TextStage] = (),
        has_free_engine: Callable[[], bool] = lambda: True,
        has_room_for_context: Callable[[Priority], bool] = lambda _: True,
        can_read_later: Callable[[], bool] = lambda: False,
    ) -> None:
        """executor: threads for the VAD; None: the loop's default ones. stages: change the text of finals.

        engine_channel: the channel's name in requests to the engine; None: channel_id. It must differ between
        sessions, because an interim replaces an older one with the same name. notes: gets the coverage.
        has_free_engine: early finals are sent only while it returns True. has_room_for_context:
        windows of a priority have earlier speech as context only while it returns True; called in any
        thread. can_read_later: whether recovery can decode the channel's audio later; then a final does not
        wait longer than live_lag_ms_max.
        """
        self._channel_id = channel_id
        self._config = config
        self._sink = sink
        self._executor = executor
        self._clock = clock
        pipeline = config.pipeline
        self._notes = notes
        self._silence_to = 0  # audio before it is in an utterance, or was reported as silence
        self._intake = Intake(channel_id, pipeline.backlog_ms_max, pipeline.batch_ms, notes)
        self._analysis = SpeechAnalysis(config, ids.utterance, has_room_for_context)
        self._language = LanguageLock(config.language, language)
        self._requests = WindowRequests(
            ChannelContext(
                channel_id,
                engine_channel or channel_id,
                transcriber,
                sink,
                terms,
                ids,
                clock,
                stages,
                has_free_engine,
                can_read_later,
            ),
            config,
            self._language,
            commit=self._analysis.commit,
            locked=self._language_locked,
            closed=self._close_utterance,
            notes=notes,
        )
        self._state = ChannelState.IDLE
        self._is_analysing = False  # the analysis runs in a thread
        self._closing_word: tuple[str, int] | None = None  # came meanwhile: utterance, its end
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._closing: asyncio.Task[None] | None = None
        self._fed_to = 0  # end of the newest block
        self._force_at: int | None = None  # end the utterance when the audio before it is analysed
        self._forced = asyncio.Event()

    @property
    def pause_ms(self) -> int:
        """The silence since the last speech, in the audio that was analysed; 0 during speech."""
        return ms_of(self._analysis.pause_samples)

    @property
    def state(self) -> ChannelState:
        return self._state

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"speech {self._channel_id}")

    def feed(self, block: Block) -> None:
        """Take a block; never waits. When the queue is full, the block is shed: dropped, counted, logged."""
        if self._is_closing or (self._task is not None and self._task.done()):
            self._intake.refuse(block)  # the pipeline has ended
            self._note(block.start_sample, block.end_sample, CoverageState.FAILED, STOPPED)
        else:
            self._fed_to = block.end_sample
            self._intake.put(block)

    async def wait_for_space(self) -> None:
        """For sources faster than real time (files): wait while more than half of the queue is used."""
        await self._intake.wait_for_space()

    async def force_end(self) -> None:
        """End the utterance after the audio fed so far, and wait up to close_timeout_ms for its finals."""
        if self._is_closing or self._task is None or self._task.done():
            return
        self._force_at = self._fed_to
        self._forced.clear()
        self._intake.wake()
        timeout_s = self._config.pipeline.close_timeout_ms / 1000
        try:
            async with asyncio.timeout(timeout_s):
                await self._forced.wait()
        except TimeoutError:
            logger.warning("channel %s: the utterance was not ended in %g s", self._channel_id, timeout_s)
        await self._requests.wait_for_finals(timeout_s)

    def set_language(self, language: str) -> None:
        """Change the language of the channel, as its sender asks: a code, or `auto` to detect it again."""
        self._language.choose(language)

    async def close(self) -> None:
        """Process the queue, end the utterance, and wait up to close_timeout_ms for the last results.

        A second call waits for the same end. Cancelling a caller does not cancel the closing itself.
        """
        if self._closing is None:
            self._is_closing = True
            self._intake.wake()
            self._closing = asyncio.create_task(self._close(), name=f"close speech {self._channel_id}")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._task is not None:
            await self._task
        await self._requests.close(self._config.pipeline.close_timeout_ms / 1000)
        self._update_state()
        self._analysis.release()

    def statistics(self) -> PipelineStatistics:
        counts = self._requests.counts
        return PipelineStatistics(
            queued_ms=ms_of(self._intake.samples),
            shed_ms=ms_of(self._intake.shed_samples),
            finals_sent=counts.finals_sent,
            finals_decoded=counts.finals_decoded,
            finals_failed=counts.finals_failed,
            finals_behind=counts.finals_behind,
            early_sent=counts.early_sent,
            early_used=counts.early_used,
            interims_sent=counts.interims_sent,
            interims_decoded=counts.interims_decoded,
            interims_shed=counts.interims_shed,
            interims_failed=counts.interims_failed,
            in_flight=self._requests.in_flight,
            first_interim_ms=counts.first_interim_ms,
        )

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not self._is_closing or self._intake:
                await self._step(loop)
            with self._analysing():
                found = await loop.run_in_executor(self._executor, self._analysis.flush, self._clock())
            self._handle(found)
            self._note_silence(self._analysis.position)
            self._forced.set()
        except Exception:
            logger.exception("channel %s: the speech pipeline failed", self._channel_id)
            message = f"speech on {self._channel_id} stopped; the server's log has the details"
            code = events.ErrorCode.INTERNAL
            self._sink.emit(events.error_report(code, message, channel=self._channel_id))

    async def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_closing:
            batch_ms = self._config.pipeline.batch_ms
            self._intake.set_batch(min(batch_ms, PAUSE_BATCH_MS) if self._analysis.is_pausing else batch_ms)
            await self._intake.wait_for_batch(TICK_S)
        blocks = self._intake.take()
        if blocks:
            with self._analysing():
                runs = await loop.run_in_executor(self._executor, self._analysis.analyse, blocks)
            self._handle(self._analysis.decide(runs, self._clock()))
        else:
            self._handle(self._analysis.on_tick(self._clock()))
        if self._closing_word is not None:
            self._close_utterance(*self._closing_word)
        self._end_if_forced()
        self._note_silence(self._analysis.settled_sample)
        self._update_state()

    def _end_if_forced(self) -> None:
        """End the utterance when its sender has asked for it, and the audio sent before is analysed."""
        at = self._force_at
        if at is not None and (self._analysis.position >= at or not self._intake):
            self._force_at = None
            self._handle(self._analysis.force_end())
            self._forced.set()

    @contextmanager
    def _analysing(self) -> Iterator[None]:
        self._is_analysing = True
        try:
            yield
        finally:
            self._is_analysing = False

    def _close_utterance(self, utterance_id: str, end_sample: int) -> None:
        """End an utterance whose text closes the transmission, now or when the analysis is back."""
        self._closing_word = (utterance_id, end_sample) if self._is_analysing else None
        if not self._is_analysing:
            self._handle(self._analysis.close_utterance(utterance_id, end_sample))

    def _handle(self, found: Sequence[AnalysisEvent]) -> None:
        for item in found:
            match item:
                case SpeechStarted():
                    self._started(item)
                case SpeechEnded():
                    self._ended(item)
                case WindowAudio():
                    self._requests.send(item)

    def _note_silence(self, sample: int) -> None:
        """Report audio before `sample` that is in no utterance as silence."""
        if sample > self._silence_to:
            self._note(self._silence_to, sample, CoverageState.SILENCE)
            self._silence_to = sample

    def _note(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        if self._notes is not None:
            self._notes.decide(start_sample, end_sample, state, reason)

    def _started(self, event: SpeechStarted) -> None:
        self._note_silence(event.start_sample)
        age_s = max(0, self._analysis.position - event.start_sample) / (1000 * SAMPLES_PER_MS)
        self._requests.started(event, age_s)
        start_ms = ms_of(event.start_sample)
        self._sink.emit(events.speech_started(self._channel_id, event.utterance_id, start_ms))
        self._update_state()

    def _ended(self, event: SpeechEnded) -> None:
        self._requests.ended(event)
        self._silence_to = max(self._silence_to, event.end_sample)
        self._sink.emit(
            events.speech_ended(
                self._channel_id,
                event.utterance_id,
                ms_of(event.start_sample),
                ms_of(event.end_sample),
                event.rule,
            )
        )

    def _language_locked(self) -> None:
        logger.info("channel %s: language locked to %s", self._channel_id, self._language.language)
        self._emit_state()

    def _update_state(self) -> None:
        state = self._current_state()
        if state is not self._state:
            self._state = state
            self._emit_state()

    def _current_state(self) -> ChannelState:
        oldest_s = self._requests.oldest_final_s()
        is_late = oldest_s is not None and oldest_s * 1000 > self._config.pipeline.behind_after_ms
        is_late = is_late or self._requests.behind_s() < BEHIND_SHOWN_S
        if is_late or (self._intake.is_shedding and not self._is_closing):
            return ChannelState.BEHIND
        return ChannelState.TALKING if self._analysis.is_speaking else ChannelState.IDLE

    def _emit_state(self) -> None:
        self._sink.emit(
            events.channel_state(
                self._channel_id,
                self._state,
                ms_of(self._analysis.position),
                language=self._language.language if self._language.is_locked else None,
            )
        )
