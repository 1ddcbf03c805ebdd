"""Early finals: the last window of an utterance is decoded while the hangover still runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np

from host_stt.contract import Float32Array, Priority, Transcript, Window
from host_stt.engines.fake import FakeEngine
from tests.support.polling import until
from tests.support.speech import Spoken, say_words, silence
from tests.webrtc_host.speech.helpers import (
    MS,
    EngineTranscriber,
    ListSink,
    NoTerms,
    S,
    blocks_of,
    script,
)
from webrtc_host.errors import EngineError
from webrtc_host.seams import EventType, Transcriber
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import PipelineConfig, SpeechConfig
from webrtc_host.speech.windowing_config import WindowingConfig

PHRASE = "alpha one proceed to gate seven and hold there"
SPOKEN = say_words(PHRASE)
HEAD = np.concatenate([silence(0.5), SPOKEN.samples])
CONFIG = SpeechConfig(pipeline=PipelineConfig(interims_in_flight_max=0))  # finals alone


class Recording:
    """The engine of a script, with the windows it was sent and a gate in front of it."""

    def __init__(self, engine: Transcriber) -> None:
        self._engine = engine
        self.may_decode = asyncio.Event()
        self.may_decode.set()
        self.windows: list[Window] = []
        self.failures = 0  # of the next windows

    async def transcribe(self, window: Window) -> Transcript:
        self.windows.append(window)
        await self.may_decode.wait()
        if self.failures:
            self.failures -= 1
            raise EngineError("engine_failed", "it broke")
        return await self._engine.transcribe(window)


class Fed:
    """A pipeline that is fed piece by piece, each only after the piece before was processed."""

    def __init__(self, pipeline: ChannelPipeline, engine: Recording, sink: ListSink) -> None:
        self.pipeline = pipeline
        self.engine = engine
        self.sink = sink
        self._end = 0

    async def feed(self, samples: Float32Array) -> None:
        for block in blocks_of(samples, self._end):
            await self.pipeline.wait_for_space()
            self.pipeline.feed(block)
        self._end += len(samples)
        await until(lambda: self.pipeline.statistics().queued_ms == 0)

    @property
    def finals(self) -> list[str]:
        return [final["text"] for final in self.sink.of(EventType.SEGMENT_FINAL)]


@asynccontextmanager
async def fed(
    config: SpeechConfig = CONFIG,
    has_free_engine: Callable[[], bool] = lambda: True,
    spoken: Spoken = SPOKEN,
) -> AsyncIterator[Fed]:
    """spoken: what the engine knows; it begins at 0.5 s."""
    sink, engine = ListSink(), Recording(EngineTranscriber(FakeEngine(script(spoken.words, S // 2))))
    pipeline = ChannelPipeline(
        "C01",
        config,
        engine,
        sink,
        NoTerms(),
        "en",
        None,
        Ids(),
        asyncio.get_running_loop().time,
        has_free_engine=has_free_engine,
    )
    pipeline.start()
    try:
        yield Fed(pipeline, engine, sink)
    finally:
        await pipeline.close()


async def test_the_last_final_is_decoded_in_the_pause_and_written_at_its_end() -> None:
    async with fed() as channel:
        await channel.feed(np.concatenate([HEAD, silence(0.4)]))
        await until(lambda: len(channel.engine.windows) == 1)
        assert channel.engine.windows[0].priority is Priority.FINAL
        await until(lambda: channel.sink.of(EventType.SEGMENT_INTERIM) != [])
        assert channel.finals == [] and channel.sink.of(EventType.SPEECH_ENDED) == []
        await channel.feed(silence(0.4))
        await until(lambda: channel.finals == [PHRASE])
        assert len(channel.engine.windows) == 1, "the early result is the final"
        counts = channel.pipeline.statistics()
        assert (counts.early_sent, counts.early_used, counts.finals_sent, counts.finals_decoded) == (
            1,
            1,
            1,
            1,
        )


async def test_an_early_final_still_being_decoded_is_waited_for() -> None:
    async with fed() as channel:
        channel.engine.may_decode.clear()
        await channel.feed(np.concatenate([HEAD, silence(0.9)]))
        await until(lambda: channel.sink.of(EventType.SPEECH_ENDED) != [])
        await until(lambda: len(channel.engine.windows) == 1)
        assert channel.finals == []
        channel.engine.may_decode.set()
        await until(lambda: channel.finals == [PHRASE])
        assert len(channel.engine.windows) == 1


async def test_when_speech_continues_the_early_text_is_an_interim_and_its_window_no_final() -> None:
    short = SPOKEN.samples[: 2 * S]
    async with fed() as channel:
        await channel.feed(np.concatenate([silence(0.5), short, silence(0.35)]))
        await until(lambda: len(channel.sink.of(EventType.SEGMENT_INTERIM)) == 1)
        assert channel.finals == []
        await channel.feed(np.concatenate([short, silence(0.35)]))
        await until(lambda: len(channel.engine.windows) == 2)
        first, second = (len(window.samples) for window in channel.engine.windows)
        assert second > first + S, "the second one has all of the speech"
    said = " ".join(channel.finals)  # its first words are old enough to be final before its end
    assert said.startswith("alpha one proceed") and said.count("alpha") == 1
    assert len(channel.sink.of(EventType.SPEECH_ENDED)) == 1
    counts = channel.pipeline.statistics()
    assert (counts.early_sent, counts.early_used) == (2, 1)


async def test_a_window_that_is_cut_in_the_pause_uses_the_early_final_too() -> None:
    async with fed() as channel:
        await channel.feed(np.concatenate([HEAD, silence(0.29)]))  # over pause_after_ms of speech
        await until(lambda: len(channel.engine.windows) == 1)
        await channel.feed(np.concatenate([silence(0.15), SPOKEN.samples[: 2 * S]]))
        await until(lambda: channel.finals == [PHRASE])
        assert len(channel.engine.windows) == 1
        assert channel.sink.of(EventType.SPEECH_ENDED) == []
        assert channel.pipeline.statistics().early_used == 1


async def test_a_failed_early_final_is_sent_again_when_the_utterance_ends() -> None:
    async with fed() as channel:
        channel.engine.failures = 1
        await channel.feed(np.concatenate([HEAD, silence(0.35)]))
        await until(lambda: channel.engine.failures == 0)
        await channel.feed(silence(0.5))
        await until(lambda: channel.finals == [PHRASE])
        assert len(channel.engine.windows) == 2
        assert channel.sink.of(EventType.WINDOW_FAILED) == []


async def test_a_busy_engine_gets_no_early_finals() -> None:
    async with fed(has_free_engine=lambda: False) as channel:
        await channel.feed(np.concatenate([HEAD, silence(0.35)]))
        assert channel.engine.windows == []
        await channel.feed(silence(0.5))
        await until(lambda: channel.finals == [PHRASE])
        assert channel.pipeline.statistics().early_sent == 0


async def test_early_finals_can_be_switched_off() -> None:
    config = CONFIG.model_copy(update={"windowing": WindowingConfig(early_final_ms=0)})
    async with fed(config) as channel:
        await channel.feed(np.concatenate([HEAD, silence(0.35)]))
        assert channel.engine.windows == []
        await channel.feed(silence(0.5))
        await until(lambda: channel.finals == [PHRASE])


async def test_a_channel_that_closes_in_a_pause_uses_the_early_final() -> None:
    async with fed() as channel:
        channel.engine.may_decode.clear()
        await channel.feed(np.concatenate([HEAD, silence(0.35)]))
        await until(lambda: len(channel.engine.windows) == 1)
        channel.engine.may_decode.set()
    assert channel.finals == [PHRASE]
    assert len(channel.engine.windows) == 1


async def test_the_times_of_an_early_final_are_those_of_a_late_one() -> None:
    ends = []
    for early_final_ms in (250, 0):
        config = CONFIG.model_copy(update={"windowing": WindowingConfig(early_final_ms=early_final_ms)})
        async with fed(config) as channel:
            await channel.feed(np.concatenate([HEAD, silence(1.0)]))
        (final,) = channel.sink.of(EventType.SEGMENT_FINAL)
        ends.append((final["start_ms"], final["end_ms"], final["text"]))
    assert ends[0] == ends[1]
    assert abs(ends[0][1] - (len(HEAD) // MS)) < 400
