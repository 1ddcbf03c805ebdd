from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from host_stt.contract import EndReason, Float32Array, Priority, Segment, Transcript, Window
from host_stt.engines.fake import FakeEngine
from tests.support.polling import until
from tests.support.speech import padded, say_words, silence
from tests.webrtc_host.speech.helpers import (
    MS,
    EngineTranscriber,
    GivenTerms,
    HandClock,
    ListSink,
    NoTerms,
    S,
    blocks_of,
    script,
)
from webrtc_host.errors import EngineError
from webrtc_host.seams import Block, BlockKind, ChannelState, Clock, CoverageState, EventType, Transcriber
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import PipelineConfig, SpeechConfig
from webrtc_host.speech.vad import SileroDetector
from webrtc_host.speech.window_requests import Terms

PHRASE = "alpha one proceed to gate seven and hold there"
SPOKEN = say_words(PHRASE)


@asynccontextmanager
async def pipeline_of(
    transcriber: Transcriber,
    sink: ListSink,
    *,
    config: SpeechConfig | None = None,
    language: str = "en",
    terms: Terms | None = None,
    clock: Clock = time.monotonic,
) -> AsyncIterator[ChannelPipeline]:
    used = config or SpeechConfig()
    pipeline = ChannelPipeline(
        "C01", used, transcriber, sink, terms or NoTerms(), language, None, Ids(), clock
    )
    pipeline.start()
    try:
        yield pipeline
    finally:
        await pipeline.close()


async def hear(pipeline: ChannelPipeline, samples: Float32Array, start_sample: int = 0) -> None:
    """Feed faster than real time, as a file would, and let the windows be read meanwhile."""
    for block in blocks_of(samples, start_sample):
        await pipeline.wait_for_space()
        pipeline.feed(block)
        await asyncio.sleep(0.001)


def engine(offset: int = S // 2, **kwargs: Any) -> EngineTranscriber:
    return EngineTranscriber(FakeEngine(script(SPOKEN.words, offset), **kwargs))


class Failing:
    """An engine that reads nothing."""

    def __init__(self, code: str = "engine_failed") -> None:
        self.code = code
        self.windows: list[Window] = []

    async def transcribe(self, window: Window) -> Transcript:
        self.windows.append(window)
        raise EngineError(self.code, "it broke")


class ListNotes:
    """Coverage, as the pipeline reports it."""

    def __init__(self) -> None:
        self.decided: list[tuple[int, int, CoverageState, str | None]] = []

    def decide(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        self.decided.append((start_sample, end_sample, state, reason))

    def repair(
        self, start_sample: int, end_sample: int, state: CoverageState, reason: str | None = None
    ) -> None:
        raise AssertionError("live audio repairs nothing")


class Deaf:
    """An engine that never answers."""

    def __init__(self) -> None:
        self.windows: list[Window] = []

    async def transcribe(self, window: Window) -> Transcript:
        self.windows.append(window)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


class Inventing:
    """An engine that writes the same words for every window, as unsure of them as it is told to be."""

    def __init__(self, no_speech_prob: float, avg_logprob: float) -> None:
        self._figures = avg_logprob, no_speech_prob, 0.5
        self.windows: list[Window] = []

    async def transcribe(self, window: Window) -> Transcript:
        self.windows.append(window)
        end = window.start_sample + len(window.samples)
        segment = Segment("I'm sorry.", window.start_sample, end, *self._figures)
        return Transcript(window.id, (segment,), "en", 1.0, *self._figures, EndReason.COMPLETE, "fake")


@pytest.mark.parametrize(
    ("no_speech_prob", "avg_logprob", "text"),
    [(0.5, -1.6, ""), (0.5, -0.4, "I'm sorry."), (0.05, -1.6, "I'm sorry.")],
)
async def test_a_short_noise_gets_no_words_that_the_engine_doubts(
    no_speech_prob: float, avg_logprob: float, text: str
) -> None:
    inventing, sink = Inventing(no_speech_prob, avg_logprob), ListSink()
    async with pipeline_of(inventing, sink, language="auto") as pipeline:
        await hear(pipeline, padded(SPOKEN.samples[: S // 4], 0.5, 1.0))
    assert len(inventing.windows) == 1
    assert sink.text == text
    assert len(sink.of(EventType.SPEECH_ENDED)) == 1


@pytest.mark.parametrize("can_read_later", [True, False])
async def test_finals_carry_a_limit_to_their_wait_only_if_they_can_be_decoded_later(
    can_read_later: bool,
) -> None:
    decoder = engine()
    pipeline = ChannelPipeline(
        *("C01", SpeechConfig(), decoder, ListSink(), NoTerms(), "en", None, Ids(), time.monotonic),
        can_read_later=lambda: can_read_later,
    )
    pipeline.start()
    await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
    await pipeline.close()
    limits = {window.priority: window.start_within_ms for window in decoder.windows}
    assert limits == {Priority.INTERIM: 0, Priority.FINAL: 8000 if can_read_later else 0}


async def test_a_final_left_for_later_is_failed_coverage_with_the_reason_and_the_channel_is_behind() -> None:
    sink, notes = ListSink(), ListNotes()
    pipeline = ChannelPipeline(
        *("C01", SpeechConfig(), Failing("behind"), sink, NoTerms(), "en", None, Ids(), time.monotonic),
        notes=notes,
    )
    pipeline.start()
    await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
    await until(lambda: "behind" in sink.states)
    await pipeline.close()
    assert {failed["code"] for failed in sink.of(EventType.WINDOW_FAILED)} == {"behind"}
    assert (CoverageState.FAILED, "behind") in {(state, reason) for _, _, state, reason in notes.decided}
    statistics = pipeline.statistics()
    assert (statistics.finals_behind, statistics.finals_failed) == (1, 0)


async def test_a_phrase_becomes_interims_and_a_final_with_its_times() -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
    kinds = [kind for kind, _, _ in sink.events]
    assert kinds[0] is EventType.SPEECH_STARTED
    assert kinds.index(EventType.SEGMENT_INTERIM) < kinds.index(EventType.SPEECH_ENDED)
    assert kinds.index(EventType.SPEECH_ENDED) < kinds.index(EventType.SEGMENT_FINAL)
    assert EventType.SEGMENT_INTERIM not in kinds[kinds.index(EventType.SEGMENT_FINAL) :]
    assert sink.text == PHRASE
    (final,) = sink.of(EventType.SEGMENT_FINAL)
    assert final["raw"] == final["text"]
    assert final["edits"] == []
    assert final["language"] == "en"
    assert final["segment"] == "g_1"
    for word, (text, start, end) in zip(final["words"], SPOKEN.words, strict=True):
        assert word["text"] == text
        assert abs(word["start_ms"] - start // MS - 500) <= 100
        assert abs(word["end_ms"] - end // MS - 500) <= 100


async def test_the_events_of_an_utterance_carry_the_fields_of_the_wire() -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
    fields = {
        EventType.SPEECH_STARTED: {"utterance", "start_ms"},
        EventType.SPEECH_ENDED: {"utterance", "start_ms", "end_ms", "rule"},
        EventType.SEGMENT_INTERIM: {
            *("utterance", "revision", "text", "stable_chars", "start_ms", "end_ms", "language")
        },
        EventType.SEGMENT_FINAL: {
            *("utterance", "segment", "start_ms", "end_ms", "text", "raw", "language", "conf", "words"),
            *("edits", "glossary_version"),
        },
        EventType.CHANNEL_STATE: {"state", "at_ms", "language"},
    }
    for kind, channel, found in sink.events:
        assert channel == "C01"
        assert set(found) - {"start", "end"} == fields[kind]
    assert {f["utterance"] for f in sink.of(EventType.SEGMENT_FINAL)} == {"u_1"}
    assert sink.states == ["talking", "idle"]


async def test_interims_grow_and_the_last_words_need_no_silence_when_the_channel_closes() -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 0.0))
    assert sink.text == PHRASE
    assert sink.of(EventType.SPEECH_ENDED)[0]["rule"] == "channel_closed"
    interims = sink.of(EventType.SEGMENT_INTERIM)
    assert [i["revision"] for i in interims] == list(range(1, len(interims) + 1))
    assert all(PHRASE.startswith(i["text"]) for i in interims)


async def test_an_utterance_ends_when_packets_simply_stop() -> None:
    sink, clock = ListSink(), HandClock()
    async with pipeline_of(engine(), sink, clock=clock) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 0.0))
        await until(lambda: pipeline.statistics().queued_ms < 100)
        assert sink.of(EventType.SPEECH_ENDED) == []

        def final_after_more_time() -> bool:
            clock.now_s += 0.1
            return bool(sink.of(EventType.SEGMENT_FINAL))

        await until(final_after_more_time)
        assert sink.of(EventType.SPEECH_ENDED)[0]["rule"] == "no_packets"
    assert sink.text == PHRASE


async def test_a_long_loss_ends_an_utterance_and_the_next_one_has_exact_times() -> None:
    """Lost blocks are silence to the VAD; a jump of the timeline is a gap."""
    sink = ListSink()
    again = S // 2 + len(SPOKEN.samples) + 10 * S
    words = script(SPOKEN.words, S // 2) + script(SPOKEN.words, again)
    async with pipeline_of(EngineTranscriber(FakeEngine(words)), sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 0.0))
        await hear(pipeline, SPOKEN.samples, again)
    ended = sink.of(EventType.SPEECH_ENDED)
    assert [e["rule"] for e in ended] == ["gap", "channel_closed"]
    assert abs(sink.of(EventType.SPEECH_STARTED)[1]["start_ms"] - again // MS) < 250
    assert sink.text == f"{PHRASE} {PHRASE}"


async def test_lost_blocks_are_silence() -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 0.0))
        end = S // 2 + len(SPOKEN.samples)
        for i in range(30):
            pipeline.feed(Block(end + i * 20 * MS, silence(0.02), BlockKind.LOST))
        await until(lambda: sink.of(EventType.SEGMENT_FINAL))
        assert sink.of(EventType.SPEECH_ENDED)[0]["rule"] == "hangover"


async def test_silence_gives_no_events() -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        await hear(pipeline, silence(3.0))
    assert sink.events == []


async def test_a_final_without_words_emits_no_text() -> None:
    sink = ListSink()
    async with pipeline_of(EngineTranscriber(FakeEngine(())), sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples))
        assert pipeline.statistics().finals_sent >= 0
    assert sink.of(EventType.SEGMENT_FINAL) == []
    assert sink.of(EventType.SEGMENT_INTERIM) == []
    assert len(sink.of(EventType.SPEECH_ENDED)) == 1


async def test_a_failed_window_is_reported_and_the_channel_continues() -> None:
    sink, failing = ListSink(), Failing()
    async with pipeline_of(failing, sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
        await until(lambda: sink.of(EventType.WINDOW_FAILED))
        statistics = pipeline.statistics()
    (failed,) = sink.of(EventType.WINDOW_FAILED)
    assert failed["code"] == "engine_failed"
    assert failed["reason"] == "it broke"
    assert failed["utterance"] == "u_1"
    assert failed["start_ms"] <= 500 < failed["end_ms"]
    assert statistics.finals_failed == 1
    assert statistics.interims_failed == statistics.interims_sent > 0
    assert sink.states[-1] == "idle"


async def test_closing_waits_up_to_its_limit_and_the_remaining_windows_fail() -> None:
    sink = ListSink()
    config = SpeechConfig(pipeline=PipelineConfig(close_timeout_ms=200))
    async with pipeline_of(Deaf(), sink, config=config) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 0.0))
    (failed,) = sink.of(EventType.WINDOW_FAILED)
    assert failed["code"] == "deadline"
    assert pipeline.statistics().in_flight == 0


async def test_a_channel_is_behind_while_a_final_waits_too_long() -> None:
    sink, clock, deaf = ListSink(), HandClock(), Deaf()
    config = SpeechConfig(pipeline=PipelineConfig(close_timeout_ms=100))
    async with pipeline_of(deaf, sink, config=config, clock=clock) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
        await until(lambda: any(w.priority is Priority.FINAL for w in deaf.windows))
        clock.now_s += 6.0
        await until(lambda: pipeline.state is ChannelState.BEHIND)
    assert sink.states == ["talking", "idle", "behind", "idle"]


async def test_no_interim_is_sent_beyond_the_limit_of_unanswered_ones() -> None:
    sink, deaf = ListSink(), Deaf()
    config = SpeechConfig(pipeline=PipelineConfig(close_timeout_ms=100))
    async with pipeline_of(deaf, sink, config=config) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
        statistics = pipeline.statistics()
    assert statistics.interims_sent == 2
    assert statistics.interims_shed >= 2
    assert sum(w.priority is Priority.INTERIM for w in deaf.windows) == 2


async def test_a_full_queue_sheds_the_newest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        before = pipeline.statistics()
        for block in blocks_of(silence(15.0)):  # without ever giving way to the task
            pipeline.feed(block)
        statistics = pipeline.statistics()
        await until(lambda: pipeline.statistics().queued_ms == 0)
    assert before.shed_ms == 0
    assert statistics.queued_ms == 10_000
    assert statistics.shed_ms == 5_000
    assert [r.levelname for r in caplog.records] == ["WARNING"]


async def test_a_source_faster_than_real_time_can_wait_for_space() -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        for block in blocks_of(silence(30.0), block_ms=500):
            await pipeline.wait_for_space()
            pipeline.feed(block)
        assert pipeline.statistics().shed_ms == 0


async def test_the_vad_never_runs_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from webrtc_host.speech import vad

    threads: set[int] = set()
    real = vad.SileroDetector.probability

    def noted(self: vad.SileroDetector, frame: Float32Array) -> float:
        threads.add(threading.get_ident())
        return real(self, frame)

    monkeypatch.setattr(vad.SileroDetector, "probability", noted)
    async with pipeline_of(engine(), ListSink()) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples))
    assert threads
    assert threading.get_ident() not in threads


async def test_an_unknown_language_locks_after_three_seconds_of_confident_speech() -> None:
    sink, transcriber = ListSink(), engine()
    async with pipeline_of(transcriber, sink, language="auto") as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 1.0))
    languages = [w.language for w in transcriber.windows]
    assert languages[0] == "auto"
    assert languages[-1] == "en"
    locked = [s for s in sink.of(EventType.CHANNEL_STATE) if "language" in s]
    assert locked[0]["language"] == "en"
    assert locked[0]["state"] == "talking"


async def test_windows_carry_the_terms_in_force_and_segments_their_version() -> None:
    sink, transcriber = ListSink(), engine()
    async with pipeline_of(transcriber, sink, terms=GivenTerms(("Alpha-1",), 7)) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples))
    assert {w.terms for w in transcriber.windows} == {("Alpha-1",)}
    assert {s["glossary_version"] for s in sink.of(EventType.SEGMENT_FINAL)} == {7}


async def test_long_speech_becomes_final_before_it_ends() -> None:
    spoken = say_words(" ".join([PHRASE] * 8))
    sink = ListSink()
    transcriber = EngineTranscriber(FakeEngine(script(spoken.words)))
    async with pipeline_of(transcriber, sink) as pipeline:
        await hear(pipeline, spoken.samples)
    kinds = [kind for kind, _, _ in sink.events]
    assert kinds.index(EventType.SEGMENT_FINAL) < kinds.index(EventType.SPEECH_ENDED)
    assert sink.text == " ".join([PHRASE] * 8)
    ends = [(f["start_ms"], f["end_ms"]) for f in sink.of(EventType.SEGMENT_FINAL)]
    assert all(a[1] <= b[0] for a, b in zip(ends, ends[1:], strict=False))
    finals = [w for w in transcriber.windows if w.priority is Priority.FINAL]
    assert all(len(w.samples) <= 14 * S for w in finals), "10 s, and 3 s of context"
    assert {w.history for w in finals} == {""}


async def test_a_final_says_whether_words_of_its_utterance_are_final_already() -> None:
    for repeats, is_joined in ((1, False), (8, True)):
        spoken = say_words(" ".join([PHRASE] * repeats))
        transcriber = EngineTranscriber(FakeEngine(script(spoken.words)))
        async with pipeline_of(transcriber, ListSink()) as pipeline:
            await hear(pipeline, spoken.samples)
        assert [w.is_joined for w in transcriber.windows if w.priority is Priority.FINAL][-1] is is_joined
        assert not any(w.is_joined for w in transcriber.windows if w.priority is Priority.INTERIM)


async def test_windows_carry_the_words_before_them_where_the_settings_ask_for_it() -> None:
    spoken = say_words(" ".join([PHRASE] * 5))
    sink = ListSink()
    transcriber = EngineTranscriber(FakeEngine(script(spoken.words)))
    config = SpeechConfig(pipeline=PipelineConfig(history_words=20))
    async with pipeline_of(transcriber, sink, config=config) as pipeline:
        await hear(pipeline, spoken.samples)
    finals = [w for w in transcriber.windows if w.priority is Priority.FINAL]
    assert finals[-1].history.endswith(sink.of(EventType.SEGMENT_FINAL)[-2]["text"].split()[-1])


async def test_a_bug_ends_the_channels_speech_with_one_error_event(caplog: pytest.LogCaptureFixture) -> None:
    sink = ListSink()
    async with pipeline_of(engine(), sink) as pipeline:
        pipeline.feed(Block(S, np.zeros(320, dtype=np.float32)))
        pipeline.feed(Block(0, np.zeros(320, dtype=np.float32)))  # a door that broke its promise
        await until(lambda: sink.of(EventType.ERROR))
        pipeline.feed(Block(2 * S, np.zeros(320, dtype=np.float32)))
        assert pipeline.statistics().shed_ms == 20
    (error,) = sink.of(EventType.ERROR)
    assert error["code"] == "internal"
    assert len([r for r in caplog.records if r.exc_info]) == 1


async def test_no_transcript_text_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with pipeline_of(engine(), ListSink(), language="auto") as pipeline:
        await hear(pipeline, padded(SPOKEN.samples))
    assert not any(word in record.getMessage() for record in caplog.records for word in ("alpha", "seven"))


async def test_the_statistics_have_the_latency_of_the_first_interim() -> None:
    sink, clock = ListSink(), HandClock()
    async with pipeline_of(engine(), sink, clock=clock) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples))
        statistics = pipeline.statistics()
    assert statistics.first_interim_ms is not None
    assert 100 <= statistics.first_interim_ms <= 2000
    assert statistics.interims_decoded > 0


async def test_a_closed_pipeline_holds_no_model_also_while_it_is_referenced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    living: weakref.WeakSet[SileroDetector] = weakref.WeakSet()
    make = SileroDetector.__init__

    def noted(self: SileroDetector) -> None:
        living.add(self)
        make(self)

    monkeypatch.setattr(SileroDetector, "__init__", noted)
    async with pipeline_of(engine(), ListSink()) as pipeline:
        await hear(pipeline, silence(0.2))
        assert len(living) == 1
    assert pipeline.state is ChannelState.IDLE
    assert not living


async def test_a_second_close_waits_for_the_last_words_too() -> None:
    sink, answers, reads = ListSink(), asyncio.Event(), engine()

    class Late:
        async def transcribe(self, window: Window) -> Transcript:
            await answers.wait()
            return await reads.transcribe(window)

    async with pipeline_of(Late(), sink) as pipeline:
        await hear(pipeline, padded(SPOKEN.samples, 0.5, 0.1))
        first = asyncio.create_task(pipeline.close())
        await until(lambda: pipeline.statistics().finals_sent)
        second = asyncio.create_task(pipeline.close())
        third = asyncio.create_task(pipeline.close())
        await asyncio.sleep(0)  # it waits
        third.cancel()
        await asyncio.wait({third})
        assert not second.done()
        answers.set()
        await second
        assert sink.text == PHRASE
        await first


async def test_closing_twice_and_closing_without_audio_are_harmless() -> None:
    async with pipeline_of(engine(), ListSink()) as pipeline:
        await pipeline.close()
    assert pipeline.state is ChannelState.IDLE
    assert replace(pipeline.statistics(), queued_ms=0) == pipeline.statistics()
