"""The speech pipeline of one channel: blocks in, events out.

Owns the channel's task and its state (`talking`, `idle`, `behind`); carries blocks to a thread (intake.py,
hearing.py), windows to the engine and texts to the sink (readings.py). Invariants: `feed` never waits; the
event loop never computes; when `close` returns, the last words are finals or `window.failed`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

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
from webrtc_host.speech.endpointing import SpeechEnded, SpeechStarted
from webrtc_host.speech.final_text import TextStage
from webrtc_host.speech.hearing import Heard, Hearing, WindowHeard
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.intake import Intake
from webrtc_host.speech.language import LanguageLock
from webrtc_host.speech.readings import Readings, Surroundings, Terms
from webrtc_host.speech.settings import SpeechConfig

logger = logging.getLogger(__name__)

TICK_S = 0.1
STOPPED = "stopped"  # why audio failed whose pipeline has stopped


@dataclass(frozen=True, slots=True)
class PipelineStatistics:
    queued_ms: int
    shed_ms: int  # audio refused because the queue was full
    finals_asked: int
    finals_answered: int
    finals_failed: int
    interims_asked: int
    interims_answered: int
    interims_shed: int
    interims_failed: int
    in_flight: int
    first_interim_ms: int | None  # speech began -> its first interim emitted; newest utterance that had one


class ChannelPipeline:
    """`start`, `feed` from the event loop's thread, `close`. One per opening of a channel."""

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
    ) -> None:
        """executor: threads for the VAD; None: the loop's own. engine_channel: the channel's name towards
        the engine, which must differ between sessions (an interim replaces the older one of its name);
        channel_id when not given. notes: told what became of the audio. stages: change the text of finals.
        """
        self._channel_id = channel_id
        self._config = config
        self._sink = sink
        self._executor = executor
        self._clock = clock
        pipeline = config.pipeline
        self._notes = notes
        self._settled_sample = 0  # before it, audio is silence or belongs to an utterance
        self._intake = Intake(channel_id, pipeline.backlog_ms_max, pipeline.batch_ms, notes)
        self._hearing = Hearing(config, ids.utterance)
        self._language = LanguageLock(config.language, language)
        self._readings = Readings(
            Surroundings(
                channel_id, engine_channel or channel_id, transcriber, sink, terms, ids, clock, stages
            ),
            config,
            self._language,
            commit=self._hearing.commit,
            locked=self._language_locked,
            notes=notes,
        )
        self._state = ChannelState.IDLE
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def state(self) -> ChannelState:
        return self._state

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"speech {self._channel_id}")

    def feed(self, block: Block) -> None:
        """Take a block; never waits. When the queue is full the block is shed: counted, and said."""
        if self._is_closing or (self._task is not None and self._task.done()):
            self._intake.shed_samples += len(block.samples)  # nobody listens any more
            self._note(block.start_sample, block.end_sample, CoverageState.FAILED, STOPPED)
        else:
            self._intake.put(block)

    async def room(self) -> None:
        """For sources faster than real time (files): waits while more than half of the queue is taken."""
        await self._intake.room()

    async def close(self) -> None:
        """Hear out what is queued, end the utterance, wait up to close_timeout_ms for its last words.

        Whoever calls again waits for the same end; one who stops waiting does not stop it.
        """
        if self._closing is None:
            self._is_closing = True
            self._intake.wake()
            self._closing = asyncio.create_task(self._close(), name=f"close speech {self._channel_id}")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._task is not None:
            await self._task
        await self._readings.close(self._config.pipeline.close_timeout_ms / 1000)
        self._tell_state()
        self._hearing.release()

    def statistics(self) -> PipelineStatistics:
        counts = self._readings.counts
        return PipelineStatistics(
            queued_ms=ms_of(self._intake.samples),
            shed_ms=ms_of(self._intake.shed_samples),
            finals_asked=counts.finals_asked,
            finals_answered=counts.finals_answered,
            finals_failed=counts.finals_failed,
            interims_asked=counts.interims_asked,
            interims_answered=counts.interims_answered,
            interims_shed=counts.interims_shed,
            interims_failed=counts.interims_failed,
            in_flight=self._readings.in_flight,
            first_interim_ms=counts.first_interim_ms,
        )

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while not self._is_closing or self._intake:
                await self._step(loop)
            heard = await loop.run_in_executor(self._executor, self._hearing.flush, self._clock())
            self._act(heard)
            self._settle(self._hearing.position)
        except Exception:
            logger.exception("channel %s: the speech pipeline failed", self._channel_id)
            message = f"speech on {self._channel_id} stopped; the server's log has the details"
            self._sink.emit(events.ErrorReported(channel=self._channel_id, code="internal", message=message))

    async def _step(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._is_closing:
            await self._intake.batch(TICK_S)
        blocks = self._intake.take()
        if blocks:
            runs = await loop.run_in_executor(self._executor, self._hearing.analyse, blocks)
            self._act(self._hearing.decide(runs, self._clock()))
        else:
            self._act(self._hearing.on_tick(self._clock()))
        self._settle(self._hearing.settled_sample)
        self._tell_state()

    def _act(self, heard: Sequence[Heard]) -> None:
        for item in heard:
            match item:
                case SpeechStarted():
                    self._started(item)
                case SpeechEnded():
                    self._ended(item)
                case WindowHeard():
                    self._readings.ask(item)

    def _settle(self, sample: int) -> None:
        """Audio before `sample` that is in no utterance was silence."""
        if sample > self._settled_sample:
            self._note(self._settled_sample, sample, CoverageState.SILENCE)
            self._settled_sample = sample

    def _note(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        if self._notes is not None:
            self._notes.decide(start_sample, end_sample, state, reason)

    def _started(self, event: SpeechStarted) -> None:
        self._settle(event.start_sample)
        age_s = max(0, self._hearing.position - event.start_sample) / (1000 * SAMPLES_PER_MS)
        self._readings.started(event, age_s)
        self._sink.emit(
            events.SpeechStarted(
                channel=self._channel_id,
                utterance=event.utterance_id,
                start_ms=ms_of(event.start_sample),
            )
        )
        self._tell_state()

    def _ended(self, event: SpeechEnded) -> None:
        self._readings.ended(event)
        self._settled_sample = max(self._settled_sample, event.end_sample)
        self._sink.emit(
            events.SpeechEnded(
                channel=self._channel_id,
                utterance=event.utterance_id,
                start_ms=ms_of(event.start_sample),
                end_ms=ms_of(event.end_sample),
                rule=event.rule.value,
            )
        )

    def _language_locked(self) -> None:
        logger.info("channel %s: language locked to %s", self._channel_id, self._language.language)
        self._emit_state()

    def _tell_state(self) -> None:
        state = self._wanted_state()
        if state is not self._state:
            self._state = state
            self._emit_state()

    def _wanted_state(self) -> ChannelState:
        oldest_s = self._readings.oldest_final_s()
        is_late = oldest_s is not None and oldest_s * 1000 > self._config.pipeline.behind_after_ms
        if is_late or (self._intake.is_shedding and not self._is_closing):
            return ChannelState.BEHIND
        return ChannelState.TALKING if self._hearing.is_speaking else ChannelState.IDLE

    def _emit_state(self) -> None:
        self._sink.emit(
            events.ChannelStateChanged(
                channel=self._channel_id,
                state=self._state,
                language=self._language.language if self._language.is_locked else None,
                at_ms=ms_of(self._hearing.position),
            )
        )
