"""A minute of speech without a pause, read by the bundled model through the whole pipeline of a channel."""

from __future__ import annotations

import random
from dataclasses import dataclass

import jiwer
import numpy as np
import pytest

from host_stt.contract import Float32Array, Priority, Transcript, Window
from host_stt.engines.whisper import WhisperEngine
from tests.support.polling import until
from tests.support.speech import padded, say, silence
from tests.webrtc_host.speech.helpers import (
    EngineTranscriber,
    ListSink,
    NoTerms,
    S,
    blocks_of,
    transcript_of,
)
from training.grammar import draw_phrase
from webrtc_host.seams import EventType
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import SpeechConfig

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

GAP_S = 0.25
"""Between phrases: half the hangover, so that the minute is one utterance."""


@dataclass(frozen=True)
class Minute:
    phrases: tuple[str, ...]
    samples: Float32Array
    clips: tuple[Float32Array, ...]

    @property
    def text(self) -> str:
        return " ".join(self.phrases)


@pytest.fixture(scope="module")
def minute() -> Minute:
    rng = random.Random(3)
    phrases: list[str] = []
    clips: list[Float32Array] = []
    while sum(len(c) + GAP_S * S for c in clips) < 60 * S:
        phrases.append(draw_phrase(rng, "en", held_out=True).text)
        clips.append(say(phrases[-1]))
    samples = np.concatenate([part for clip in clips for part in (clip, silence(GAP_S))])
    return Minute(tuple(phrases), samples, tuple(clips))


Asked = list[tuple[Window, int]]


class Watched(EngineTranscriber):
    """Notes how far the audio was when each window was asked."""

    def __init__(self, engine: WhisperEngine) -> None:
        super().__init__(engine)
        self.fed_sample = 0
        self.asked: Asked = []
        self.readings: dict[str, Transcript] = {}

    async def transcribe(self, window: Window) -> Transcript:
        self.asked.append((window, self.fed_sample))
        self.readings[window.id] = await super().transcribe(window)
        return self.readings[window.id]


def alone(engine: WhisperEngine, minute: Minute) -> list[str]:
    """Each phrase read by itself, as an utterance of its own would be."""
    texts = []
    for i, clip in enumerate(minute.clips):
        window = Window(f"a{i}", "C01", padded(clip, 0.3, 0.3), 0, Priority.FINAL, "en")
        (answer,) = engine.decode([window])
        texts.append(transcript_of(answer).text)
    return texts


def heard_by_one_window_only(watched: Watched, finals: Asked, k: int) -> list[str]:
    """The words of the kth final between the end of the one before and the start of the one after."""
    window = finals[k][0]
    start = finals[k - 1][0].start_sample + len(finals[k - 1][0].samples) if k else 0
    end = finals[k + 1][0].start_sample if k + 1 < len(finals) else window.start_sample + len(window.samples)
    words = watched.readings[window.id].words
    return [w.text for w in words if start < w.start_sample and w.end_sample < end]


def is_subsequence(some: list[str], all_of_them: list[str]) -> bool:
    rest = iter(all_of_them)
    return all(word in rest for word in some)


def runs_said_twice(words: list[str]) -> list[list[str]]:
    """Runs of three to seven words that are followed by themselves, both copies."""
    return [
        words[i : i + 2 * n]
        for n in range(3, 8)
        for i in range(len(words) - 2 * n + 1)
        if words[i : i + n] == words[i + n : i + 2 * n]
    ]


def holds(words: list[str], run: list[str]) -> bool:
    return any(words[i : i + len(run)] == run for i in range(len(words) - len(run) + 1))


def word_error_rate(said: str, heard: str) -> float:
    return float(jiwer.wer(said.lower(), heard.lower() or "-"))


async def test_a_minute_without_a_pause_becomes_final_piece_by_piece_and_whole(
    engine: WhisperEngine, minute: Minute
) -> None:
    sink, transcriber = ListSink(), Watched(engine)

    def audio_clock() -> float:
        """The audio's own time: a busy machine must not look like a sender that is gone."""
        return transcriber.fed_sample / S

    pipeline = ChannelPipeline(
        "C01", SpeechConfig(), transcriber, sink, NoTerms(), "en", None, Ids(), audio_clock
    )
    pipeline.start()
    for block in blocks_of(padded(minute.samples, 0.5, 1.0), block_ms=100):
        transcriber.fed_sample = block.end_sample
        pipeline.feed(block)
        await until(lambda: not pipeline.statistics().queued_ms and pipeline.statistics().in_flight <= 2)
    await pipeline.close()

    assert len(sink.of(EventType.SPEECH_STARTED)) == 1, "the gaps are shorter than the hangover"
    assert sink.of(EventType.WINDOW_FAILED) == []
    finals = [(w, at) for w, at in transcriber.asked if w.priority is Priority.FINAL]
    assert len(finals) >= 7
    assert all(at - w.start_sample <= 15 * S for w, at in finals), "nothing waits longer than 15 s"

    segments = sink.of(EventType.SEGMENT_FINAL)
    assert all(a["end_ms"] <= b["start_ms"] for a, b in zip(segments, segments[1:], strict=False))
    heard, said = sink.text.split(), minute.text.split()
    assert 0.75 <= len(heard) / len(said) <= 1.25
    readings = [transcriber.readings[w.id].text.split() for w, _ in finals]
    doubled = runs_said_twice(heard)
    assert all(any(holds(reading, run) for reading in readings) for run in doubled), (
        f"joining doubled {doubled}"
    )
    certain = [word for k in range(len(finals)) for word in heard_by_one_window_only(transcriber, finals, k)]
    assert is_subsequence(certain, heard), "joining lost words that no overlap touched"

    by_itself = word_error_rate(minute.text, " ".join(alone(engine, minute)))
    joined = word_error_rate(minute.text, sink.text)
    # Cuts inside a phrase cost a small model something. Twice its own errors and a tenth is where joining is
    # at fault.
    assert joined <= 2 * by_itself + 0.1, f"joined {joined:.0%}, each phrase alone {by_itself:.0%}"
