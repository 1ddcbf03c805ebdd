"""The work on one job under one lease: from the file to the last final.

This module has the order of the steps. Invariants: the finals of a stretch and the progress of the job are
saved in one transaction, so what a kill interrupts is neither lost nor written twice. Work that is cancelled
by a person ends the session; work that the server's stop interrupts leaves it open for the next lease.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sqlalchemy import Connection, Row

from host_stt.contract import TERMS_MAX, Priority, Window
from host_stt_common.audio_file import AudioFileError
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.segment_file import ChannelKey
from webrtc_host.config import JobsConfig
from webrtc_host.errors import EngineError, Overloaded, RequestError, StoreError
from webrtc_host.glossary.entries import PromptTerms
from webrtc_host.jobs.changes import JobChanges
from webrtc_host.jobs.channels import JobChannel, JobHolder, Progress, in_order, progress_from
from webrtc_host.jobs.fetching import Fetcher, FetchFailed
from webrtc_host.jobs.files import JobFiles
from webrtc_host.jobs.keeping import AudioKeeper, archived_upto
from webrtc_host.jobs.options import options_from
from webrtc_host.jobs.probing import ProbeLimits, probe
from webrtc_host.jobs.publishing import Ids, Outcome, Publisher
from webrtc_host.jobs.reading import ChannelReader, ReadFrom, Stretch, Windows, reader, voice_detector
from webrtc_host.seams import Transcriber, ms_of
from webrtc_host.session.channel import ChannelSpec
from webrtc_host.session.recorded import RecordedSession
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.session import Session
from webrtc_host.speech.final_text import TextStage
from webrtc_host.transcript import jobs as rows
from webrtc_host.transcript.jobs import Lease, LeaseLost
from webrtc_host.transcript.store import Store

logger = logging.getLogger(__name__)

AHEAD = 6
"""Stretches that were read and are not published yet; a minute or two of audio."""
DEADLINE_MS = 600_000
RETRY_S = 1.0
ENGINE_POLL_S = 0.2
SILENT_BELOW = 1e-4  # digital silence is not sent to the engine
ATTEMPTS_MAX = 8
"""Leases in a row without progress: a file that crashes the server must not do so for ever. Not fewer: a
server that is restarted while its engine loads is no fault of the file."""

NO_SPEECH = "no speech was found in this recording"

Write = Callable[[Connection], None]
Finisher = Callable[[Row[Any], Session], Awaitable[Mapping[str, Any] | None]]
"""Makes something from the text of a job, such as a summary: (row of the job, its session) -> JSON, or None
when this job does not need it. Called when all finals are saved, and again after a kill before its end."""


class Terms(Protocol):
    def prompt_for(self, channel: str, language: str | None = None) -> PromptTerms: ...


class JobFailed(Exception):
    """code, message: for the person who made the job."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class JobTools:
    """What every job uses."""

    config: JobsConfig
    store: Store
    registry: SessionRegistry
    archive: Archive | None
    files: JobFiles
    fetcher: Fetcher
    engine: Transcriber  # behind everything live
    is_live: Callable[[], bool]  # whether there is speech on a live channel now
    terms: Terms
    ids: Ids
    stages: Sequence[TextStage]
    changes: JobChanges
    windows: Callable[[], Windows | None]  # for the engine's model; None: it is not known yet
    wall_ms: Callable[[], int]
    finishers: Mapping[str, Finisher]  # by the name of the event that shows the result


class JobWork:
    """Call `run` once."""

    def __init__(self, tools: JobTools, row: Row[Any], lease: Lease) -> None:
        self._tools, self._row, self._lease = tools, row, lease
        self._options = options_from(json.loads(row.options))
        self._publisher = Publisher(tools.ids, tools.stages if self._options.glossary else ())
        self._holder = JobHolder(f"c_{row.id}", row.who)
        self._total_ms: int | None = row.total_ms
        self._channels: list[JobChannel] = []
        self._decoded = 0  # windows that the engine could decode, in this lease
        self._refusal: EngineError | None = None  # the last one
        self._is_cancelled = False

    def cancel(self) -> None:
        """A person cancelled the job. Call it before the task is cancelled: then the session ends."""
        self._is_cancelled = True

    async def run(self) -> None:
        """Raises StoreError and Overloaded when the record cannot be used; the job can be leased again."""
        session: Session | None = None
        try:
            path = await self._file()
            session, progress = await self._begun(path)
            if not session.is_ended:
                await self._transcribe(path, session, progress)
            await self._finish(session)
            await self._write(partial(rows.complete, warning=await self._warning(session), **self._at_now()))
        except (JobFailed, AudioFileError, FetchFailed, RequestError) as error:
            if isinstance(error, Overloaded):
                raise
            logger.warning("job %s failed: %s", self._row.id, error)
            await self.end_session("failed")
            await self._write(partial(rows.fail, code=error.code, message=str(error), **self._at_now()))
        except LeaseLost:
            await self.end_session("cancelled")
        except asyncio.CancelledError:
            if self._is_cancelled:
                await self.end_session("cancelled")
            raise
        finally:
            for one in self._channels:
                one.reader.close()
        self._tools.changes.note(self._row.id)

    # --- the steps --------------------------------------------------------------------------------------

    async def _file(self) -> Path:
        row, tools = self._row, self._tools
        if row.attempts > ATTEMPTS_MAX:
            raise JobFailed("gave_up", f"the server ended {ATTEMPTS_MAX} times while it worked on this file")
        path = tools.files.path(row.id)
        if not path.exists() and row.url is not None:
            path, name, size = await tools.fetcher.fetch(row.id, row.url)
            await self._write(partial(rows.note_file, file_name=name or row.file_name, size=size))
            tools.changes.note(row.id)
        if not path.exists():
            raise JobFailed("file_missing", "the file of this job is no longer on the disk")
        return path

    async def _begun(self, path: Path) -> tuple[Session, list[Progress]]:
        """The session, made or continued, and how far each channel is."""
        row, tools = self._row, self._tools
        if row.session is not None:
            text_ends = await tools.store.read(partial(rows.text_ends, session=row.session))
            return self._session(row.session), progress_from(json.loads(row.progress), text_ends)
        if json.loads(row.progress):
            raise JobFailed("session_removed", "the session of this job was removed")
        limits = ProbeLimits(tools.config.file_s, tools.config.channels)
        look = partial(probe, path, row.file_name, self._options.channels, limits, voice_detector)
        found = await _in_reader(look)
        self._total_ms = None if found.seconds is None else round(found.seconds * 1000)
        progress = [Progress(planned) for planned in found.channels]
        return await self._made(progress), progress

    async def _made(self, progress: Sequence[Progress]) -> Session:
        tools = self._tools
        while True:
            try:
                with tools.store.together():
                    session = tools.registry.create_as(RecordedSession, self._row.title)
                    noted = tools.store.submit(
                        partial(
                            rows.begin,
                            lease=self._lease,
                            session=session.id,
                            progress=[one.as_json() for one in progress],
                            total_ms=self._total_ms,
                        )
                    )
                break
            except Overloaded as error:
                logger.warning("job %s waits: %s", self._row.id, error)
                await asyncio.sleep(error.retry_after_s or RETRY_S)
        try:
            await noted
        except BaseException:
            await tools.registry.end(session, "failed")
            raise
        self._tools.changes.note(self._row.id)
        return session

    def _session(self, session_id: str) -> Session:
        try:
            return self._tools.registry.get(session_id)
        except RequestError as error:
            raise JobFailed("session_removed", "the session of this job was removed") from error

    async def _transcribe(self, path: Path, session: Session, progress: Sequence[Progress]) -> None:
        windows = await self._windows()
        for place in progress:
            self._channels.append(await self._opened(path, session, place, windows))
        waiting: deque[tuple[JobChannel, Stretch, asyncio.Task[Outcome]]] = deque()
        try:
            async with aclosing(in_order(self._channels)) as stretches:
                async for one, stretch in stretches:
                    await one.keeper.keep(stretch.start_sample, stretch.samples)
                    if not stretch.is_text:
                        continue
                    waiting.append((one, stretch, asyncio.create_task(self._decode(one, stretch))))
                    while len(waiting) >= AHEAD or (waiting and waiting[0][2].done()):
                        await self._publish(session, *waiting[0])
                        waiting.popleft()
            while waiting:
                await self._publish(session, *waiting[0])
                waiting.popleft()
        finally:
            for _, _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, _, task in waiting), return_exceptions=True)
        if self._refusal is not None and not self._decoded:
            raise JobFailed("engine_failed", f"the engine could not decode it: {self._refusal.message}")
        for one in self._channels:
            await one.keeper.finish()

    async def _windows(self) -> Windows:
        """Wait until the engine has reported its model."""
        while True:
            windows = self._tools.windows()
            if windows is not None:
                return windows
            await asyncio.sleep(ENGINE_POLL_S)

    async def _opened(self, path: Path, session: Session, progress: Progress, windows: Windows) -> JobChannel:
        tools, planned = self._tools, progress.planned
        channel = tools.registry.channel(session, planned.channel)
        channel.claim(self._holder, ChannelSpec(planned.channel, planned.label, self._options.language))
        if channel.coverage.origin_ms is None:
            channel.announce_opened(0)
        key = ChannelKey(session.id, channel.id)
        archived = await archived_upto(tools.archive, key)
        start = ReadFrom(progress.done_sample, archived)
        name, seconds_max = self._row.file_name, tools.config.file_s
        opened = ChannelReader(path, planned, windows, seconds_max, name=name, start=start)
        keeper = AudioKeeper(tools.archive, key, archived)
        return JobChannel(progress, channel, opened, keeper, tools.is_live)

    async def _decode(self, one: JobChannel, stretch: Stretch) -> Outcome:
        if stretch.speech is None or float(np.abs(stretch.window).max()) < SILENT_BELOW:
            return Outcome(None)
        channel, tools, language = one.channel, self._tools, self._options.language
        prompt = (
            tools.terms.prompt_for(channel.id, language) if self._options.glossary else PromptTerms((), 0)
        )
        window = Window(
            id=tools.ids.window(),
            channel=f"{channel.session.id}/{channel.id}/past",
            samples=stretch.window,
            start_sample=stretch.speech[0],
            priority=Priority.BACKGROUND,
            language=language,
            terms=tuple(prompt.terms)[:TERMS_MAX],
            echo_guard=prompt.echo_guard,
            deadline_ms=DEADLINE_MS,
        )
        try:
            return Outcome(await tools.engine.transcribe(window), prompt.version)
        except EngineError as error:
            if error.code == "unknown_language":
                raise JobFailed(error.code, error.message) from error
            return Outcome(error)

    async def _publish(
        self, session: Session, one: JobChannel, stretch: Stretch, decoding: asyncio.Task[Outcome]
    ) -> None:
        """Write the result of a stretch together with the progress."""
        outcome = await decoding
        if session.is_ended:
            raise LeaseLost(f"session {session.id} was ended")
        if isinstance(outcome.result, EngineError):
            self._refusal = outcome.result
        elif outcome.result is not None:
            self._decoded += 1
        store = self._tools.store
        with store.together():
            if isinstance(session, RecordedSession):
                session.reach(stretch.end_sample)
            self._publisher.publish(one.channel, stretch, outcome)
            one.progress.reach(stretch.end_sample)
            try:
                saved = store.submit(self._advance())
            except StoreError:
                saved = None
        try:
            if saved is not None:
                await saved
        except StoreError:
            saved = None
        if saved is None:
            await self._write_patiently(self._advance())
        self._tools.changes.note(self._row.id)

    def _advance(self) -> Write:
        progress = [one.progress for one in self._channels]
        done = sum(one.done_sample for one in progress) // len(progress)
        longest = ms_of(max(one.done_sample for one in progress))
        total_ms = None if self._total_ms is None else max(self._total_ms, longest)
        return partial(
            rows.advance,
            lease=self._lease,
            progress=[one.as_json() for one in progress],
            done_ms=ms_of(done),
            total_ms=total_ms,
        )

    async def _finish(self, session: Session) -> None:
        """Everything is transcribed: close the channels, make what follows from the text, end the session."""
        if self._channels:
            self._close_channels("read")
            self._total_ms = ms_of(max(one.progress.done_sample for one in self._channels))
            await self._write_patiently(self._advance())
        await session.log.settled()
        row = await self._tools.store.read(partial(rows.find, job_id=self._row.id)) or self._row
        known = json.loads(row.results)
        for name, finish in self._tools.finishers.items():
            if name not in known and (result := await finish(row, session)) is not None:
                await self._write(partial(rows.note_result, name=name, result=result))
                self._tools.changes.note(self._row.id)
        await self._tools.registry.end(session, "completed")

    # --- the ends ---------------------------------------------------------------------------------------

    def _close_channels(self, reason: str) -> None:
        for one in self._channels:
            if one.channel.connection is self._holder:
                one.channel.coverage.flush()
                one.channel.announce_closed(reason, one.progress.done_sample)

    def let_go(self) -> None:
        """The job is given back: free its channels, so that the next lease can hold them."""
        for one in self._channels:
            one.channel.release(self._holder)

    async def end_session(self, reason: str) -> None:
        """End the session of the job, if it has one."""
        self._close_channels(reason)
        row = await self._tools.store.read(partial(rows.find, job_id=self._row.id))
        session_id = None if row is None else row.session
        session = next((one for one in self._tools.registry if one.id == session_id), None)
        if session is not None:
            await self._tools.registry.end(session, reason)

    async def _warning(self, session: Session) -> str | None:
        """What a person should know about the text of this job."""
        warnings = [one.facts.warning() for one in self._channels if one.facts is not None]
        said = [text for text in warnings if text is not None][:1]
        if not await self._tools.store.read(partial(rows.text_ends, session=session.id)):
            said.append(NO_SPEECH)
        return "; ".join(said) or None

    def _at_now(self) -> dict[str, Any]:
        return {"wall_ms": self._tools.wall_ms()}

    async def _write(self, change: Callable[..., None]) -> None:
        """Change the row under the lease. Raises LeaseLost, StoreError."""
        await self._tools.store.write(partial(change, lease=self._lease))

    async def _write_patiently(self, write: Write) -> None:
        """Write, and wait while the record cannot be written: the text is in memory, and goes first."""
        while True:
            try:
                return await self._tools.store.write(write)
            except StoreError as error:
                logger.warning("job %s waits: %s", self._row.id, error)
            await asyncio.sleep(RETRY_S)


async def _in_reader(look: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(reader(), look)
