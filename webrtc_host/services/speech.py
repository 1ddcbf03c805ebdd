"""The speech service: the connection to the engine, the glossary, and a pipeline for every open channel.

It makes these objects, starts and stops them, and sums their statistics; `speech/` does the work.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from host_stt.contract import Priority
from webrtc_host.config import MediaProcessConfig
from webrtc_host.errors import ConfigError
from webrtc_host.events import ChannelStateChanged, Event, EventSink, SegmentFinal
from webrtc_host.glossary.entries import PromptTerms
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.prompt import ChannelPrompts, HeardTerms
from webrtc_host.glossary.store import Glossary
from webrtc_host.seams import (
    SAMPLES_PER_MS,
    Block,
    ChannelState,
    CoverageNotes,
    Transcriber,
)
from webrtc_host.session.channel import Channel
from webrtc_host.session.channel_seams import Pipeline
from webrtc_host.speech.connection_terms import ConnectionTermsStage
from webrtc_host.speech.final_text import FinalText, TextStage
from webrtc_host.speech.glossary_stage import GlossaryStage
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline, PipelineStatistics
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.transcriber import EngineClient, TranscriberConfig

logger = logging.getLogger(__name__)

GLOSSARY_FILE = "glossary.yaml"
VAD_THREADS = 4
"""Silero takes 1-2 ms per second of audio and channel; four threads are enough for one engine's channels."""
PAST_CLOSE_MS = 60_000
"""Time for the last finals of a pipeline that reads past audio: a minute of audio may come at once."""


@dataclass(slots=True)
class Totals:
    """Sums since the start of the process, over all channels."""

    blocks: int = 0
    samples: int = 0
    shed_ms: int = 0
    interims_shed: int = 0
    finals_behind: int = 0
    early_sent: int = 0
    early_used: int = 0

    def count_block(self, block: Block) -> None:
        self.blocks += 1
        self.samples += len(block.samples)

    def add_ended(self, figures: PipelineStatistics) -> None:
        """Add the figures of a pipeline that has ended."""
        self.shed_ms += figures.shed_ms
        self.interims_shed += figures.interims_shed
        self.finals_behind += figures.finals_behind
        self.early_sent += figures.early_sent
        self.early_used += figures.early_used


class SpeechService:
    """One per process; `running` is one of the server's start steps."""

    def __init__(self, config: MediaProcessConfig, stages: Sequence[TextStage] = ()) -> None:
        """stages: change the text of every final and interim, in this order, after the glossary."""
        self._config = config
        self.ids = Ids()
        self.executor = ThreadPoolExecutor(VAD_THREADS, thread_name_prefix="vad")
        self.pipelines: set[ChannelPipeline] = set()
        self.totals = Totals()
        self.glossary = Glossary(config.data.dir / GLOSSARY_FILE)
        heard = HeardTerms(time.monotonic)
        self.prompts = ChannelPrompts(lambda: self.glossary.snapshot, heard, minute_of_day)
        self.stages: tuple[TextStage, ...] = (GlossaryStage(self.glossary), *stages, self._note_heard)
        # Finals may be left for later only where recovery reads the archive.
        self.reads_later = config.archive.enabled and config.archive.recover
        self.engine = EngineClient(TranscriberConfig(url=config.engine_url, token=config.token_for_engine))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._load_glossary()
        await self.engine.start()
        try:
            yield
        finally:
            await self.engine.close()
            self.executor.shutdown(wait=False)

    def make_pipeline(self, channel: Channel) -> Pipeline:
        """The pipeline for the live audio of a channel that has just opened."""
        return _CountedPipeline(self, channel, self._config.speech, _ChannelSink(channel), channel.notes)

    def make_past_pipeline(
        self,
        channel: Channel,
        sink: EventSink,
        notes: CoverageNotes,
        transcriber: Transcriber,
    ) -> ChannelPipeline:
        """A pipeline for past audio of a channel, beside the live one: no interims, more time for finals."""
        speech = self._config.speech
        patient = replace(
            speech.pipeline, interims_in_flight_max=0, close_timeout_ms=PAST_CLOSE_MS, live_lag_ms_max=0
        )
        # Past audio comes faster than real time: there is no pause to decode in.
        windowing = replace(speech.windowing, early_final_ms=0)
        config = speech.model_copy(update={"pipeline": patient, "windowing": windowing})
        return _CountedPipeline(self, channel, config, sink, notes, transcriber, engine_suffix="/past")

    def has_free_engine(self) -> bool:
        """Whether the engine has room for a final that may turn out to be worthless.

        Interims do not count: the engine decodes them after all finals.
        """
        busy_max = self._config.speech.pipeline.early_finals_busy_max
        return self.engine.is_connected and self.engine.unanswered_finals <= busy_max

    def has_room_for_context(self, priority: Priority) -> bool:
        """Whether a longer window of this priority delays no other.

        A final delays other finals only: the engine decodes them in a call of their own, and another one
        beside it.
        """
        if priority is Priority.FINAL:
            return self.engine.is_connected and self.engine.unanswered_finals <= 1
        return self.has_idle_engine()

    def has_idle_engine(self) -> bool:
        """Whether no window of any channel waits for the engine."""
        return self.engine.is_connected and self.engine.unanswered == 0

    def engine_statistics(self) -> dict[str, float]:
        figures = self.engine.statistics()
        names = ("is_connected", "waiting", "in_flight", "answered", "shed", "failed", "retried", "resent")
        return {name: float(getattr(figures, name)) for name in names}

    def statistics(self) -> dict[str, float]:
        each = [pipeline.statistics() for pipeline in self.pipelines]
        return {
            "channels_open": len(each),
            "blocks": self.totals.blocks,
            "audio_ms": self.totals.samples // SAMPLES_PER_MS,
            "queued_ms": sum(one.queued_ms for one in each),
            "shed_ms": self.totals.shed_ms + sum(one.shed_ms for one in each),
            "interims_shed": self.totals.interims_shed + sum(one.interims_shed for one in each),
            "finals_behind": self.totals.finals_behind + sum(one.finals_behind for one in each),
            "early_finals_sent": self.totals.early_sent + sum(one.early_sent for one in each),
            "early_finals_used": self.totals.early_used + sum(one.early_used for one in each),
            "windows_in_flight": sum(one.in_flight for one in each),
        }

    def _note_heard(self, final: FinalText) -> FinalText:
        """A text stage that changes nothing: it notes which terms were heard, for the next prompts."""
        if final.is_provisional:
            return final
        self.prompts.heard.note(final.channel, final.text, self.glossary.snapshot)
        return final

    def _load_glossary(self) -> None:
        """Load the glossary of the data folder; on the first start, copy the program's glossary there."""
        path = self._config.data.dir / GLOSSARY_FILE
        try:
            copy_once(self._config.glossary_file, path)
        except OSError as error:
            logger.warning("the program's glossary cannot be copied to %s: %s", path, error)
        try:
            self.glossary.load()
        except (GlossaryError, OSError) as error:
            raise ConfigError(f"the glossary cannot be used: {error}") from error


class _CountedPipeline(ChannelPipeline):
    """A pipeline whose figures are added to the service's totals."""

    def __init__(
        self,
        service: SpeechService,
        channel: Channel,
        config: SpeechConfig,
        sink: EventSink,
        notes: CoverageNotes,
        transcriber: Transcriber | None = None,
        *,
        engine_suffix: str = "",
    ) -> None:
        super().__init__(
            channel.id,
            config,
            transcriber or service.engine,
            sink,
            _ChannelTerms(service.prompts, channel),
            channel.language,
            service.executor,
            service.ids,
            time.monotonic,
            engine_channel=f"{channel.session.id}/{channel.id}{engine_suffix}",
            notes=notes,
            stages=(ConnectionTermsStage(lambda: channel.misheard), *service.stages),
            has_free_engine=service.has_free_engine,
            has_room_for_context=service.has_room_for_context,
            can_read_later=lambda: service.reads_later and channel.is_archived,
        )
        self._service = service

    def start(self) -> None:
        self._service.pipelines.add(self)
        super().start()

    def feed(self, block: Block) -> None:
        self._service.totals.count_block(block)
        super().feed(block)

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            if self in self._service.pipelines:
                self._service.pipelines.remove(self)
                self._service.totals.add_ended(self.statistics())


class _ChannelSink:
    """Writes a pipeline's events to the session's log, and keeps the channel's state up to date."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._opening = channel.opening

    def emit(self, event: Event) -> int | None:
        if isinstance(event, ChannelStateChanged) and not self._accepts(event.state):
            return None
        if isinstance(event, SegmentFinal):
            heard = self._channel.talkers.between(event.start_ms, event.end_ms)
            event = replace(event, talkers=heard) if heard else event
        return self._channel.session.log.emit(event)

    def _accepts(self, state: ChannelState) -> bool:
        return self._opening == self._channel.opening and self._channel.accept_state(state)


class _ChannelTerms:
    """The terms of a channel's connection, followed by the server's glossary."""

    def __init__(self, prompts: ChannelPrompts, channel: Channel) -> None:
        self._prompts = prompts
        self._channel = channel

    def prompt_for(self, channel: str) -> PromptTerms:
        return self._prompts.prompt_for(channel, self._channel.language, self._channel.terms or ())


def minute_of_day() -> int:
    """The minute of the day in local time, 0 to 1439."""
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min


def copy_once(source: Path | None, path: Path) -> None:
    if source is None or path.exists() or not source.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".new")
    try:
        shutil.copyfile(source, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # on a full disk, an empty glossary file would never be replaced
