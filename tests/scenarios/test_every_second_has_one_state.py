"""The coverage of a channel records what happened: silence, speech, loss, overload, a failing engine, repair.

The channel, its pipeline and its detector are the real ones; only the engine is a fake.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from host_stt.contract import Float32Array, Priority, Transcript, Window
from host_stt.engines.fake import FakeEngine
from tests.support.peers import ListLog
from tests.support.speech import padded, say_words, silence
from tests.webrtc_host.speech.helpers import MS, EngineTranscriber, NoTerms, S, blocks_of, script
from webrtc_host.config import LimitsConfig
from webrtc_host.errors import EngineError
from webrtc_host.seams import Block, BlockKind, CoverageState, EventType, Transcriber
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import PipelineConfig, SpeechConfig
from webrtc_host.transcript.coverage_tracker import CoverageBook

pytestmark = pytest.mark.slow

SPOKEN = say_words("alpha one proceed to gate seven and hold there")
SPOKEN_MS = len(SPOKEN.samples) // MS


class Desk:
    """One channel of one session, with a stopped clock at 0: only fed audio advances the time."""

    def __init__(self, engine: Transcriber, config: SpeechConfig | None = None) -> None:
        self.log = ListLog()
        self.book = CoverageBook(is_checking=True)
        self._engine = engine
        self._config = config or SpeechConfig()
        self._now_s = 0.0
        self.registry = SessionRegistry(
            LimitsConfig(),
            lambda session_id, now_ms: self.log,
            self._pipeline,
            clock=lambda: self._now_s,
            coverage=self.book,
        )

    def _pipeline(self, channel: Channel) -> ChannelPipeline:
        return ChannelPipeline(
            *(channel.id, self._config, self._engine, self.log, NoTerms(), "en", None, Ids()),
            time.monotonic,
            notes=channel.notes,
        )

    def open(self) -> Channel:
        async def end(reason: str) -> int:
            seq = await channel.close(reason)
            self.registry.disconnect(connection)
            return seq

        connection = self.registry.connect(
            self.registry.current(), DoorKind.WEBRTC, [ChannelSpec("C01")], end
        )
        channel = connection.channels[0]
        channel.open()
        return channel

    def at(self, now_s: float) -> None:
        self._now_s = now_s


async def feed_samples(channel: Channel, samples: Float32Array, start_sample: int = 0) -> None:
    assert isinstance(channel.pipeline, ChannelPipeline)
    for block in blocks_of(samples, start_sample):
        await channel.pipeline.wait_for_space()
        channel.feed(block)
        await asyncio.sleep(0.0005)


def states(channel: Channel) -> list[tuple[str, str | None]]:
    return [(run.state.value, run.reason) for run in channel.coverage.runs()]


def length_ms(channel: Channel, state: CoverageState) -> int:
    return sum(run.to_ms - run.from_ms for run in channel.coverage.runs() if run.state is state)


def assert_whole(desk: Desk, channel: Channel, end_ms: int) -> None:
    """The sum equals the time, and the events, applied in order, give the same result as the coverage."""
    runs = channel.coverage.runs()
    assert sum(run.to_ms - run.from_ms for run in runs) == end_ms - runs[0].from_ms
    told: dict[int, tuple[Any, Any]] = {}
    for event in desk.log.of(EventType.COVERAGE, "C01"):
        told |= dict.fromkeys(range(event["from_ms"], event["to_ms"]), (event["state"], event.get("reason")))
    kept = {ms: (run.state.value, run.reason) for run in runs for ms in range(run.from_ms, run.to_ms)}
    assert told == kept
    assert desk.book.violations == 0


def engine(words: Sequence[Any] | None = None) -> EngineTranscriber:
    return EngineTranscriber(FakeEngine(script(SPOKEN.words, S // 2) if words is None else tuple(words)))


async def test_speech_between_silence_is_transcribed_and_the_rest_is_silence() -> None:
    desk = Desk(engine())
    channel = desk.open()
    await feed_samples(channel, padded(SPOKEN.samples, 0.5, 1.5))
    await channel.close("hung_up")
    assert states(channel) == [("silence", None), ("transcribed", None), ("silence", None)]
    assert abs(length_ms(channel, CoverageState.TRANSCRIBED) - SPOKEN_MS) < 400
    assert_whole(desk, channel, channel.end_sample // MS)
    kinds = [kind for kind, _, _ in desk.log.events]
    transcribed = [e["state"] for e in desk.log.of(EventType.COVERAGE)].index("transcribed")
    places = [at for at, kind in enumerate(kinds) if kind is EventType.COVERAGE]
    assert kinds.index(EventType.SEGMENT_FINAL) < places[transcribed], (
        "its text is on disk before the time is transcribed"
    )


async def test_speech_without_a_word_is_transcribed_with_empty_text() -> None:
    desk = Desk(engine([]))
    channel = desk.open()
    await feed_samples(channel, padded(SPOKEN.samples, 0.5, 1.0))
    await channel.close("hung_up")
    assert desk.log.of(EventType.SEGMENT_FINAL) == []
    assert abs(length_ms(channel, CoverageState.TRANSCRIBED) - SPOKEN_MS) < 400
    assert_whole(desk, channel, channel.end_sample // MS)


async def test_lost_packets_are_lost_also_inside_speech() -> None:
    desk = Desk(engine())
    channel = desk.open()
    samples = padded(SPOKEN.samples, 0.5, 1.0)
    for number, block in enumerate(blocks_of(samples)):
        if number % 40 == 30:
            channel.feed(Block(block.start_sample, np.zeros_like(block.samples), BlockKind.LOST))
        elif number % 40 != 35:  # audio that is left out: a gap between two blocks
            channel.feed(block)
        await asyncio.sleep(0.0005)
    await channel.close("hung_up")
    blocks = len(samples) // (20 * MS)
    lost = [run for run in channel.coverage.runs() if run.state is CoverageState.LOST]
    assert {run.reason for run in lost} == {"network"}
    assert all(run.to_ms - run.from_ms == 20 for run in lost)
    assert length_ms(channel, CoverageState.LOST) >= 20 * (2 * (blocks // 40) - 1)
    assert length_ms(channel, CoverageState.TRANSCRIBED) > SPOKEN_MS // 2
    assert_whole(desk, channel, channel.end_sample // MS)


async def test_a_source_that_stops_for_a_time_is_silence_with_a_reason() -> None:
    desk = Desk(engine())
    channel = desk.open()
    channel.feed(Block(0, silence(2.0), BlockKind.PAUSED))
    await channel.close("hung_up")
    assert states(channel) == [("silence", "paused")]


async def test_overload_is_shed() -> None:
    config = SpeechConfig(pipeline=PipelineConfig(backlog_ms_max=2000))
    desk = Desk(engine(), config)
    channel = desk.open()
    for block in blocks_of(silence(5.0)):  # without a turn of the event loop for the pipeline
        channel.feed(block)
    await channel.close("hung_up")
    assert states(channel) == [("silence", None), ("shed", "too_slow")]
    assert length_ms(channel, CoverageState.SHED) == 3000
    assert_whole(desk, channel, 5000)
    assert desk.book.totals_ms[CoverageState.SHED] == 3000


class HeldEngine(EngineTranscriber):
    """An engine that sends no response until `answers` is set."""

    def __init__(self) -> None:
        super().__init__(FakeEngine(script(SPOKEN.words, S // 2)))
        self.answers = asyncio.Event()
        self.is_asked_finally = asyncio.Event()

    async def transcribe(self, window: Window) -> Transcript:
        if window.priority is Priority.FINAL:
            self.is_asked_finally.set()
        await self.answers.wait()
        return await super().transcribe(window)


async def test_a_reconnect_keeps_the_coverage_of_the_last_words_of_the_old_connection() -> None:
    held = HeldEngine()
    desk = Desk(held)
    channel = desk.open()
    await feed_samples(channel, padded(SPOKEN.samples, 0.5, 0.1))
    closing = asyncio.create_task(channel.close("connection_lost"))
    await held.is_asked_finally.wait()

    channel.detach("resumed")
    desk.open()
    await feed_samples(channel, silence(3.0), channel.end_sample)
    assert reported_states_of_speech(desk) == set()
    held.answers.set()
    await asyncio.gather(closing, channel.wait_detached())
    await channel.close("hung_up")

    assert reported_states_of_speech(desk) == {"transcribed"}
    assert states(channel) == [("silence", None), ("transcribed", None), ("silence", None)]
    assert_whole(desk, channel, channel.end_sample // MS)


async def test_a_short_connection_does_not_decide_audio_that_the_earlier_one_still_transcribes() -> None:
    held = HeldEngine()
    desk = Desk(held)
    channel = desk.open()
    await feed_samples(channel, padded(SPOKEN.samples, 0.5, 0.1))
    channel.detach("resumed")
    await held.is_asked_finally.wait()

    desk.open()
    await feed_samples(channel, silence(1.0), channel.end_sample)
    await channel.close("hung_up")
    assert reported_states_of_speech(desk) == set()
    held.answers.set()
    await channel.wait_detached()

    assert reported_states_of_speech(desk) == {"transcribed"}
    assert states(channel) == [("silence", None), ("transcribed", None), ("silence", None)]
    assert_whole(desk, channel, channel.end_sample // MS)


def reported_states_of_speech(desk: Desk) -> set[str]:
    """Each state that an event reported for the middle of the speech."""
    middle_ms = 500 + SPOKEN_MS // 2
    events = desk.log.of(EventType.COVERAGE, "C01")
    return {event["state"] for event in events if event["from_ms"] <= middle_ms < event["to_ms"]}


class FailsOnce(EngineTranscriber):
    """An engine that fails for the first windows, and then responds."""

    is_ill = True

    async def transcribe(self, window: Window) -> Transcript:
        if self.is_ill:
            raise EngineError("engine_failed", "it broke")
        return await super().transcribe(window)


async def test_speech_that_the_engine_failed_on_is_failed_until_a_later_decode_repairs_it() -> None:
    desk = Desk(FailsOnce(FakeEngine(())))
    channel = desk.open()
    await feed_samples(channel, padded(SPOKEN.samples, 0.5, 1.0))
    await channel.close("hung_up")
    assert states(channel) == [("silence", None), ("failed", "engine_failed"), ("silence", None)]
    failed = next(run for run in channel.coverage.runs() if run.state is CoverageState.FAILED)
    assert abs(failed.to_ms - failed.from_ms - SPOKEN_MS) < 400
    before = len(desk.log.of(EventType.COVERAGE))

    late = channel.coverage.repairing()
    late.decide(failed.from_ms * MS, failed.to_ms * MS, CoverageState.TRANSCRIBED)

    (event,) = desk.log.of(EventType.COVERAGE)[before:]
    assert event == {
        "from_ms": failed.from_ms,
        "to_ms": failed.to_ms,
        "state": "transcribed",
    }
    assert states(channel) == [("silence", None), ("transcribed", None), ("silence", None)]
    assert desk.book.totals_ms[CoverageState.FAILED] == 0
    assert_whole(desk, channel, channel.end_sample // MS)


async def test_a_failed_window_of_long_speech_leaves_the_other_windows_transcribed() -> None:
    class FailsForOneWindow(EngineTranscriber):
        async def transcribe(self, window: Window) -> Transcript:
            if window.start_sample // S in range(4, 9):
                raise EngineError("engine_failed", "it broke")
            return await super().transcribe(window)

    long = np.concatenate([SPOKEN.samples] * 6)
    desk = Desk(FailsForOneWindow(FakeEngine(())))
    channel = desk.open()
    await feed_samples(channel, padded(long, 0.5, 1.0))
    await channel.close("hung_up")
    seen = {run.state for run in channel.coverage.runs()}
    assert seen == {CoverageState.SILENCE, CoverageState.TRANSCRIBED, CoverageState.FAILED}
    assert not [run for run in channel.coverage.runs() if run.reason == "not_read"]
    assert_whole(desk, channel, channel.end_sample // MS)


async def test_a_failing_pipeline_leaves_no_time_without_a_state() -> None:
    class Bug(EngineTranscriber):
        async def transcribe(self, window: Window) -> Transcript:
            raise ValueError("a bug")

    desk = Desk(Bug(FakeEngine(())))
    channel = desk.open()
    await feed_samples(channel, padded(SPOKEN.samples, 0.5, 1.0))
    await channel.close("hung_up")
    assert ("failed", "internal") in states(channel)
    assert_whole(desk, channel, channel.end_sample // MS)


@pytest.mark.parametrize(
    ("reason", "state"), [("hung_up", ("closed", None)), ("connection_lost", ("lost", "not_fed"))]
)
async def test_time_without_a_sender_has_a_state_in_the_session_and_at_its_end(
    reason: str, state: tuple[str, str | None]
) -> None:
    desk = Desk(engine([]))
    channel = desk.open()
    await feed_samples(channel, silence(1.0))
    await desk.registry.end_connection(next(iter(desk.registry.connections.values())), reason)
    desk.at(5.0)
    again = desk.open()
    assert again is channel
    await feed_samples(channel, silence(1.0), 5 * S)
    desk.at(9.0)
    await desk.registry.end(desk.registry.current())
    assert states(channel) == [
        ("silence", None),
        state,
        ("silence", None),
        ("closed", None),
    ]
    assert_whole(desk, channel, 9000)


async def test_a_minute_of_silence_is_reported_in_few_events() -> None:
    desk = Desk(engine([]))
    channel = desk.open()
    for block in blocks_of(silence(60.0), block_ms=500):
        assert isinstance(channel.pipeline, ChannelPipeline)
        await channel.pipeline.wait_for_space()
        channel.feed(block)
    await channel.close("hung_up")
    assert len(desk.log.of(EventType.COVERAGE)) <= 7
    assert_whole(desk, channel, 60_000)
