"""What a job writes: events and coverage, cut to its plan."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from host_stt.contract import Priority, Segment, Transcript, Window, Word
from tests.support.events import an_event
from tests.support.opus_packets import MS
from tests.webrtc_host.recovery.fed_channel import AUDIO, LOST, SECOND, a_channel
from tests.webrtc_host.recovery.stored import ended, failed, final, started
from webrtc_host.errors import EngineError
from webrtc_host.recovery import reading
from webrtc_host.recovery.known import Known, Range, known_of
from webrtc_host.recovery.plan import Plan, plan_of_feed, plan_of_gaps
from webrtc_host.recovery.publishing import PastNotes, PastSink, ReadingTotals
from webrtc_host.recovery.reading import TRIES_MAX, KnownLines, PastTranscriber
from webrtc_host.seams import Block, Clock, CoverageState, EventType, Source
from webrtc_host.transcript.event_log import ReadableLog

GAP = plan_of_gaps(Known(), [Range(5 * SECOND, 9 * SECOND)])


class World:
    """A channel that received 5 s, lost 4 s and received 3 s more, and the sink of a job."""

    def __init__(self, plan: Plan = GAP, source: Source = Source.BACKFILL) -> None:
        self.channel, self.rig = a_channel((0, 5, AUDIO), (5, 4, LOST), (9, 3, AUDIO))
        self.totals = ReadingTotals()
        self.sink = PastSink(self.channel, plan, source, self.totals)
        self.known = KnownLines(self.channel, plan, self.sink.written)
        self.before = self.log.head_seq

    @property
    def log(self) -> ReadableLog:
        return self.channel.session.log

    def written(self) -> list[dict[str, Any]]:
        return [json.loads(event.data) for event in self.log.since(self.before)]

    def speech(self, utterance: str, start_ms: int, end_ms: int) -> None:
        self.started(utterance, start_ms)
        self.ended(utterance, start_ms, end_ms)

    def started(self, utterance: str, start_ms: int) -> None:
        self.sink.emit(started(utterance, start_ms).event)

    def ended(self, utterance: str, start_ms: int, end_ms: int) -> None:
        self.sink.emit(ended(utterance, start_ms, end_ms).event)

    def final(self, utterance: str, text: str, start_ms: int) -> None:
        self.sink.emit(final(utterance, text, start_ms).event)


def fields_of(events: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(event["type"], event["utterance"], event["start_ms"]) for event in events]


def test_an_utterance_is_announced_as_far_as_it_lies_in_the_plan() -> None:
    world = World()
    world.speech("u_1", 4000, 6000)
    world.speech("u_2", 9100, 9900)
    first, last = world.written()
    assert (first["type"], first["start_ms"]) == ("speech.started", 5000)
    assert (last["type"], last["start_ms"], last["end_ms"]) == ("speech.ended", 5000, 6000)


def test_an_utterance_that_begins_before_a_gap_is_announced_before_its_first_final() -> None:
    world = World()
    world.started("u_1", 4000)
    assert world.written() == []  # it may end before the gap
    world.final("u_1", "gate seven", 5200)
    world.ended("u_1", 4000, 7000)
    assert fields_of(world.written()) == [
        ("speech.started", "u_1", 5000),
        ("segment.final", "u_1", 5200),
        ("speech.ended", "u_1", 5000),
    ]


def test_finals_have_the_source_of_their_audio_and_are_counted() -> None:
    for source in Source:
        world = World(source=source)
        world.final("u_1", "gate seven", 5200)
        assert world.written()[0]["source"] == source.value
        assert (world.sink.finals, world.totals.finals) == (1, 1)


def test_interims_and_states_of_the_past_are_not_written() -> None:
    world = World()
    world.sink.emit(an_event(EventType.SEGMENT_INTERIM, text="at", start_ms=5000, end_ms=5100))
    world.sink.emit(an_event(EventType.CHANNEL_STATE, state="talking", at_ms=5000))
    assert world.written() == []


def test_an_utterance_that_watchers_know_keeps_its_id_in_every_event() -> None:
    world = World(plan_of_feed(known_of(0, [started("u_7", 4000)]), 12_000 * MS))
    world.started("u_20", 4040)
    world.final("u_20", "gate seven", 4100)
    world.sink.emit(failed("u_20", 5000, 6000, "deadline").event)
    world.ended("u_20", 4040, 6000)
    assert fields_of(world.written()) == [
        ("segment.final", "u_7", 4100),
        ("window.failed", "u_7", 5000),
        ("speech.ended", "u_7", 4000),
    ]


def test_an_announced_utterance_without_audio_is_ended() -> None:
    world = World(plan_of_feed(known_of(0, [started("u_7", 4000)]), 6000 * MS))
    world.sink.end_left_open()
    (last,) = world.written()
    assert (last["utterance"], last["end_ms"], last["rule"]) == ("u_7", 6000, "restart")


def test_a_stopped_job_writes_nothing_more() -> None:
    world = World()
    world.sink.stop()
    world.speech("u_1", 5000, 6000)
    world.final("u_1", "gate seven", 5200)
    assert world.written() == []


def test_live_text_during_a_job_is_known_text_and_the_job_s_text_is_not() -> None:
    world = World()
    world.final("u_1", "gate seven", 5200)
    world.channel.session.log.emit(final("u_9", "over", 9000).event)
    lines = world.known.near(5 * SECOND, 9 * SECOND)
    assert [(line.start_sample, line.words[0].text) for line in lines] == [(9 * SECOND, "over")]


def test_coverage_states_are_set_for_planned_time_with_transcribed_audio() -> None:
    repairs: list[tuple[int, int, CoverageState]] = []

    class Notes:
        def decide(self, start: int, end: int, state: CoverageState, reason: str | None = None) -> None:
            raise AssertionError("later knowledge is a repair")

        def repair(self, start: int, end: int, state: CoverageState, reason: str | None = None) -> None:
            repairs.append((start, end, state))

    plan = plan_of_gaps(Known(), [Range(SECOND, 2 * SECOND), Range(4 * SECOND, 5 * SECOND)])
    notes = PastNotes(Notes(), plan)
    quiet = np.zeros(SECOND, np.float32)
    for at in (0, SECOND, 2 * SECOND, 4 * SECOND + 8000):
        notes.was_read(Block(at, quiet))
    notes.decide(0, SECOND + 8000, CoverageState.SILENCE)
    notes.decide(SECOND + 8000, 6 * SECOND, CoverageState.TRANSCRIBED)
    assert repairs == [
        (SECOND, SECOND + 8000, CoverageState.SILENCE),
        (SECOND + 8000, 2 * SECOND, CoverageState.TRANSCRIBED),
        (4 * SECOND + 8000, 5 * SECOND, CoverageState.TRANSCRIBED),
    ]


class Failing:
    """An engine that fails with these errors, one for each try, and then returns one word."""

    def __init__(self, *errors: EngineError) -> None:
        self.errors = list(errors)
        self.windows: list[Window] = []

    async def transcribe(self, window: Window) -> Transcript:
        self.windows.append(window)
        if self.errors:
            raise self.errors.pop(0)
        start = window.start_sample
        word = Word("gate", start, start + 1600, 0.9)
        segment = Segment("gate", start, start + 1600, -0.1, 0.0, 1.0, (word,))
        return Transcript(window.id, (segment,), "en", 1.0, -0.1, 0.0, 1.0)


def a_window() -> Window:
    return Window("w_1", "C01", np.full(SECOND, 0.1, np.float32), 6 * SECOND, Priority.FINAL)


def transcriber(engine: Failing, clock: Clock = lambda: 0.0) -> PastTranscriber:
    return PastTranscriber(engine, GAP, World().known, clock)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "RETRY_S", 0.0)


@pytest.mark.usefixtures("no_pause")
async def test_a_window_waits_for_an_engine_after_all_live_windows() -> None:
    starting = EngineError("engine_starting", "not ready")
    engine = Failing(*[starting] * 5)
    assert (await transcriber(engine).transcribe(a_window())).text == "gate"
    assert {window.priority for window in engine.windows} == {Priority.BACKGROUND}


@pytest.mark.usefixtures("no_pause")
async def test_a_window_fails_if_there_is_no_engine_for_half_an_hour() -> None:
    now = iter((0.0, 1000.0, 1801.0))
    past = transcriber(Failing(*[EngineError("unreachable", "no engine")] * 9), lambda: next(now))
    with pytest.raises(EngineError, match="no engine"):
        await past.transcribe(a_window())
    assert past.gave_up


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize(("failures", "is_read"), [(TRIES_MAX - 1, True), (TRIES_MAX, False)])
async def test_a_window_that_the_engine_fails_on_is_tried_three_times(failures: int, is_read: bool) -> None:
    engine = Failing(*[EngineError("engine_failed", "out of memory", is_retryable=True)] * failures)
    past = transcriber(engine)
    if is_read:
        assert (await past.transcribe(a_window())).text == "gate"
    else:
        with pytest.raises(EngineError, match="out of memory"):
            await past.transcribe(a_window())
    assert not past.gave_up  # the window is bad: the next start would fail too


async def test_a_window_that_cannot_be_decoded_is_tried_once() -> None:
    engine = Failing(EngineError("bad_samples", "not finite"))
    with pytest.raises(EngineError, match="not finite"):
        await transcriber(engine).transcribe(a_window())
    assert len(engine.windows) == 1


def test_an_utterance_never_ends_before_the_start_that_watchers_know() -> None:
    world = World(plan_of_feed(known_of(0, [started("u_7", 4900)]), 12_000 * MS))
    world.started("u_20", 4000)
    world.ended("u_20", 4000, 4200)
    (last,) = world.written()
    assert (last["utterance"], last["start_ms"], last["end_ms"]) == ("u_7", 4900, 4900)
