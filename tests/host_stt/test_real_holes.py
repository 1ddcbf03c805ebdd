"""Whisper base skips sentences of joined recordings, and a second reading brings them back.

The recordings are not part of the project: HOST_STT_SPEECH_DIR names their folder.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import jiwer
import numpy as np
import pytest
from faster_whisper import decode_audio

from host_stt.config import Device, EngineConfig
from host_stt.contract import SAMPLE_RATE, Answer, Float32Array, Priority, Transcript, Window
from host_stt.engines.configured import load_whisper
from host_stt.engines.whisper import WhisperEngine
from host_stt.files.voice import WindowDetector
from host_stt.models import ResolvedModel
from host_stt.second_decode import SecondDecoder
from tests.support.windows import window

RECORDINGS = os.environ.get("HOST_STT_SPEECH_DIR", "")
pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not RECORDINGS, reason="HOST_STT_SPEECH_DIR is not set: no recordings here"),
]
SAID = {
    "lj001-0002": "in being comparatively modern",
    "cards-001": "10 of clubs",
    "cards-002": "4 queen of clubs",
    "cards-003": "7 of clubs",
    "cards-004": "5 5",
    "cards-005": "8 of spades 4 of clubs 7 of hearts",
}
LJ, TEN, QUEEN, SEVEN, FIVES, ROW = (
    *("lj001-0002", "cards-001", "cards-002"),
    *("cards-003", "cards-004", "cards-005"),
)
JOINS = (
    ((LJ, 0.3), (QUEEN, 1.2), (SEVEN, 0.8), (TEN, 0.3), (FIVES, 0.8), (FIVES, 0.5), (ROW, 1.2)),
    (
        *((LJ, 0.5), (FIVES, 0.3), (TEN, 0.5), (FIVES, 0.8), (FIVES, 0.8), (QUEEN, 0.3)),
        *((TEN, 0.3), (TEN, 1.2), (FIVES, 0.5)),
    ),
)
"""Files, and the pause behind each in seconds. base reads the first sentence of each join and stops."""


@pytest.fixture(scope="module")
def base(base_model: Path) -> WhisperEngine:
    """Loaded as the server loads it."""
    config = EngineConfig(model=str(base_model), device=Device.CPU)
    return load_whisper(config, ResolvedModel(base_model, "base", "test"))


class Counts:
    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def hole(self, outcome: str, speech_s: float) -> None:
        self.outcomes[outcome] += 1


def joined(join: tuple[tuple[str, float], ...]) -> tuple[Float32Array, str]:
    """(samples, what is said)."""
    parts: list[Float32Array] = []
    texts: list[str] = []
    for name, pause_s in join:
        parts += [
            decode_audio(f"{RECORDINGS}/{name}.wav"),
            np.zeros(round(pause_s * SAMPLE_RATE), np.float32),
        ]
        texts.append(SAID[name])
    return np.concatenate(parts), " ".join(texts)


def missing(truth: str, text: str) -> int:
    said = " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
    return jiwer.process_words(truth, said).deletions


@pytest.mark.parametrize(
    ("join", "priority"),
    [
        (JOINS[0], Priority.FINAL),
        (JOINS[1], Priority.BACKGROUND),
        pytest.param(JOINS[0], Priority.BACKGROUND, marks=pytest.mark.long),
        pytest.param(JOINS[1], Priority.FINAL, marks=pytest.mark.long),
    ],
)
def test_sentences_that_base_skips_come_back(
    base: WhisperEngine, join: tuple[tuple[str, float], ...], priority: Priority
) -> None:
    samples, truth = joined(join)
    readings: list[Transcript] = []

    def decode(w: Window) -> Answer:
        (answer,) = base.decode([w])
        assert isinstance(answer, Transcript), answer
        readings.append(answer)
        return answer

    counts, answers = Counts(), list[Answer]()
    mender = SecondDecoder(lambda w, source, deliver: deliver(decode(w)), WindowDetector(), counts)
    mender.submit(window(samples=samples, language="en", priority=priority), "s", answers.append)
    (answer,) = answers
    assert isinstance(answer, Transcript)
    assert missing(truth, readings[0].text) >= len(truth.split()) // 2, "the first reading skips"
    assert missing(truth, answer.text) <= 3
    assert len(answer.text.split()) <= len(truth.split()) + 2, "nothing is said twice"
    assert counts.outcomes["filled"] == 1
    starts = [w.start_sample for w in answer.words]
    assert starts == sorted(starts)
