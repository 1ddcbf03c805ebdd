"""Transcribe one recording: cut it, decode several windows at the same time, return results in order.

Handles the order, the limit of windows in progress and the second attempt for a failed window; no HTTP.
The windows have the priority BACKGROUND: they are decoded only while no live window waits. Invariant: every
window of the recording is in the result, or the job ends with an error that names the time range.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from host_stt.contract import (
    AUTO,
    SAMPLE_RATE,
    Answer,
    Priority,
    RequestError,
    Task,
    Transcript,
    Unread,
    Window,
)
from host_stt.files.config import FilesConfig
from host_stt.files.formats import Part, Recording, parts_of
from host_stt.files.reader import TURN_BLOCKS, Turn, reader
from host_stt.files.voice import Detector
from host_stt.service import EngineService
from host_stt.state import ModelFacts
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.audio_file import AudioFile, AudioFileError
from host_stt_common.audio_tracks import picked_track
from host_stt_common.cutting import Cutter, Piece
from host_stt_common.languages import language_for, name_of
from host_stt_common.read_rests import rest_s

DEADLINE_MS = 600_000
STOPPING = "engine_stopping"
_numbers = itertools.count(1)
OnProgress = Callable[[float, float | None], None]
"""Called with the seconds transcribed so far, and the length of the recording by its header."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """The options of a request, the same for every window."""

    language: str = AUTO
    terms: tuple[str, ...] = ()
    prompt: str = ""  # text whose style the result should have
    track: int | None = None  # audio track, from 0; None: the first with speech
    languages: tuple[str, ...] = ()  # the recording has no other ones; only used where `language` is AUTO
    task: Task = Task.TRANSCRIBE


@dataclass(frozen=True, slots=True)
class Stretch:
    """A finished part of the recording. parts: its segments, possibly none."""

    parts: tuple[Part, ...]
    end_sample: int


class FileJob:
    """One recording. Iterate `stretches` once; after that `recording` is complete."""

    def __init__(
        self,
        path: Path,
        options: FileOptions,
        service: EngineService,
        config: FilesConfig | None = None,
        *,
        name: str = "",
    ) -> None:
        """name: the file's name from the caller. Raises RequestError: 503 the engine is not ready, 400 the
        language is unknown.
        """
        model = _ready_model(service)
        self._path = path
        self._name = name or path.name
        self._options = fitted_options(options, model)
        self._service = service
        self._config = fitted(config or FilesConfig(), model)
        self._source = f"file-{next(_numbers)}"
        self._done: list[Part] = []
        self._unread: list[Unread] = []
        self._duration_samples = 0
        self._facts: AudioFacts | None = None
        self._is_over = threading.Event()
        self.announced_s: float | None = None

    @property
    def recording(self) -> Recording:
        unread, task = tuple(self._unread), self._options.task
        return Recording(tuple(self._done), self._duration_samples, self._facts, unread, task)

    async def stretches(self) -> AsyncGenerator[Stretch, None]:
        """The parts of the recording in order, each as soon as it is transcribed.

        Raises RequestError: 413, 415 and 422 for the file, 500 and 503 for the engine. If the iteration ends
        early (or its task is cancelled), its windows are removed from the engine's queue.
        """
        under_way: deque[tuple[Piece, asyncio.Task[Transcript]]] = deque()
        try:
            async with aclosing(self._pieces()) as pieces:
                async for piece in pieces:
                    under_way.append((piece, asyncio.create_task(self._read(piece))))
                    while len(under_way) >= self._config.in_flight or (under_way and under_way[0][1].done()):
                        yield await self._next(under_way)
            while under_way:
                yield await self._next(under_way)
        finally:
            self._service.drop_source(self._source)
            for _, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)

    async def _next(self, under_way: deque[tuple[Piece, asyncio.Task[Transcript]]]) -> Stretch:
        piece, task = under_way[0]
        transcript = await task
        under_way.popleft()
        parts = parts_of(transcript, piece.start_sample, self._options.task)
        self._done += parts
        self._unread += transcript.unread
        return Stretch(tuple(parts), piece.end_sample)

    async def _pieces(self) -> AsyncGenerator[Piece, None]:
        """The windows, each made in a thread when it is needed; the file is always closed."""
        loop = asyncio.get_running_loop()
        windows = self._windows()
        reading: asyncio.Future[Piece | Turn | None] | None = None
        try:
            while True:
                begin_s = loop.time()
                # Shielded, and not a task: a thread cannot be cancelled, and the file must not be closed
                # while the thread uses it.
                reading = loop.run_in_executor(reader(), next, windows, None)
                piece = await asyncio.shield(reading)
                if piece is None:
                    return
                if isinstance(piece, Piece):
                    yield piece
                elif self._service.has_live_windows:
                    await asyncio.sleep(rest_s(loop.time() - begin_s))
        finally:
            self._is_over.set()
            if reading is not None:
                await asyncio.gather(reading, return_exceptions=True)
            await asyncio.shield(loop.run_in_executor(reader(), windows.close))

    def _windows(self) -> Generator[Piece | Turn, None, None]:
        try:
            track = self._options.track
            if track is None:
                track = yield from self._picked_track()
            with AudioFile(self._path, self._config.seconds_max, name=self._name, track=track) as opened:
                self.announced_s = opened.announced_s
                cutter = Cutter(self._config, Detector())
                for number, samples in enumerate(opened, start=1):
                    if self._is_over.is_set():
                        return
                    self._duration_samples += len(samples)
                    yield from cutter.feed(samples)
                    if number % TURN_BLOCKS == 0:
                        yield Turn()
                yield from cutter.flush()
                self._facts = opened.facts
        except AudioFileError as error:
            raise RequestError(error.code, error.message, error.status) from error

    def _picked_track(self) -> Generator[Turn, None, int]:
        picking = picked_track(self._path, self._config.seconds_max, Detector, name=self._name)
        while not self._is_over.is_set():
            try:
                next(picking)
            except StopIteration as picked:
                track: int = picked.value
                return track
            yield Turn()
        return 0

    async def _read(self, piece: Piece) -> Transcript:
        answer = await self._in_a_named_language(piece, await self._ask(piece, 1))
        for attempt in range(2, self._config.attempts + 1):
            if isinstance(answer, Transcript) or not answer.is_retryable or answer.code == STOPPING:
                break
            await asyncio.sleep(self._config.retry_pause_s)
            answer = await self._ask(piece, attempt)
        if isinstance(answer, Transcript):
            return answer
        where = f"{_clock(piece.start_sample)} to {_clock(piece.end_sample)}"
        status = 503 if answer.code in (STOPPING, "overloaded") else 500
        code = answer.code if status == 503 else "window_failed"
        raise RequestError(
            code, f"the recording could not be transcribed from {where}: {answer.message}", status
        )

    async def _in_a_named_language(self, piece: Piece, answer: Answer) -> Answer:
        """The answer; another one when the model took the window for a language that the caller ruled out."""
        named = self._options.languages
        if not named or not isinstance(answer, Transcript) or answer.language in named or not answer.segments:
            return answer
        return await self._ask(piece, 0, named[0])

    async def _ask(self, piece: Piece, attempt: int, language: str | None = None) -> Answer:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def settle(answer: Answer) -> None:
            if not answered.done():
                answered.set_result(answer)

        window = Window(
            id=f"{self._source}-{piece.start_sample}-{attempt}",
            channel=self._source,
            samples=piece.samples,
            start_sample=piece.start_sample,
            priority=Priority.BACKGROUND,
            language=language or self._options.language,
            terms=self._options.terms,
            history=self._options.prompt,
            deadline_ms=DEADLINE_MS,
            task=self._options.task,
        )
        self._service.submit(window, self._source, lambda answer: _tell(loop, lambda: settle(answer)))
        return await answered


async def transcribe(job: FileJob, on_progress: OnProgress | None = None) -> Recording:
    """Transcribe the whole recording."""
    async with aclosing(job.stretches()) as stretches:
        async for stretch in stretches:
            if on_progress:
                on_progress(stretch.end_sample / SAMPLE_RATE, job.announced_s)
    return job.recording


def fitted(config: FilesConfig, model: ModelFacts) -> FilesConfig:
    """Limits for this model. The starter model was trained on single phrases, so its windows are short."""
    if not model.is_starter:
        return config
    return replace(
        config,
        window_samples=min(config.window_samples, 12 * SAMPLE_RATE),
        pause_samples=min(config.pause_samples, SAMPLE_RATE // 2),
    )


def fitted_options(options: FileOptions, model: ModelFacts) -> FileOptions:
    """The options with languages that this model has; a language that stands alone becomes `language`.

    Raises RequestError 400 if the model has not the language, or none of the languages.
    """
    if options.language != AUTO or not options.languages:
        return replace(options, language=_language_for(options.language, model), languages=())
    found = [language_for(code, model.languages) for code in options.languages]
    known = tuple(dict.fromkeys(code for code in found if code is not None))
    if len(known) > 1:
        return replace(options, languages=known)
    return replace(
        options, language=_language_for(known[0] if known else options.languages[0], model), languages=()
    )


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Run `call` in the event loop, from a pool thread. Does nothing if the loop has closed already."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def _ready_model(service: EngineService) -> ModelFacts:
    now = service.state.now
    if not now.is_ready or now.model is None:
        raise RequestError("not_ready", f"not ready: {now.message}", 503, retry_after_s=2)
    return now.model


def _language_for(language: str, model: ModelFacts) -> str:
    """The language code for this model. Raises RequestError 400 if the model was not trained on the
    language.
    """
    code = language_for(language, model.languages)
    if code is None:
        known = ", ".join(f"{code} ({name_of(code)})" for code in model.languages[:8])
        more = " and more" if len(model.languages) > 8 else ""
        raise RequestError(
            "unknown_language",
            f"the model {model.name} does not have the language {name_of(language)} ({language}); "
            f"it has {known}{more}",
        )
    return code


def _clock(sample: int) -> str:
    seconds = sample // SAMPLE_RATE
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
