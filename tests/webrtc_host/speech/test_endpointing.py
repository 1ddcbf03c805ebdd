from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.webrtc_host.speech.helpers import MS, S
from webrtc_host.speech.endpointing import (
    TABLE,
    Endpointing,
    EndpointingConfig,
    Rule,
    Signal,
    SpeechEnded,
    SpeechEvent,
    SpeechStarted,
    State,
    mermaid,
)
from webrtc_host.speech.vad import FRAME_SAMPLES, TRAITS, DetectorName

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "endpointing.md"
LAG = TRAITS[DetectorName.SILERO].onset_lag_ms * MS


def endpointing(config: EndpointingConfig | None = None) -> Endpointing:
    counter = itertools.count(1)
    return Endpointing(config or EndpointingConfig(), lambda: f"u_{next(counter)}")


def feed(machine: Endpointing, values: list[float], start: int = 0, now_s: float = 0.0) -> list[SpeechEvent]:
    return machine.feed(np.array(values, dtype=np.float32), start, now_s)


def frames(*parts: tuple[float, int]) -> list[float]:
    return [p for p, count in parts for _ in range(count)]


def test_speech_and_silence_make_one_utterance_with_its_true_bounds() -> None:
    events = feed(endpointing(), frames((0.0, 20), (0.9, 30), (0.0, 20)))
    start, end = 20 * FRAME_SAMPLES - LAG, 50 * FRAME_SAMPLES - LAG
    assert events == [
        SpeechStarted("u_1", start, start - 300 * MS),
        SpeechEnded("u_1", start, end, Rule.HANGOVER),
    ]


def test_an_utterance_ends_at_the_last_speech_and_not_after_the_hangover() -> None:
    machine = endpointing()
    feed(machine, frames((0.9, 30)))
    assert feed(machine, frames((0.0, 15)), 30 * FRAME_SAMPLES) == []  # 480 ms
    (ended,) = feed(machine, [0.0], 45 * FRAME_SAMPLES)
    assert isinstance(ended, SpeechEnded)
    assert ended.end_sample == 30 * FRAME_SAMPLES - LAG


def test_a_breath_does_not_split_an_utterance() -> None:
    events = feed(endpointing(), frames((0.9, 20), (0.0, 14), (0.9, 20), (0.0, 16)))
    assert [type(e) for e in events] == [SpeechStarted, SpeechEnded]


def test_between_the_thresholds_speech_continues_but_does_not_begin() -> None:
    assert feed(endpointing(), frames((0.4, 50))) == []
    machine = endpointing()
    feed(machine, frames((0.9, 5), (0.4, 40)))
    assert machine.state is State.SPEAKING


def test_audio_has_stalled_when_it_is_awaited_for_longer_than_usual() -> None:
    machine = endpointing()
    for number in range(10):  # half a second at a time
        feed(machine, frames((0.9, 15)), number * 15 * FRAME_SAMPLES, now_s=10.0 + number / 2)
    assert machine.stalled_ms(15.9) == 0
    assert machine.stalled_ms(16.1) == pytest.approx(1600)


def test_a_stop_of_the_sender_is_no_usual_wait() -> None:
    machine = endpointing()
    feed(machine, frames((0.9, 5)), now_s=10.0)
    for number in range(1, 5):
        feed(machine, frames((0.9, 3)), number * 5 * FRAME_SAMPLES, now_s=70.0 + number / 10)
    assert machine.stalled_ms(70.6) == 0
    assert machine.stalled_ms(70.8) == pytest.approx(400)


def test_an_utterance_is_closed_only_where_its_text_ends() -> None:
    machine = endpointing()
    feed(machine, frames((0.9, 30), (0.0, 10)))
    end = machine.speech_end_sample
    assert machine.close("u_2", end) == machine.close("u_1", end - FRAME_SAMPLES) == []
    assert machine.close("u_1", end) == [SpeechEnded("u_1", 0, end, Rule.CLOSING_WORD)]
    assert machine.close("u_1", end) == [] and machine.state is State.QUIET


def test_a_click_is_no_speech() -> None:
    machine = endpointing()
    assert feed(machine, frames((0.9, 2), (0.0, 10), (0.9, 2), (0.0, 10))) == []
    assert machine.state is State.QUIET


def test_the_pre_roll_never_reaches_into_the_utterance_before() -> None:
    events = feed(endpointing(), frames((0.9, 20), (0.0, 16), (0.9, 10)))
    ended, started = events[1], events[2]
    assert isinstance(ended, SpeechEnded)
    assert isinstance(started, SpeechStarted)
    assert started.audio_sample >= ended.end_sample
    first = feed(endpointing(), frames((0.9, 10)))[0]
    assert isinstance(first, SpeechStarted)
    assert first.start_sample == first.audio_sample == 0


def test_a_long_gap_ends_an_utterance_and_a_short_one_does_not() -> None:
    machine = endpointing()
    feed(machine, frames((0.9, 20)))
    assert feed(machine, frames((0.9, 5)), 20 * FRAME_SAMPLES + S // 2) == []
    position = 25 * FRAME_SAMPLES + S // 2
    (ended, started) = feed(machine, frames((0.9, 5)), position + 2 * S)
    assert isinstance(ended, SpeechEnded)
    assert ended.rule is Rule.GAP
    assert isinstance(started, SpeechStarted)
    assert started.start_sample == position + 2 * S - LAG


def test_an_utterance_ends_when_nothing_arrives_any_more() -> None:
    machine = endpointing()
    feed(machine, frames((0.9, 20)), now_s=10.0)
    assert machine.on_tick(10.9) == []
    (ended,) = machine.on_tick(11.0)
    assert isinstance(ended, SpeechEnded)
    assert ended.rule is Rule.NO_PACKETS
    assert machine.on_tick(99.0) == []


def test_closing_ends_what_is_being_said_and_nothing_else() -> None:
    machine = endpointing()
    assert machine.flush() == []
    feed(machine, frames((0.9, 2)))
    assert machine.flush() == []  # not long enough to be speech
    feed(machine, frames((0.9, 10)), 2 * FRAME_SAMPLES)
    (ended,) = machine.flush()
    assert isinstance(ended, SpeechEnded)
    assert ended.rule is Rule.CHANNEL_CLOSED


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60),
            st.sampled_from([("tick", 0.5), ("tick", 2.0), ("hole", 0.3), ("hole", 3.0)]),
        ),
        max_size=30,
    )
)
def test_every_start_has_exactly_one_end_in_order(steps: list[list[float] | tuple[str, float]]) -> None:
    machine = endpointing()
    events: list[SpeechEvent] = []
    at, now = 0, 0.0
    for step in steps:
        match step:
            case ("tick", float(seconds)):
                now += seconds
                events += machine.on_tick(now)
            case ("hole", float(seconds)):
                at += int(seconds * S)
            case list(values):
                events += feed(machine, values, at, now)
                at += len(values) * FRAME_SAMPLES
    events += machine.flush()
    floor = 0
    for started, ended in zip(events[::2], events[1::2], strict=True):
        assert isinstance(started, SpeechStarted)
        assert isinstance(ended, SpeechEnded)
        assert started.utterance_id == ended.utterance_id
        assert floor <= started.audio_sample <= started.start_sample == ended.start_sample
        assert ended.start_sample < ended.end_sample <= at + FRAME_SAMPLES
        floor = ended.end_sample


def test_time_does_not_go_backwards() -> None:
    machine = endpointing()
    feed(machine, [0.0], S)
    with pytest.raises(ValueError, match="come after"):
        feed(machine, [0.0], 0)


@pytest.mark.parametrize(
    "wrong",
    [{"on_probability": 0.3, "off_probability": 0.5}, {"hangover_ms": 10}, {"pre_roll_ms": -1}],
)
def test_a_config_that_cannot_work_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        EndpointingConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_every_state_has_moves_for_speech_silence_and_a_cut() -> None:
    assert {(state, Signal.CUT) for state in State} <= set(TABLE)
    assert {(state, Signal.SILENCE) for state in State} <= set(TABLE)
    assert {(state, Signal.SPEECH) for state in State} <= set(TABLE)
    assert set(TABLE.values()) == set(State)


def test_the_picture_in_the_docs_is_the_table() -> None:
    assert f"```mermaid\n{mermaid()}\n```" in PAGE.read_text(encoding="utf-8")
