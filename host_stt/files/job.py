"""One recording on its way through the engine: cut, several windows at once, results in order.

Owns the order, the bound on what is under way and the second try of a failed window; knows no HTTP. The
windows are BACKGROUND: decoded only while nothing live waits. Invariant: every window of the recording is
in the result, or the job ends with an error that names the stretch.
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

from host_stt.contract import AUTO, SAMPLE_RATE, Answer, Priority, RequestError, Transcript, Unread, Window
from host_stt.files.config import FilesConfig
from host_stt.files.cutting import Cutter, Piece
from host_stt.files.formats import Part, Recording, parts_of
from host_stt.files.reader import TURN_BLOCKS, Turn, reader
from host_stt.files.voice import Detector
from host_stt.service import EngineService
from host_stt.state import ModelFacts
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.audio_file import AudioFile, AudioFileError
from host_stt_common.audio_tracks import picked_track
from host_stt_common.languages import language_for, name_of

DEADLINE_MS = 600_000
STOPPING = "engine_stopping"
_numbers = itertools.count(1)
OnProgress = Callable[[float, float | None], None]
"""Called with the seconds read so far, and with how long the recording says it is."""


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What a caller may ask for, the same for every window."""

    language: str = AUTO
    terms: tuple[str, ...] = ()
    prompt: str = ""  # text in whose manner to write
    track: int | None = None  # audio track, from 0; None: the first with speech


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the recording that is done. parts: what was said in it, perhaps nothing."""

    parts: tuple[Part, ...]
    end_sample: int


class FileJob:
    """Iterate `stretches` once; `recording` afterwards is all of it."""

    def __init__(
        self,
        path: Path,
        options: FileOptions,
        service: EngineService,
        config: FilesConfig | None = None,
        *,
        name: str = "",
    ) -> None:
        """name: of the file, as its owner calls it. Raises RequestError when the engine cannot do this: 503
        not ready, 400 unknown language.
        """
        model = _ready_model(service)
        self._path = path
        self._name = name or path.name
        self._options = replace(options, language=_language_for(options.language, model))
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
        return Recording(tuple(self._done), self._duration_samples, self._facts, tuple(self._unread))

    async def stretches(self) -> AsyncGenerator[Stretch, None]:
        """What was said, in order, as soon as it is known.

        Raises RequestError: 413, 415 and 422 for the file, 500 and 503 for the engine. Leaving early (or a
        cancelled task) takes its windows out of the engine's queue.
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
            self._service.forget(self._source)
            for _, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)

    async def _next(self, under_way: deque[tuple[Piece, asyncio.Task[Transcript]]]) -> Stretch:
        piece, task = under_way[0]
        transcript = await task
        under_way.popleft()
        parts = parts_of(transcript, piece.start_sample)
        self._done += parts
        self._unread += transcript.unread
        return Stretch(tuple(parts), piece.end_sample)

    async def _pieces(self) -> AsyncGenerator[Piece, None]:
        """The windows, each made in a thread when it is wanted; the file is closed whatever happens."""
        loop = asyncio.get_running_loop()
        windows = self._windows()
        reading: asyncio.Future[Piece | Turn | None] | None = None
        try:
            while True:
                # Shielded, and no task: a thread cannot be cancelled, and the file must not be closed
                # under it.
                reading = loop.run_in_executor(reader(), next, windows, None)
                piece = await asyncio.shield(reading)
                if piece is None:
                    return
                if isinstance(piece, Piece):
                    yield piece
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
        answer = await self._ask(piece, 1)
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
        raise RequestError(code, f"the recording could not be read from {where}: {answer.message}", status)

    async def _ask(self, piece: Piece, attempt: int) -> Answer:
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
            language=self._options.language,
            terms=self._options.terms,
            history=self._options.prompt,
            deadline_ms=DEADLINE_MS,
        )
        self._service.submit(window, self._source, lambda answer: _tell(loop, lambda: settle(answer)))
        return await answered


async def transcribe(job: FileJob, on_progress: OnProgress | None = None) -> Recording:
    """All of it."""
    async with aclosing(job.stretches()) as stretches:
        async for stretch in stretches:
            if on_progress:
                on_progress(stretch.end_sample / SAMPLE_RATE, job.announced_s)
    return job.recording


def fitted(config: FilesConfig, model: ModelFacts) -> FilesConfig:
    """The starter was trained on single phrases: its windows are short and end at short pauses."""
    if not model.is_starter:
        return config
    return replace(
        config,
        window_samples=min(config.window_samples, 12 * SAMPLE_RATE),
        pause_samples=min(config.pause_samples, SAMPLE_RATE // 2),
    )


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """From a pool thread, which may outlive the loop by a moment: then there is nobody to tell."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def _ready_model(service: EngineService) -> ModelFacts:
    now = service.state.now
    if not now.is_ready or now.model is None:
        raise RequestError("not_ready", f"not ready: {now.message}", 503, retry_after_s=2)
    return now.model


def _language_for(language: str, model: ModelFacts) -> str:
    """What to ask this model for. Raises RequestError 400 when it was not trained on the language."""
    code = language_for(language, model.languages)
    if code is None:
        known = ", ".join(f"{code} ({name_of(code)})" for code in model.languages[:8])
        more = " and more" if len(model.languages) > 8 else ""
        raise RequestError(
            "unknown_language",
            f"the model {model.name} does not know {name_of(language)} ({language}); it knows {known}{more}",
        )
    return code


def _clock(sample: int) -> str:
    seconds = sample // SAMPLE_RATE
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
