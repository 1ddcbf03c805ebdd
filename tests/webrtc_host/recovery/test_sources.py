"""Every source of work is transcribed, interrupted and transcribed again: each word is written once.

The speech is spoken a word at a time, so that its true times are known; the engine returns the words in
its window. The server crashes at the last window of a transcription.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from host_stt.contract import Segment, Transcript, Window, Word
from tests.support.polling import until
from tests.support.speech import padded, say_words
from tests.webrtc_host.recovery.fed_channel import AUDIO, LOST, SECOND, a_channel
from tests.webrtc_host.recovery.stored import a_final, ended, failed, started
from tests.webrtc_host.speech.helpers import NoTerms
from webrtc_host.events import EventSink
from webrtc_host.recovery.audio import Run, UploadedAudio
from webrtc_host.recovery.known import Known, Range, known_of
from webrtc_host.recovery.plan import Plan, plan_of_feed, plan_of_gaps, plan_of_utterance
from webrtc_host.recovery.publishing import ReadingTotals
from webrtc_host.recovery.reading import read
from webrtc_host.seams import CoverageNotes, Source, Transcriber, ms_of
from webrtc_host.session.channel import Channel
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import PipelineConfig, SpeechConfig
from webrtc_host.speech.windowing_config import WindowingConfig
from webrtc_host.transcript.event_codec import decode_readable
from webrtc_host.transcript.past import KINDS

pytestmark = pytest.mark.slow

LEAD_SAMPLES = SECOND // 2
SPOKEN = say_words(
    "alpha one proceed to gate seven and hold hold there until bravo two calls you back over "
    "charlie five return four nine echo"
)
WORDS = [(text, start + LEAD_SAMPLES, end + LEAD_SAMPLES) for text, start, end in SPOKEN.words]
SAMPLES = padded(SPOKEN.samples, 0.5, 1.5)
END = len(SAMPLES)
CONFIG = SpeechConfig(
    windowing=WindowingConfig(window_ms_min=3000, window_ms_max=4000),
    pipeline=PipelineConfig(interims_in_flight_max=0),
)
BUSY_BOX_S = 60.0


class ExactEngine:
    """Returns words of which at least half is in the window. answers: the number of responses."""

    def __init__(self, answers: int | None = None) -> None:
        self.answers = answers
        self.windows = 0
        self.is_silent = asyncio.Event()

    async def transcribe(self, window: Window) -> Transcript:
        if self.answers is not None and self.windows >= self.answers:
            self.is_silent.set()
            await asyncio.Event().wait()
        self.windows += 1
        low, high = window.start_sample, window.start_sample + len(window.samples)
        heard = [
            Word(text, start, end, 0.9)
            for text, start, end in WORDS
            if min(end, high) - max(start, low) >= (end - start) / 2
        ]
        segments: tuple[Segment, ...] = ()
        if heard:
            text = " ".join(word.text for word in heard)
            times = heard[0].start_sample, heard[-1].end_sample
            segments = (Segment(text, *times, -0.1, 0.0, 1.0, tuple(heard)),)
        return Transcript(window.id, segments, "en", 1.0, -0.1, 0.0, 1.0)


class Scene:
    """A channel with the speech, and one job for a part of it or for all."""

    def __init__(self, channel: Channel, source: Source, plan: Callable[[Known], Plan]) -> None:
        self.channel, self.source, self._plan = channel, source, plan
        self._ids = Ids()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(event.data) for event in self.channel.session.log.since(0)]

    def words(self) -> list[str]:
        finals = [event for event in self.events() if event["type"] == "segment.final"]
        finals.sort(key=lambda final: (final["start_ms"], final["end_ms"]))
        return [word["text"] for final in finals for word in final["words"]]

    def utterances(self, kind: str) -> list[str]:
        return [event["utterance"] for event in self.events() if event["type"] == kind]

    async def read(self, engine: ExactEngine) -> int:
        """Transcribe as the service does, with the text of the record at this moment."""
        log = self.channel.session.log
        decoded = decode_readable(held.data for held in log.since(0))
        stored = [envelope for envelope in decoded if envelope.event.kind in KINDS]
        known = replace(known_of(0, stored), to_seq=log.head_seq)
        audio = UploadedAudio([Run(0, SAMPLES)])
        totals = ReadingTotals()
        return await read(self.channel, self._plan(known), audio, self.source, engine, self._pipeline, totals)

    async def interrupted(self, answers: int) -> None:
        """A transcription that a crash ends after this many windows."""
        engine = ExactEngine(answers)
        task = asyncio.create_task(self.read(engine))
        await until(lambda: engine.is_silent.is_set() or task.done(), BUSY_BOX_S)
        task.cancel()
        await asyncio.wait([task])

    def _pipeline(
        self, channel: Channel, sink: EventSink, notes: CoverageNotes, transcriber: Transcriber
    ) -> ChannelPipeline:
        return ChannelPipeline(
            channel.id,
            CONFIG,
            transcriber,
            sink,
            NoTerms(),
            "en",
            None,
            self._ids,
            time.monotonic,
            notes=notes,
        )


def a_feed() -> Scene:
    """A crash ended the feed; the record has no text of it."""
    channel, _ = a_channel((0, END / SECOND, AUDIO))
    return Scene(channel, Source.RECOVERY, lambda known: plan_of_feed(known, END))


def a_window() -> Scene:
    """The speech is one utterance, and there was no engine for it."""
    channel, _ = a_channel((0, END / SECOND, AUDIO))
    start_ms, end_ms, log = ms_of(WORDS[0][1]), ms_of(WORDS[-1][2]), channel.session.log
    for one in (
        started("u_900", start_ms),
        ended("u_900", start_ms, end_ms),
        failed("u_900", start_ms, end_ms, "deadline"),
    ):
        log.emit(one.event)
    return Scene(channel, Source.RECOVERY, lambda known: plan_of_utterance(known, "u_900", END))


def a_gap() -> Scene:
    """The network was cut in the middle of words; live text has the words recognized on both sides."""
    cut = middle(WORDS[7]), middle(WORDS[17])
    channel, _ = a_channel(
        (0, cut[0] / SECOND, AUDIO),
        (cut[0] / SECOND, (cut[1] - cut[0]) / SECOND, LOST),
        (cut[1] / SECOND, (END - cut[1]) / SECOND, AUDIO),
    )
    live(channel, "u_901", WORDS[:7])
    live(channel, "u_902", WORDS[18:])
    return Scene(channel, Source.BACKFILL, lambda known: plan_of_gaps(known, [Range(*cut)]))


def middle(word: tuple[str, int, int]) -> int:
    return (word[1] + word[2]) // 2


def live(channel: Channel, utterance: str, words: list[tuple[str, int, int]]) -> None:
    """An utterance with its text, as a live pipeline wrote it."""
    log, start_ms, end_ms = channel.session.log, ms_of(words[0][1]), ms_of(words[-1][2])
    log.emit(started(utterance, start_ms).event)
    log.emit(ended(utterance, start_ms, end_ms).event)
    log.emit(a_final(utterance, [Word(text, start, end, 0.9) for text, start, end in words]))


SOURCES = {"feed cut off": a_feed, "failed window": a_window, "gap": a_gap}
STEPS = {"nothing known": (), "crash at once": (0,), "crash in the middle": (2,), "two crashes": (1, 2)}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("steps", STEPS)
async def test_each_word_is_written_once_for_any_number_of_crashes(source: str, steps: str) -> None:
    scene = SOURCES[source]()
    for answers in STEPS[steps]:
        await scene.interrupted(answers)
    await scene.read(ExactEngine())
    assert scene.words() == [text for text, _, _ in WORDS]
    counts = Counter(scene.utterances("speech.started"))
    assert set(counts.values()) == {1} and counts == Counter(scene.utterances("speech.ended"))
    assert set(scene.utterances("segment.final")) <= set(counts)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_job_that_is_done_again_writes_nothing(source: str) -> None:
    scene = SOURCES[source]()
    assert await scene.read(ExactEngine()) > 0
    before, engine = len(scene.words()), ExactEngine()
    assert await scene.read(engine) == 0
    assert len(scene.words()) == before


@pytest.mark.parametrize("source", SOURCES)
async def test_words_have_their_true_times_and_their_source(source: str) -> None:
    scene = SOURCES[source]()
    await scene.read(ExactEngine())
    finals = [event for event in scene.events() if event["type"] == "segment.final"]
    read_late = [final for final in finals if "source" in final]
    assert read_late and {final["source"] for final in read_late} == {scene.source.value}
    true = {(text, ms_of(start)) for text, start, _ in WORDS}
    for final in read_late:
        for word in final["words"]:
            assert min(abs(word["start_ms"] - at) for text, at in true if text == word["text"]) <= 20


async def test_a_cut_word_that_was_recognized_live_is_not_written_again() -> None:
    scene = a_gap()
    live(scene.channel, "u_903", [(WORDS[7][0], WORDS[7][1], middle(WORDS[7]))])
    await scene.read(ExactEngine())
    assert scene.words() == [text for text, _, _ in WORDS]
