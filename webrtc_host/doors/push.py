"""`POST /sessions/create` and `POST /push`: recorded audio of a channel; the response has its text.

This module decodes a recording and lets a channel process one recording at a time; `recording.py` sends it to
the engine. Invariant: no time of a channel is transcribed twice, in whatever order recordings come. A
recording of which nothing could be transcribed leaves its time free.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from aiohttp import web

from host_stt_common.places import NoPlace, Places
from webrtc_host.doors.form import FORM_TYPES, Part, PushForm, read_fields, read_form
from webrtc_host.doors.recording import Ids, RecordingReader, Terms, seconds_of
from webrtc_host.doors.upload_tracks import Recorded, read_recording
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import note_feed, token_name
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import name_field, read_json_object
from webrtc_host.http.fields import check_fields
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.seams import SAMPLES_PER_MS, Block, Transcriber
from webrtc_host.session.channel import Channel, ChannelSpec
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.session.connection import Connection
from webrtc_host.session.registry import NAME_CHARS_MAX, SessionRegistry
from webrtc_host.speech.final_text import FinalText, TextStage

PUSHES_MAX = 16
"""Recordings that are processed at the same time."""
RETRY_AFTER_S = 2.0
END_TIMEOUT_S = 5.0
SPACE_WAIT_S = 20.0  # wait for space in the archive's queue; 10 minutes of audio are encoded in about 2 s
SPACE_RETRY_S = 10.0
SLACK_SAMPLES = 20 * SAMPLES_PER_MS  # an overlap this short is a rounding error of start_ts


class Reservation(Protocol):
    """Space for one recording in the archive's queue; `archive.upload_reservations` implements it."""

    def keep(self, session: str, channel: str, block: Block) -> None: ...

    def release(self) -> None: ...


class Archive(Protocol):
    """Stores the recordings; `archive.archive` implements it."""

    @property
    def trouble(self) -> str | None: ...

    @property
    def uploads(self) -> UploadReservations: ...


class UploadReservations(Protocol):
    async def reserve(self, samples: int, timeout_s: float) -> Reservation | None: ...


@dataclass(frozen=True, slots=True)
class ReadRecording:
    """A recording that was transcribed."""

    channel: Channel
    finals: list[FinalText]
    recorded: Recorded
    is_archived: bool


class PushDoor:
    def __init__(
        self,
        registry: SessionRegistry,
        transcriber: Transcriber,
        terms: Terms,
        ids: Ids,
        executor: Executor | None = None,
        archive: Archive | None = None,
        space_wait_s: float = SPACE_WAIT_S,
        stages: Sequence[TextStage] = (),
    ) -> None:
        """executor: threads that decode files; None: the loop's default ones. archive: None: no archive.

        space_wait_s: how long a recording waits for space in it. stages: change the text of the finals, as on
        the live path.
        """
        self._registry = registry
        self._reader = RecordingReader(transcriber, terms, ids, stages)
        self._executor = executor
        self._archive = archive
        self._space_wait_s = space_wait_s
        self._slots = Places(PUSHES_MAX)
        self._turns: WeakKeyDictionary[Channel, asyncio.Lock] = WeakKeyDictionary()

    @Route("POST", "/sessions/create", Role.OPERATOR, "A new session", errors=(422, 429))
    async def create(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = {}
        if request.content_type in FORM_TYPES:
            body = dict(await read_fields(request, self._registry.limits.body_bytes))
        elif request.can_read_body:
            body = await read_json_object(request, self._registry.limits.body_bytes)
        check_fields(body, ("name",), "the body")
        session = self._registry.create(name_field(body, "name", NAME_CHARS_MAX))
        note_feed(request, "made", session.id, [], "session")
        return json_response({"session_id": session.id})

    @Route(
        "POST",
        "/push",
        Role.OPERATOR,
        "A recorded piece of a channel; the response has its text",
        errors=(409, 415, 422),
    )
    async def push(self, request: web.Request) -> web.Response:
        with self.place(key_of(request)):
            form = await read_form(request, self._registry.limits.push_bytes)
            answer = _answer(form, await self.read(form, token_name(request)))
        detail = f"push start_ts={seconds_of(form.start_sample)}"
        note_feed(request, "fed", form.session_id, [form.channel_id], detail)
        return json_response(answer)

    @contextmanager
    def place(self, caller: str) -> Iterator[None]:
        """Take a place for one recording of a caller. Raises Overloaded when too many are being processed."""
        try:
            with self._slots.take(caller):
                yield
        except NoPlace as error:
            message = f"{error.held} files {error.who} are being processed already"
            raise Overloaded("too_many_pushes", message, retry_after_s=RETRY_AFTER_S) from error

    async def read(self, form: PushForm, by: str | None) -> ReadRecording:
        """Decode a recording and transcribe it into its channel. by: the name of the caller's token.

        Raises RequestError as `decode` and `read_decoded`.
        """
        session = self._registry.get_live(form.session_id)
        _check_not_fed(self._registry.channel(session, form.channel_id))
        return await self.read_decoded(form, await self.decode(form.audio, form.track), by)

    async def decode(self, audio: Part, track: int | None = None) -> Recorded:
        """Decode a recording. Raises RequestError 413, 415, 422."""
        seconds_max = self._registry.limits.push_s
        read = partial(read_recording, audio.content, seconds_max, name=audio.filename, track=track)
        return await asyncio.get_running_loop().run_in_executor(self._executor, read)

    async def read_decoded(self, form: PushForm, recorded: Recorded, by: str | None) -> ReadRecording:
        """Transcribe a recording that was decoded, and return when its text is saved.

        Raises RequestError: 404, 409 (fed live, time taken), 422; Overloaded without an engine, or without
        space in the archive. Then the time of the recording is free again.
        """
        session = self._registry.get_live(form.session_id)
        channel = self._registry.channel(session, form.channel_id)
        samples = recorded.samples
        async with self._turn(channel, form.start_sample, form.start_sample + len(samples), by) as space:
            finals = await self._reader.transcribe(channel, form, samples)
            if space is not None:
                space.keep(session.id, channel.id, Block(form.start_sample, samples))
        await session.log.settled()
        is_archived = self._archive is not None and self._archive.trouble is None
        return ReadRecording(channel, finals, recorded, is_archived)

    @asynccontextmanager
    async def _turn(
        self, channel: Channel, start: int, end: int, by: str | None
    ) -> AsyncIterator[Reservation | None]:
        """Reserve the channel, the time of the recording, and space in the archive, while it is processed.

        Raises Overloaded when there is no space in time; then nothing has changed.
        """
        async with self._turns.setdefault(channel, asyncio.Lock()):
            self._check_free(channel, start, end)
            space = await self._space_for(end - start)
            try:
                self._check_free(channel, start, end)  # this may have changed during the wait
                async with self._reading(channel, start, end, by):
                    yield space
            finally:
                if space is not None:
                    space.release()

    def _check_free(self, channel: Channel, start: int, end: int) -> None:
        self._registry.get_live(channel.session.id)
        _check_not_fed(channel)
        _check_time_free(channel, start, end)

    async def _space_for(self, samples: int) -> Reservation | None:
        if self._archive is None:
            return None
        space = await self._archive.uploads.reserve(samples, self._space_wait_s)
        if space is None:
            raise Overloaded(
                "archive_busy",
                f"the archive had no space for this recording within {self._space_wait_s:g} s: earlier "
                "uploads are still being encoded; nothing was transcribed; send it again",
                retry_after_s=SPACE_RETRY_S,
            )
        return space

    @asynccontextmanager
    async def _reading(self, channel: Channel, start: int, end: int, by: str | None) -> AsyncIterator[None]:
        """Connect to the channel and take the time; free the time when the recording could not be read."""
        connection = self._connect(channel, by)
        channel.announce_opened(start)
        try:
            with channel.reserve(start, end):
                yield
        finally:
            channel.coverage.flush()
            channel.announce_closed("read", end)
            self._registry.disconnect(connection)

    def _connect(self, channel: Channel, by: str | None) -> Connection:
        task, session = asyncio.current_task(), self._registry.get(channel.session.id)

        async def end(reason: str) -> int:
            """Wait for the recording to be finished, up to END_TIMEOUT_S; then cancel it."""
            if task is not None and task is not asyncio.current_task():
                _, pending = await asyncio.wait({task}, timeout=END_TIMEOUT_S)
                for late in pending:
                    late.cancel(reason)
                    await asyncio.wait({late})
            return session.log.head_seq

        return self._registry.connect(session, DoorKind.PUSH, [ChannelSpec(channel.id)], end, by=by)


def _answer(form: PushForm, read: ReadRecording) -> dict[str, Any]:
    channel = read.channel
    return {
        "stream_id": f"{channel.session.id}_{channel.id}",
        "segments": [
            {
                "start": seconds_of(final.start_sample),
                "end": seconds_of(final.end_sample),
                "text": final.text,
                "conf": final.conf,
            }
            for final in read.finals
        ],
        "commit_point": seconds_of(channel.taken.end_around(form.start_sample)),
        "audio_kept": read.is_archived,
        **read.recorded.facts.body(),
    }


def _check_not_fed(channel: Channel) -> None:
    """Raises RequestError 409 when the channel is fed live.

    Another recording is no problem: this one waits.
    """
    if channel.connection is not None and channel.connection.door is not DoorKind.PUSH:
        raise RequestError(
            "channel_fed", f"channel {channel.id} is being fed live; push to another channel", 409
        )


def _check_time_free(channel: Channel, start: int, end: int) -> None:
    taken = channel.taken.overlap(start + SLACK_SAMPLES, end - SLACK_SAMPLES)
    if taken is not None:
        raise RequestError(
            "time_committed",
            f"channel {channel.id} has audio from {seconds_of(taken[0])} s to {seconds_of(taken[1])} s "
            "already",
            409,
        )
