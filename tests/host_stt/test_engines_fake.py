from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt.contract import EndReason, Priority, Transcript, Window, WindowError
from host_stt.engines.base import Engine, EngineError
from host_stt.engines.fake import WHISPER_LIKE, FakeEngine, FakeErrors, FakeFault, script_of

S = 16_000
TEXT = "alpha one proceed to gate seven and hold there until bravo two has left"


def window(
    start_s: float, end_s: float, priority: Priority = Priority.FINAL, language: str = "auto"
) -> Window:
    samples = np.zeros(int((end_s - start_s) * S), dtype=np.int16)
    return Window(
        id=f"w{start_s}",
        channel="C01",
        samples=samples,
        start_sample=int(start_s * S),
        priority=priority,
        language=language,
    )


def read(engine: FakeEngine, w: Window) -> Transcript:
    (answer,) = engine.decode([w])
    assert isinstance(answer, Transcript)
    return answer


def test_the_fake_engine_implements_the_engine_protocol() -> None:
    assert isinstance(FakeEngine(), Engine)


def test_without_errors_the_fake_returns_the_script_with_its_times() -> None:
    script = script_of(TEXT)
    answer = read(FakeEngine(script), window(0, 10))
    assert answer.text == TEXT
    assert list(answer.words) == script
    assert answer.end_reason is EndReason.COMPLETE


def test_a_window_gets_only_the_words_in_its_range() -> None:
    answer = read(FakeEngine(script_of("one two three four")), window(0.4, 1.2))
    assert answer.text == "two three"


def test_a_pause_of_a_second_begins_a_new_segment() -> None:
    answer = read(FakeEngine(script_of("one two | three")), window(0, 5))
    assert [s.text for s in answer.segments] == ["one two", "three"]


def test_interims_carry_no_words_and_silence_carries_no_text() -> None:
    engine = FakeEngine(script_of("one two"))
    interim = read(engine, window(0, 2, Priority.INTERIM))
    assert interim.text == "one two" and interim.words == ()
    silence = read(engine, window(20, 22))
    assert silence.segments == () and silence.end_reason is EndReason.NO_SPEECH


def test_each_channel_may_have_its_own_script() -> None:
    engine = FakeEngine({"C01": script_of("one"), "C02": script_of("two")})
    assert read(engine, window(0, 2)).text == "one"


def test_an_unknown_language_fails_only_its_own_window() -> None:
    first, second = FakeEngine(script_of("one")).decode([window(0, 2, language="xx"), window(0, 2)])
    assert isinstance(first, WindowError) and first.code == "unknown_language" and not first.is_retryable
    assert isinstance(second, Transcript)


@given(start=st.integers(0, 5), length=st.integers(1, 10), seed=st.integers(0, 2**31))
def test_times_stay_inside_the_window_and_in_order_with_any_errors(
    start: int, length: int, seed: int
) -> None:
    w = window(start, start + length)
    words = read(FakeEngine(script_of(TEXT), WHISPER_LIKE, seed), w).words
    last = w.start_sample
    for word in words:
        assert last <= word.start_sample <= word.end_sample <= w.start_sample + len(w.samples)
        last = word.start_sample


def test_the_same_window_always_gets_the_same_text() -> None:
    engine = FakeEngine(script_of(TEXT), WHISPER_LIKE, 7)
    first = read(engine, window(0, 3))
    read(engine, window(1, 4))
    assert read(engine, window(0, 3)) == first
    seeds = {read(FakeEngine(script_of(TEXT), WHISPER_LIKE, seed), window(0, 3.1)).text for seed in range(20)}
    assert len(seeds) > 3


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        (FakeErrors(edge_drop=1.0), "two three"),
        (FakeErrors(drop=1.0), "one four"),
        (FakeErrors(edge_cut=1.0), "one two three fo"),
        (FakeErrors(repeat_tail=1.0), "one two three four"),
    ],
)
def test_each_kind_of_error_changes_the_text_as_named(errors: FakeErrors, expected: str) -> None:
    text = read(FakeEngine(script_of("one two three four"), errors, 3), window(0, 1.35)).text
    assert text.startswith(expected)
    assert (len(text) > len(expected)) is (errors.repeat_tail > 0)


def test_the_fault_is_raised_on_the_configured_call() -> None:
    engine = FakeEngine(script_of("one"), fault=FakeFault.RAISE, fault_on_call=2)
    read(engine, window(0, 2))
    with pytest.raises(EngineError):
        engine.decode([window(0, 2)])
    assert read(engine, window(0, 2)).text == "one"


def test_a_hang_lasts_until_the_engine_is_closed() -> None:
    engine = FakeEngine(fault=FakeFault.HANG)
    ended = threading.Event()

    def hang() -> None:
        with pytest.raises(EngineError):
            engine.decode([window(0, 1)])
        ended.set()

    thread = threading.Thread(target=hang)
    thread.start()
    assert not ended.wait(0.05)
    engine.close()
    assert ended.wait(5)
    thread.join()
