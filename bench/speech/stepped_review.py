"""The review of live lines without a server: the audio's own clock, and one engine that is always idle.

Grouping, window, trust and the matching of words are those of the server; the archive and the text stages are
left out. In the server the review waits for a quiet engine, which changes when a text comes, not which text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from host_stt.contract import Float32Array
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.config import ReviewConfig
from webrtc_host.events import Event
from webrtc_host.review.matching import changes
from webrtc_host.review.queue import ReviewQueue
from webrtc_host.review.reading import best_words, windows_of
from webrtc_host.seams import SAMPLES_PER_MS, Transcriber
from webrtc_host.speech.words import text_of


class SteppedReview:
    """Of one recording. `observe` gets every event, `step` is called now and then, `revisions` at the end."""

    def __init__(self, transcriber: Transcriber, clock: Callable[[], float]) -> None:
        config = ReviewConfig()
        self._transcriber = transcriber
        self._queue = ReviewQueue(config.queue_max, config.pause_s, clock)

    def observe(self, event: Event) -> None:
        self._queue.take_event(ChannelKey("evaluation", event.channel or ""), event)

    def step(self) -> None:
        self._queue.complete_quiet()

    async def revisions(self, samples: Float32Array) -> dict[str, str]:
        """From each revised segment to its new text. samples: (n,) all audio of the channel."""
        revised: dict[str, str] = {}
        self._queue.complete_all()
        for number in itertools.count(1):
            if (one := self._queue.take()) is None:
                return revised
            first, last = one.group.from_ms * SAMPLES_PER_MS, one.group.to_ms * SAMPLES_PER_MS
            windows = windows_of(number, one.channel_key.channel, one.group, samples[first:last])
            words = best_words([await self._transcriber.transcribe(window) for window in windows])
            revised |= {line.segment: text_of(new) for line, new in changes(one.group.lines, words or [])}
        raise AssertionError("the queue is bounded")
