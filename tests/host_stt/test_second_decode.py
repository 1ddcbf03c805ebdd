"""A final that leaves speech without words has it read once more, and says what stayed without words.

The speech is real and so is the voice detector; the engine knows the words and skips some, as Whisper does.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from host_stt.contract import (
    SAMPLE_RATE,
    Answer,
    Float32Array,
    Priority,
    Transcript,
    UnreadReason,
    Window,
    WindowError,
    Word,
    decode_answer,
    encode_answer,
)
from host_stt.engines.fake import FakeEngine
from host_stt.files.voice import WindowDetector
from host_stt.planner import PlannerConfig
from host_stt.pool import Pool
from host_stt.second_decode import LIVE, LONG, Deliver, SecondDecoder
from tests.support.speech import Spoken, say_words
from tests.support.windows import window

TEXT = "alpha one proceed to gate seven and report when you are there because the road is closed today over"
HIDDEN = slice(6, 14)
"""The words that the first reading skips: about four seconds of speech."""


@pytest.fixture(scope="module")
def spoken() -> Spoken:
    return say_words(TEXT, pause_ms=60)


def script_of(spoken: Spoken) -> list[Word]:
    return [Word(text, a, b, 0.9) for text, a, b in spoken.words]


def stretch(words: Sequence[Word]) -> tuple[int, int]:
    return words[0].start_sample, words[-1].end_sample


class Counts:
    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def hole(self, outcome: str, speech_s: float) -> None:
        assert speech_s > 0
        self.outcomes[outcome] += 1


class Desk:
    """A mender over an engine that answers at once, and what came back."""

    def __init__(self, engine: FakeEngine, answer: Callable[[Window], Answer] | None = None) -> None:
        self.engine = engine
        self.counts = Counts()
        self._answer = answer or (lambda w: engine.decode([w])[0])
        self._mender = SecondDecoder(self._submit, WindowDetector(), self.counts)

    def _submit(self, w: Window, source: str, deliver: Deliver) -> None:
        deliver(self._answer(w))

    def read(
        self, samples: Float32Array, priority: Priority = Priority.FINAL, start_sample: int = 0
    ) -> Transcript:
        answers: list[Answer] = []
        w = window(
            samples=samples,
            priority=priority,
            start_sample=start_sample,
            history="said before",
            known_text="known",
        )
        self._mender.submit(w, "s", answers.append)
        (answer,) = answers
        assert isinstance(answer, Transcript)
        return answer


@pytest.mark.parametrize("priority", [Priority.FINAL, Priority.BACKGROUND])
def test_skipped_words_are_decoded_again_and_inserted_at_their_time(
    spoken: Spoken, priority: Priority
) -> None:
    script = script_of(spoken)
    desk = Desk(FakeEngine(script, skipped=[stretch(script[HIDDEN])]))
    transcript = desk.read(spoken.samples, priority)
    assert transcript.text == TEXT
    assert [w.start_sample for w in transcript.words] == [w.start_sample for w in script]
    assert transcript.unread == ()
    assert desk.counts.outcomes == {"filled": 1}


def test_only_the_hole_is_decoded_again_without_history_in_the_detected_language(spoken: Spoken) -> None:
    script = script_of(spoken)
    hidden = stretch(script[HIDDEN])
    desk = Desk(FakeEngine(script, skipped=[hidden]))
    desk.read(spoken.samples)
    (again,) = desk.engine.second_decodes
    assert again.start_sample <= hidden[0] and hidden[1] <= again.start_sample + len(again.samples)
    assert len(again.samples) < hidden[1] - hidden[0] + SAMPLE_RATE
    assert (again.language, again.history, again.known_text) == ("en", "", "") and again.is_second_decode


def test_words_skipped_at_the_start_and_end_of_a_window_are_recovered(spoken: Spoken) -> None:
    script = script_of(spoken)
    skipped = [stretch(script[:6]), stretch(script[14:])]
    assert Desk(FakeEngine(script, skipped=skipped)).read(spoken.samples).text == TEXT


def test_times_are_on_the_timeline_of_the_channel(spoken: Spoken) -> None:
    late = 100 * SAMPLE_RATE
    script = [Word(w.text, w.start_sample + late, w.end_sample + late, 0.9) for w in script_of(spoken)]
    desk = Desk(FakeEngine(script, skipped=[stretch(script[HIDDEN])]))
    transcript = desk.read(spoken.samples, start_sample=late)
    assert [w.start_sample for w in transcript.words] == [w.start_sample for w in script]


def test_a_window_with_all_its_words_is_decoded_once(spoken: Spoken) -> None:
    desk = Desk(FakeEngine(script_of(spoken)))
    assert desk.read(spoken.samples).text == TEXT
    assert not desk.engine.second_decodes and not desk.counts.outcomes


def test_an_interim_is_never_decoded_again(spoken: Spoken) -> None:
    desk = Desk(FakeEngine([]))
    desk.read(spoken.samples, Priority.INTERIM)
    assert not desk.engine.second_decodes


def test_music_and_noise_without_words_are_not_decoded_again() -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, 10 * SAMPLE_RATE).astype(np.float32)
    desk = Desk(FakeEngine([]))
    assert desk.read(noise).unread == ()
    assert not desk.engine.second_decodes


def test_speech_that_still_has_no_words_is_reported_as_unread(spoken: Spoken) -> None:
    script = script_of(spoken)
    hidden = stretch(script[HIDDEN])
    desk = Desk(FakeEngine(script, skipped=[hidden], skipped_again=[hidden]))
    transcript = desk.read(spoken.samples)
    (unread,) = transcript.unread
    assert unread.reason is UnreadReason.NO_WORDS
    assert abs(unread.start_sample - hidden[0]) < SAMPLE_RATE // 2
    assert abs(unread.end_sample - hidden[1]) < SAMPLE_RATE // 2
    assert len(desk.engine.second_decodes) == 1
    assert desk.counts.outcomes == {"no_words": 1}
    assert decode_answer(encode_answer(transcript)) == transcript


def test_a_hole_that_the_model_calls_silence_is_a_decoded_silence(spoken: Spoken) -> None:
    script = script_of(spoken)
    engine = FakeEngine([*script[:6], *script[14:]])
    desk = Desk(engine)
    assert desk.read(spoken.samples).unread == ()
    assert len(engine.second_decodes) == 1
    assert desk.counts.outcomes == {"silent": 1}


def test_a_refused_second_decode_keeps_the_first_result_and_reports_it(spoken: Spoken) -> None:
    script = script_of(spoken)
    engine = FakeEngine(script, skipped=[stretch(script[HIDDEN])])

    def overloaded(w: Window) -> Answer:
        return WindowError(w.id, "shed", "overloaded") if w.is_second_decode else engine.decode([w])[0]

    desk = Desk(engine, overloaded)
    transcript = desk.read(spoken.samples)
    assert transcript.text == " ".join(w.text for w in (*script[:6], *script[14:]))
    assert [u.reason for u in transcript.unread] == [UnreadReason.NOT_READ_AGAIN]
    assert desk.counts.outcomes == {"not_read_again": 1}


def test_a_second_decode_with_a_loop_or_low_confidence_adds_no_words(spoken: Spoken) -> None:
    script = script_of(spoken)
    engine = FakeEngine(script, skipped=[stretch(script[HIDDEN])])

    def doubtful(w: Window) -> Answer:
        answer = engine.decode([w])[0]
        assert isinstance(answer, Transcript)
        return replace(answer, avg_logprob=-1.5) if w.is_second_decode else answer

    transcript = Desk(engine, doubtful).read(spoken.samples)
    assert len(transcript.words) == len(script) - 8
    assert [u.reason for u in transcript.unread] == [UnreadReason.NO_WORDS]


def test_the_rest_of_a_hole_is_decoded_in_parts_in_files_and_not_live() -> None:
    first, second = (
        say_words("ten of clubs and nine of hearts"),
        say_words("eight of spades and seven of clubs"),
    )
    pause = np.zeros(SAMPLE_RATE, np.float32)
    samples = np.concatenate([first.samples, pause, second.samples])
    at = len(first.samples) + len(pause)
    script = [*script_of(first), *(Word(t, at + a, at + b, 0.9) for t, a, b in second.words)]
    engine = FakeEngine(script)
    asked: list[Window] = []

    def stops_early(w: Window) -> Answer:
        """The model says nothing of a long window."""
        asked.append(w)
        if len(w.samples) > len(samples) * 3 // 4:
            return FakeEngine([], skipped=[(0, len(samples))]).decode([w])[0]
        return engine.decode([w])[0]

    live = Desk(engine, stops_early).read(samples)
    assert not live.words and len(asked) == 1 + LIVE.rounds
    asked.clear()
    file = Desk(engine, stops_early).read(samples, Priority.BACKGROUND)
    assert file.text == " ".join(w.text for w in script)
    assert len(asked) - 1 <= LONG.readings
    assert sum(len(w.samples) for w in asked[1:]) <= LONG.samples


def test_the_amount_of_audio_decoded_again_is_limited(spoken: Spoken) -> None:
    gap = np.zeros(SAMPLE_RATE, np.float32)
    samples = np.concatenate([np.concatenate([spoken.samples[: 2 * SAMPLE_RATE], gap]) for _ in range(9)])
    here = [
        Word("here", n * 3 * SAMPLE_RATE + 2 * SAMPLE_RATE, n * 3 * SAMPLE_RATE + 36_000, 0.9)
        for n in range(9)
    ]
    desk = Desk(FakeEngine(here, skipped_again=[(0, len(samples))]))
    transcript = desk.read(samples, Priority.BACKGROUND)
    assert len(desk.engine.second_decodes) <= LONG.readings
    assert sum(len(w.samples) for w in desk.engine.second_decodes) <= LONG.samples
    assert UnreadReason.NOT_READ_AGAIN in {u.reason for u in transcript.unread}


def test_a_detector_that_fails_costs_no_text(spoken: Spoken) -> None:
    class Broken:
        frame_samples = 512

        def probabilities(self, samples: Float32Array) -> Float32Array:
            raise RuntimeError("no session")

    script = script_of(spoken)
    engine = FakeEngine(script[:3])
    answers: list[Answer] = []
    mender = SecondDecoder(lambda w, source, deliver: deliver(engine.decode([w])[0]), Broken(), Counts())
    mender.submit(window(samples=spoken.samples), "s", answers.append)
    assert [a.text for a in answers if isinstance(a, Transcript)] == ["alpha one proceed"]


class Held(FakeEngine):
    """Waits in each decode until it is let go."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.go = threading.Event()

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        assert self.go.wait(20)
        return super().decode(windows)


def test_waiting_finals_are_decoded_before_a_second_decode(spoken: Spoken) -> None:
    """Through the real pool: the second reading is a call of its own, and holds up no final."""
    script = script_of(spoken)
    engine = Held({"C01": script, "C02": script}, skipped=[stretch(script[HIDDEN])])
    pool = Pool([engine], PlannerConfig(batch_max=1))
    answers: queue.Queue[Answer] = queue.Queue()
    try:
        mender = SecondDecoder(pool.submit, WindowDetector(), Counts())
        mender.submit(window("hole", samples=spoken.samples), "s", answers.put)
        for n in range(3):
            short = window(f"f{n}", channel="C02", samples=spoken.samples[: SAMPLE_RATE // 2])
            mender.submit(short, "s", answers.put)
        engine.go.set()
        got = [answers.get(timeout=20) for _ in range(4)]
    finally:
        engine.go.set()
        pool.stop(5)
    assert [a.id for a in got] == ["f0", "f1", "f2", "hole"]
    assert isinstance(got[-1], Transcript) and got[-1].text == TEXT
