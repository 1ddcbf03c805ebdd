from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from host_stt.contract import Priority, Transcript, Window, Word
from host_stt.engines.fake import FakeEngine
from tests.support.speech import padded, say_words, silence
from tests.webrtc_host.speech.helpers import (
    MS,
    EngineTranscriber,
    HandClock,
    ListSink,
    NoTerms,
    S,
    blocks_of,
    script,
)
from webrtc_host.errors import EngineError
from webrtc_host.seams import Block, BlockKind, EventType
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import PipelineConfig, SpeechConfig

PHRASE = "alpha one proceed to gate seven and hold there"


async def test_a_phrase_becomes_interims_and_a_final_with_its_times() -> None:
    spoken = say_words(PHRASE)
    sink = ListSink()
    transcriber = EngineTranscriber(FakeEngine(script(spoken.words, S // 2)))
    pipeline = ChannelPipeline(
        "C01", SpeechConfig(), transcriber, sink, NoTerms(), "en", None, Ids(), time.monotonic
    )
    pipeline.start()
    for block in blocks_of(padded(spoken.samples, 0.5, 1.0)):
        await pipeline.room()
        pipeline.feed(block)
        await asyncio.sleep(0.001)
    await pipeline.close()
    for e in sink.events:
        print(e)
    assert sink.text == PHRASE
