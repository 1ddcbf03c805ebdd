"""`/api/v1/conversation/...`: send a recording, then follow its text and its summary as events.

Underneath, each request is a job with a summary. This module translates the events of the job: its states
have other names, and the summary comes last, so that it is also the sign of the end. Invariant: a stream that
ends in order has exactly one `final_summary`, as its last event.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web
from pydantic import Field

from host_stt_common.multipart import MULTIPART
from host_stt_common.places import NoPlace, Places
from webrtc_host.config import ConversationSettings
from webrtc_host.desk.final_summary import COMPLETED, FAILED, PENDING, PROCESSING, summary_fields
from webrtc_host.desk.job_form import JobForm, announced_bytes, parts_of
from webrtc_host.desk.job_stream import COMMENT_S, RETRY_AFTER_S, follow
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.auth import key_of
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.jobs.following import END, JobEvent
from webrtc_host.jobs.options import options_of
from webrtc_host.jobs.rooms import RoomService
from webrtc_host.jobs.service import JobService, new_id
from webrtc_host.summaries.templates import DEFAULT_TEMPLATE

CONVERSATION = "/api/v1/conversation"
FILE_FIELDS = ("file", "audio")
"""Parts that are the recording, also when they have no file name. So is any part with a file name."""
ROOM_FIELDS = ("room", "room_id", "roomId")
"""Names of the field that puts a recording or a stream into a room."""
UPLOADS_MAX = 16
FOLLOWERS_MAX = 200
STATES = {
    "queued": PENDING,
    "running": PROCESSING,
    "completed": COMPLETED,
    "failed": FAILED,
    "cancelled": FAILED,
}


class ConversationResponse(Response):
    job_id: str
    status: str = Field(description="PENDING, PROCESSING, COMPLETED or FAILED")


class ConversationApi:
    def __init__(
        self, jobs: JobService, rooms: RoomService, settings: ConversationSettings, bytes_max: int
    ) -> None:
        """bytes_max: of a file."""
        self._jobs, self._rooms = jobs, rooms
        self._settings, self._bytes_max = settings, bytes_max
        self._uploads = Places(UPLOADS_MAX)
        self._followers = Places(FOLLOWERS_MAX)

    @Route(
        "POST",
        CONVERSATION + "/request",
        Role.OPERATOR,
        "Transcribe and summarise a recording: a form with its file",
        response=ConversationResponse,
        audit="submitted",
        errors=(404, 408, 413, 415, 422, 429, 507),
    )
    async def submit(self, request: web.Request) -> web.Response:
        if request.content_type != MULTIPART:
            raise RequestError("wrong_type", f"send the recording as a form ({MULTIPART})", 415)
        try:
            with self._uploads.take(key_of(request)):
                await self._jobs.check_room()
                row = await self._submit(request)
        except NoPlace as error:
            message = f"{error.held} files {error.who} are being received already"
            raise Overloaded("too_many_uploads", message, retry_after_s=RETRY_AFTER_S, status=429) from error
        request[DETAIL] = f"{row.id} {row.file_name}"
        return json_response({"job_id": row.id, "status": STATES[row.state]})

    @Route(
        "GET",
        CONVERSATION + "/stream-events/{job_id}",
        Role.VIEWER,
        "The text of such a recording from its beginning, then its summary, as server-sent events",
        content_type="text/event-stream",
        errors=(404, 429),
        allow_head=False,
    )
    async def events(self, request: web.Request) -> web.StreamResponse:
        row = await self._jobs.get(request.match_info["job_id"])
        return await follow(request, self._followers, "jobs", lambda after: self._translated(row.id, after))

    async def _submit(self, request: web.Request) -> Any:
        job_id, form, file_part = new_id(), JobForm(), ""
        async with self._jobs.incoming(job_id, announced_bytes(request)) as incoming:
            async for part, data in parts_of(request, self._bytes_max):
                if not part.filename and part.name not in FILE_FIELDS:
                    form.add(part.name, data)
                    continue
                if form.file_name is not None and part.name != file_part:
                    raise RequestError("bad_form", "the form has two files; send one in each request", 422)
                form.name_file(part.filename)
                file_part = part.name
                await incoming.add(data)
            if form.file_name is None:
                raise RequestError("missing_field", "the form has no file with the recording", 422)
            fields = form.fields()
            room = next((fields[name] for name in ROOM_FIELDS if fields.get(name)), None)
            if room is not None:
                await self._rooms.check_open(room)
            language = fields.get("language") or self._settings.language
            options = options_of({"language": language, "summary": DEFAULT_TEMPLATE})
            await incoming.finish(job_id)
        row = await self._jobs.submit_file(
            job_id, form.file_name, incoming.size, options, who=token_name(request)
        )
        if room is not None:
            await self._rooms.add_job(room, row.id)
        return row

    async def _translated(self, job_id: str, after: int) -> AsyncGenerator[JobEvent | None, None]:
        summary: dict[str, Any] | None = None
        async with aclosing(self._jobs.follow(job_id, after, COMMENT_S)) as events:
            async for event in events:
                if event is None:
                    yield None
                elif event.name == "transcript_segment":
                    yield JobEvent(event.name, _segment(job_id, event.data), event.id)
                elif event.name == "final_summary":
                    summary = event.data
                elif event.name in ("completed", "failed", "cancelled"):
                    yield JobEvent("final_summary", _ending(job_id, event, summary), END)


def _segment(job_id: str, data: dict[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in data.items() if name != "job"}
    return {"job_id": job_id, "status": PROCESSING, **more}


def _ending(job_id: str, end: JobEvent, summary: dict[str, Any] | None) -> dict[str, Any]:
    """The last event. end: of the job. summary: of the job; None: there is none."""
    error = end.data.get("error")
    if end.name == "cancelled":
        error = {"code": "cancelled", "message": "the job was cancelled"}
    return {
        "job_id": job_id,
        **summary_fields(STATES[end.name], summary, error),
        "session": end.data.get("session"),
        "warning": end.data.get("warning"),
    }
