"""The review service: reads groups of live lines from the archive, decodes them together, revises the lines.

Live text is decoded in short windows, as soon as speech pauses. The review gives Whisper what an offline run
has: up to 27 s of speech at once, a window of 30 s, and a wider search. A line whose words differ gets a
`segment.revised` event. Invariants: the review sends a window only after the engine had nothing to do for a
while, one at a time; it never changes a line that was revised since; what was not reviewed keeps its text.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from host_stt.contract import Float32Array, Transcript, Window, Word
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.errors import EngineError, RequestError, StoreError
from webrtc_host.glossary.entries import MisheardTerm
from webrtc_host.recovery.audio import PastDecoder
from webrtc_host.review.lines import Group, Line
from webrtc_host.review.matching import changes
from webrtc_host.review.queue import ReviewQueue, Waiting
from webrtc_host.review.reading import best_words, language_of, windows_of
from webrtc_host.seams import SAMPLES_PER_MS, Transcriber
from webrtc_host.services.line_changes import LineChanges, LineKey, NewText
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.speech.connection_terms import ConnectionTermsStage
from webrtc_host.speech.final_text import FinalText, TextStage, apply_stages
from webrtc_host.speech.lines import timed
from webrtc_host.speech.words import text_of

logger = logging.getLogger(__name__)

BY = "review"
"""`by` of the revisions."""
TICK_S = 0.25
IDLE_TICKS = 4
"""The engine must have had no window for so many ticks. While a person speaks, it gets one every 0.7 s."""
MISSING_MAX = 0.1
"""Part of the audio that may be missing from the archive."""
Terms = Callable[[str, str, Sequence[str]], Sequence[str]]
"""(channel, language, terms of its connection) -> the terms for a window."""


@dataclass(slots=True)
class ReviewFigures:
    groups: int = 0  # decoded
    audio_ms: int = 0
    lines: int = 0  # of these groups
    revised: int = 0
    skipped: int = 0  # groups without audio, or with a text that is not trusted


class ReviewService:
    """One per process; `run` is its task."""

    def __init__(
        self,
        queue: ReviewQueue,
        registry: SessionRegistry,
        archive: Archive,
        engine: Transcriber,
        changes: LineChanges,
        *,
        is_idle: Callable[[], bool],
        is_useful: Callable[[], bool],
        terms: Terms,
        stages: Sequence[TextStage],
    ) -> None:
        """is_idle: whether no window waits for the engine. is_useful: False for a model that gains nothing.

        stages: change the text, as they do for finals.
        """
        self._queue, self._registry, self._archive, self._engine = queue, registry, archive, engine
        self._changes = changes
        self._is_idle, self._is_useful, self._terms = is_idle, is_useful, terms
        self._stages = tuple(stages)
        self._numbers = itertools.count(1)
        self._idle_ticks = 0
        self.figures = ReviewFigures()

    def statistics(self) -> dict[str, float]:
        figures = self.figures
        return {
            "waiting": len(self._queue),
            "groups": figures.groups,
            "audio_ms": figures.audio_ms,
            "lines": figures.lines,
            "revised": figures.revised,
            "skipped": figures.skipped + self._queue.dropped,
        }

    async def run(self) -> None:
        """Review one group after the other, until the task is cancelled."""
        while True:
            await self._tick()
            if self._idle_ticks >= IDLE_TICKS and (one := self._queue.take()):
                await self._review(one)

    async def _tick(self) -> None:
        await asyncio.sleep(TICK_S)
        self._queue.complete_quiet()
        if not self._is_useful():
            self._queue.clear()
        self._idle_ticks = self._idle_ticks + 1 if self._is_idle() else 0

    async def _transcribed(self, window: Window) -> Transcript:
        """Send a window when the engine is idle. A call to the model cannot be stopped, so speech that begins
        now waits for it; without this wait between two windows of a group it would wait for both.
        """
        while self._idle_ticks < IDLE_TICKS:
            await self._tick()
        self._idle_ticks = 0
        return await self._engine.transcribe(window)

    async def _review(self, one: Waiting) -> None:
        try:
            words = await self._decoded(one)
            if words is None:
                self.figures.skipped += 1
                return
            await self._revise(one, words)
        except (EngineError, OSError, RequestError, StoreError) as error:
            logger.info("%s: a review was given up: %s", one.channel_key.channel, error)
            self.figures.skipped += 1
        except Exception:
            logger.exception("%s: a review failed", one.channel_key.channel)
            self.figures.skipped += 1

    async def _decoded(self, one: Waiting) -> list[Word] | None:
        """The words of a group's audio; None if the audio is not there, or the text is not trusted."""
        group, key = one.group, one.channel_key
        channel = self._registry.get(key.session).channels.get(key.channel)
        samples = await asyncio.to_thread(_samples, self._archive, key, group)
        if samples is None or channel is None:
            return None
        terms = self._terms(key.channel, language_of(group), channel.terms or ())
        name = f"{key.session}/{key.channel}/review"
        windows = windows_of(next(self._numbers), name, group, samples, terms)
        transcripts = [await self._transcribed(window) for window in windows]
        self.figures.groups += 1
        self.figures.audio_ms += group.to_ms - group.from_ms
        self.figures.lines += len(group.lines)
        return best_words(transcripts)

    async def _revise(self, one: Waiting, words: Sequence[Word]) -> None:
        key = one.channel_key
        for line, new in changes(one.group.lines, words):
            channel = self._registry.get(key.session).channels.get(key.channel)
            misheard = () if channel is None else channel.misheard
            text = self._new_text(key.channel, line, new, misheard)
            if text.text == line.text:
                continue  # the glossary makes the text that the line has already
            try:
                await self._changes.revise(LineKey(key.session, line.segment), text, 0, BY)
            except RequestError as error:  # a person changed or redacted the line, or the session was removed
                logger.info("%s: a line is not revised: %s", key.channel, error)
            else:
                self.figures.revised += 1

    def _new_text(
        self, channel: str, line: Line, words: Sequence[Word], misheard: tuple[MisheardTerm, ...]
    ) -> NewText:
        """The words as the text of the line, after the text stages."""
        first, last = line.start_ms * SAMPLES_PER_MS, line.end_ms * SAMPLES_PER_MS
        words = [
            replace(
                word,
                start_sample=min(max(word.start_sample, first), last),
                end_sample=min(max(word.end_sample, first), last),
            )
            for word in words
        ]
        raw = text_of(words)
        final = apply_stages(
            (ConnectionTermsStage(lambda: misheard), *self._stages),
            FinalText(
                channel=channel,
                utterance=line.utterance,
                start_sample=first,
                end_sample=last,
                text=raw,
                raw=raw,
                language=line.language,
                avg_logprob=0.0,
                words=words,
                glossary_version=0,
            ),
            lambda stage, error: logger.error("the text stage %s failed in a review", stage, exc_info=error),
        )
        return NewText(
            final.text,
            raw,
            tuple(timed(word) for word in final.words),
            final.edits,
            final.glossary_version or None,
        )


def _samples(archive: Archive, key: ChannelKey, group: Group) -> Float32Array | None:
    """(n,) float32 of the group's audio from the archive, with silence where a packet is missing. Blocking.

    None: too much of the audio is missing.
    """
    first, last = group.from_ms * SAMPLES_PER_MS, group.to_ms * SAMPLES_PER_MS
    samples = np.zeros(last - first, np.float32)
    found = 0
    for block in PastDecoder().blocks(archive, key, first, last):
        at = max(0, block.start_sample - first)
        piece = block.samples[: len(samples) - at]
        samples[at : at + len(piece)] = piece
        found += len(piece)
    return samples if found >= (1 - MISSING_MAX) * len(samples) else None
