"""The speech pipeline of one channel: blocks in, events out.

Owns the channel's queue, its task and the windows it has asked for. The cores decide (hearing.py, merge.py,
language.py); this shell carries: blocks to a thread, windows to the engine, events to the sink. Invariants:
`feed` never waits; the event loop never computes; every final window ends as text, as nothing said, or as
`window.failed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from host_stt.contract import Priority, Transcript, Window
from webrtc_host.errors import EngineError
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    Block,
    ChannelState,
    Clock,
    EventSink,
    EventType,
    Transcriber,
    ms_of,
)
from webrtc_host.speech.endpointing import SpeechEnded, SpeechStarted
from webrtc_host.speech.glossary import PromptTerms
from webrtc_host.speech.hearing import Heard, Hearing, WindowHeard
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.language import LanguageLock
from webrtc_host.speech.lines import LineWriter
from webrtc_host.speech.merge import Committed, MergeEvent, UtteranceMerge
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.windowing import WindowWanted

logger = logging.getLogger(__name__)

TICK_S = 0.1
PIECE_SAMPLES = 1000 * SAMPLES_PER_MS
"""A longer block is taken in pieces: the ring must not run ahead of the windows cut from it."""


class Terms(Protocol):
    """Where a window's glossary terms come from; speech.glossary.Glossary in life."""

    def prompt_for(self, channel: str) -> PromptTerms: ...


@dataclass(frozen=True, slots=True)
class PipelineStatistics:
    queued_ms: int
    shed_ms: int  # audio refused because the queue was full
    finals_asked: int
    finals_answered: int
    finals_failed: int
    interims_asked: int
    interims_answered: int
    interims_shed: int  # replaced by newer ones, or not asked because two were on their way
    interims_failed: int
    in_flight: int
    first_interim_ms: int | None  # speech began -> first interim emitted; newest utterance


@dataclass(slots=True)
class _Counts:
    shed_samples: int = 0
    finals_asked: int = 0
    finals_answered: int = 0
    finals_failed: int = 0
    interims_asked: int = 0
    interims_answered: int = 0
    interims_shed: int = 0
    interims_failed: int = 0
    first_interim_ms: int | None = None


@dataclass(slots=True)
class _Utterance:
    start_sample: int
    merge: UtteranceMerge
    lines: LineWriter
    began_s: float  # when speech.started was decided, on the clock
    onset_ms: int  # how much older than that its speech is
    speech_end_sample: int | None = None
    glossary_version: int = 0
    has_interim: bool = False


@dataclass(slots=True)
class _Asked:
    window_id: str
    heard: WindowHeard
    glossary_version: int
    asked_s: float


@dataclass(slots=True)
class _Queue:
    blocks: deque[Block] = field(default_factory=deque)
    samples: int = 0
    is_shedding: bool = False


class ChannelPipeline:
    """`start`, `feed` from the event loop's thread, `close`. One per opening of a channel."""

    def __init__(
        self,
        channel_id: str,
        config: SpeechConfig,
        transcriber: Transcriber,
        sink: EventSink,
        terms: Terms,
        language: str,
        executor: Executor | None,
        ids: Ids,
        clock: Clock,
        *,
        engine_channel: str | None = None,
    ) -> None:
        """executor: threads for the VAD; None: the loop's own. engine_channel: the channel's name towards
        the engine, which must differ between sessions (an interim replaces the older one of its name);
        channel_id when not given.
        """
        self._channel_id = channel_id
        self._engine_channel = engine_channel or channel_id
        self._config = config
        self._transcriber = transcriber
        self._sink = sink
        self._terms = terms
        self._executor = executor
        self._ids = ids
        self._clock = clock
        self._language = LanguageLock(config.language, language)
        self._hearing = Hearing(config, ids.utterance)
        self._queue = _Queue()
        self._wake = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._utterances: dict[str, _Utterance] = {}
        self._asked: dict[asyncio.Task[None], _Asked] = {}
        self._state = ChannelState.IDLE
        self._counts = _Counts()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    # --- what others call -----------------------------------------------------------------------------------

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"speech {self._channel_id}")

    def feed(self, block: Block) -> None:
        """Take a block; never waits. When the queue is full the block is shed: counted, and said once per
        time."""
        queue = self._queue
        if self._is_closing or (self._task is not None and self._task.done()):
            self._counts.shed_samples += len(block.samples)
            return
        for piece in _pieces(block):
            if queue.samples + len(piece.samples) > self._limit:
                self._shed(piece)
                continue
            queue.blocks.append(piece)
            queue.samples += len(piece.samples)
        if queue.samples >= self._config.pipeline.batch_ms * SAMPLES_PER_MS:
            self._wake.set()
        if queue.samples > self._limit // 2:
            self._has_room.clear()

    async def room(self) -> None:
        """For sources faster than real time (files): waits until the queue is at most half full."""
        await self._has_room.wait()

    async def close(self) -> None:
        """Hear out what is queued, end the utterance, wait for its last words: up to close_timeout_ms, then
        they fail."""
        if self._is_closing:
            return
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        finals = [t for t, a in self._asked.items() if a.heard.wanted.priority is Priority.FINAL]
        if finals:
            await asyncio.wait(finals, timeout=self._config.pipeline.close_timeout_ms / 1000)
        await self._give_up()

    def statistics(self) -> PipelineStatistics:
        counts = self._counts
        return PipelineStatistics(
            queued_ms=ms_of(self._queue.samples),
            shed_ms=ms_of(counts.shed_samples),
            finals_asked=counts.finals_asked,
            finals_answered=counts.finals_answered,
            finals_failed=counts.finals_failed,
            interims_asked=counts.interims_asked,
            interims_answered=counts.interims_answered,
            interims_shed=counts.interims_shed,
            interims_failed=counts.interims_failed,
            in_flight=len(self._asked),
            first_interim_ms=counts.first_interim_ms,
        )

    @property
    def state(self) -> ChannelState:
        return self._state

    # --- the task -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._is_closing or self._queue.blocks:
                await self._step()
            self._act(await self._compute_flush())
        except Exception as error:
            logger.exception("channel %s: the speech pipeline failed", self._channel_id)
            self._sink.emit(
                EventType.ERROR,
                self._channel_id,
                code="internal",
                message=f"speech on {self._channel_id} stopped: {type(error).__name__}",
            )

    async def _step(self) -> None:
        if not self._is_closing and self._queue.samples < self._config.pipeline.batch_ms * SAMPLES_PER_MS:
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
        blocks = self._take()
        now = self._clock()
        if blocks:
            loop = asyncio.get_running_loop()
            runs = await loop.run_in_executor(self._executor, self._hearing.analyse, blocks)
            self._act(self._hearing.decide(runs, now))
        else:
            self._act(self._hearing.on_tick(now))
        self._tell_state()

    async def _compute_flush(self) -> list[Heard]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._hearing.flush, self._clock())

    def _take(self) -> list[Block]:
        """Up to a second of audio, so that one hop to the thread stays short."""
        queue, taken, samples = self._queue, [], 0
        while queue.blocks and samples < PIECE_SAMPLES:
            block = queue.blocks.popleft()
            taken.append(block)
            samples += len(block.samples)
        queue.samples -= samples
        if queue.samples <= self._limit // 2:
            self._has_room.set()
        if queue.samples == 0:
            queue.is_shedding = False
        return taken

    @property
    def _limit(self) -> int:
        return self._config.pipeline.backlog_ms_max * SAMPLES_PER_MS

    def _shed(self, block: Block) -> None:
        self._counts.shed_samples += len(block.samples)
        if not self._queue.is_shedding:
            self._queue.is_shedding = True
            logger.warning(
                "channel %s: audio is shed, %s ms already wait for the VAD",
                self._channel_id,
                ms_of(self._queue.samples),
            )
        self._tell_state()

    def _act(self, heard: Sequence[Heard]) -> None:
        for item in heard:
            match item:
                case SpeechStarted():
                    self._started(item)
                case SpeechEnded():
                    self._ended(item)
                case WindowHeard():
                    self._ask(item)

    def _started(self, event: SpeechStarted) -> None:
        onset_ms = max(0, ms_of(self._hearing.position - event.start_sample))
        lines = LineWriter(self._channel_id, event.start_sample, self._sink, self._ids, self._config.segments)
        self._utterances[event.utterance_id] = _Utterance(
            event.start_sample,
            UtteranceMerge(event.utterance_id, event.start_sample),
            lines,
            self._clock(),
            onset_ms,
        )
        self._sink.emit(
            EventType.SPEECH_STARTED,
            self._channel_id,
            utterance=event.utterance_id,
            start_ms=ms_of(event.start_sample),
        )
        self._tell_state()

    def _ended(self, event: SpeechEnded) -> None:
        self._utterances[event.utterance_id].speech_end_sample = event.end_sample
        self._sink.emit(
            EventType.SPEECH_ENDED,
            self._channel_id,
            utterance=event.utterance_id,
            start_ms=ms_of(event.start_sample),
            end_ms=ms_of(event.end_sample),
            rule=event.rule.value,
        )

    def _tell_state(self) -> None:
        state = self._wanted_state()
        if state is not self._state:
            self._state = state
            self._emit_state()

    def _wanted_state(self) -> ChannelState:
        late_s = self._clock() - self._config.pipeline.behind_after_ms / 1000
        if self._queue.is_shedding or any(
            a.asked_s < late_s for a in self._asked.values() if a.heard.wanted.priority is Priority.FINAL
        ):
            return ChannelState.BEHIND
        return ChannelState.TALKING if self._hearing.is_speaking else ChannelState.IDLE

    def _emit_state(self) -> None:
        language = self._language.language if self._language.is_locked else None
        fields = {} if language is None else {"language": language}
        at_ms = ms_of(self._hearing.position)
        self._sink.emit(
            EventType.CHANNEL_STATE, self._channel_id, state=self._state.value, at_ms=at_ms, **fields
        )

    # --- windows --------------------------------------------------------------------------------------------

    def _ask(self, heard: WindowHeard) -> None:
        is_interim = heard.wanted.priority is Priority.INTERIM
        if is_interim:
            on_their_way = sum(a.heard.wanted.priority is Priority.INTERIM for a in self._asked.values())
            if on_their_way >= self._config.pipeline.interims_in_flight_max:
                self._counts.interims_shed += 1
                return
            self._counts.interims_asked += 1
        else:
            self._counts.finals_asked += 1
        prompt = self._terms.prompt_for(self._channel_id)
        window = self._window(heard, prompt)
        asked = _Asked(window.id, heard, prompt.version, self._clock())
        task = asyncio.create_task(self._transcribe(window, asked), name=f"window {window.id}")
        self._asked[task] = asked
        task.add_done_callback(self._answered)

    def _window(self, heard: WindowHeard, prompt: PromptTerms) -> Window:
        wanted, pipeline = heard.wanted, self._config.pipeline
        is_interim = wanted.priority is Priority.INTERIM
        merge = self._utterances[wanted.utterance_id].merge
        return Window(
            id=self._ids.window(),
            channel=self._engine_channel,
            samples=heard.samples,
            start_sample=heard.start_sample,
            priority=wanted.priority,
            language=self._language.language,
            terms=prompt.terms,
            history=merge.history(pipeline.history_words),
            deadline_ms=pipeline.interim_deadline_ms if is_interim else pipeline.final_deadline_ms,
        )

    async def _transcribe(self, window: Window, asked: _Asked) -> None:
        wanted = asked.heard.wanted
        try:
            transcript = await self._transcriber.transcribe(window)
        except EngineError as error:
            self._failed(asked, error)
        else:
            self._read(wanted, transcript, asked.glossary_version)

    def _answered(self, task: asyncio.Task[None]) -> None:
        asked = self._asked.pop(task, None)
        if task.cancelled() or asked is None:
            return
        error = task.exception()
        if error is not None:  # a bug on this side: the window fails, the channel goes on
            logger.error("channel %s: reading a window failed", self._channel_id, exc_info=error)
            self._failed(asked, EngineError("internal", f"unusable answer: {type(error).__name__}"))
        if not self._is_closing:
            self._tell_state()

    def _read(self, wanted: WindowWanted, transcript: Transcript, glossary_version: int) -> None:
        is_interim = wanted.priority is Priority.INTERIM
        if is_interim:
            self._counts.interims_answered += 1
        else:
            self._counts.finals_answered += 1
        if self._language.feed(transcript, wanted.start_sample, wanted.speech_end_sample):
            logger.info("channel %s: language locked to %s", self._channel_id, self._language.language)
            self._emit_state()
        utterance = self._utterances.get(wanted.utterance_id)
        if utterance is None:
            return  # an interim that came after the last final
        if not is_interim:
            utterance.glossary_version = glossary_version
        self._tell(wanted.utterance_id, utterance, utterance.merge.feed(wanted, transcript))

    def _failed(self, asked: _Asked, error: EngineError) -> None:
        wanted = asked.heard.wanted
        if wanted.priority is Priority.INTERIM:
            if error.code == "shed":
                self._counts.interims_shed += 1
            else:
                self._counts.interims_failed += 1
            return
        self._counts.finals_failed += 1
        logger.warning(
            "channel %s: window %s of %s failed: %s (%s)",
            self._channel_id,
            asked.window_id,
            wanted.utterance_id,
            error.message,
            error.code,
        )
        utterance = self._utterances.get(wanted.utterance_id)
        if utterance is not None:
            utterance.lines.failed(wanted, asked.window_id, error)
            self._tell(wanted.utterance_id, utterance, utterance.merge.fail(wanted))

    def _tell(self, utterance_id: str, utterance: _Utterance, events: Sequence[MergeEvent]) -> None:
        for event in events:
            if isinstance(event, Committed):
                last = utterance.speech_end_sample
                last = event.end_sample if last is None else last
                utterance.lines.finals(event, last, utterance.glossary_version)
            else:
                utterance.lines.interim(event)
                self._note_first_interim(utterance)
        if utterance.merge.is_done:
            self._utterances.pop(utterance_id, None)
        else:
            self._hearing.commit(utterance_id, utterance.merge.commit_sample)

    def _note_first_interim(self, utterance: _Utterance) -> None:
        if not utterance.has_interim:
            utterance.has_interim = True
            waited_ms = int((self._clock() - utterance.began_s) * 1000)
            self._counts.first_interim_ms = utterance.onset_ms + waited_ms

    async def _give_up(self) -> None:
        """The time for closing is over: whatever is unanswered fails now, finals visibly."""
        unanswered = dict(self._asked)
        self._asked.clear()
        for task in unanswered:
            task.cancel()
        await asyncio.gather(*unanswered, return_exceptions=True)
        for asked in unanswered.values():
            if asked.heard.wanted.priority is Priority.FINAL:
                error = EngineError("deadline", "the channel was closed before the engine answered")
                self._failed(asked, error)


def _pieces(block: Block) -> list[Block]:
    n = len(block.samples)
    if n <= PIECE_SAMPLES:
        return [block]
    return [
        Block(block.start_sample + at, block.samples[at : at + PIECE_SAMPLES], block.kind)
        for at in range(0, n, PIECE_SAMPLES)
    ]
