"""Two languages on one channel with `auto`, read by the bundled model through the whole pipeline."""

from __future__ import annotations

import asyncio
import time
from itertools import groupby

import numpy as np
import pytest
from faster_whisper import decode_audio

from host_stt.contract import Float32Array
from host_stt.engines.whisper import WhisperEngine
from tests.support.server import ROOT
from tests.support.speech import silence
from tests.webrtc_host.speech.helpers import EngineTranscriber, ListSink, NoTerms, blocks_of
from webrtc_host.seams import EventType
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import SpeechConfig

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def clip(language: str) -> Float32Array:
    samples: Float32Array = decode_audio(str(ROOT / "demo" / "clips" / f"{language}.mp3"))
    return np.concatenate([samples, silence(1.5)])


def is_hangul(text: str) -> bool:
    return any("가" <= letter <= "힣" for letter in text)


async def test_each_language_of_a_channel_is_written_in_its_own_letters(engine: WhisperEngine) -> None:
    """A model that is told English of Korean writes English, or nothing."""
    sink = ListSink()
    pipeline = ChannelPipeline(
        "C01", SpeechConfig(), EngineTranscriber(engine), sink, NoTerms(), "auto", None, Ids(), time.monotonic
    )
    pipeline.start()
    spoken = ("en", "en", "ko", "ko", "en", "en")
    start_sample = 0
    for language in spoken:
        samples = clip(language)
        for block in blocks_of(samples, start_sample):
            await pipeline.wait_for_space()
            pipeline.feed(block)
            await asyncio.sleep(0.001)
        start_sample += len(samples)
        await pipeline.force_end()  # also waits for its finals, as the time between two calls would
    await pipeline.close()
    finals = sink.of(EventType.SEGMENT_FINAL)
    assert [language for language, _ in groupby(final["language"] for final in finals)] == ["en", "ko", "en"]
    assert all(is_hangul(final["text"]) == (final["language"] == "ko") for final in finals)
    fixed = [state["language"] for state in sink.of(EventType.CHANNEL_STATE) if "language" in state]
    assert [language for language, _ in groupby(fixed)][:2] == ["en", "ko"]
