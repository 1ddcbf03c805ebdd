"""`/api/jobs`: recordings to transcribe, their state, and their events as server-sent events.

Only the routes and the form of requests and responses; `jobs.service` does the work. Invariant: a file goes
to the disk as it arrives, so its size does not matter for the memory.
"""

from __future__ import annotations

import json
from typing import Any, Literal
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import Field
from sqlalchemy import Row

from host_stt_common.multipart import MULTIPART
from host_stt_common.places import NoPlace, Places
from webrtc_host.desk.job_fields import KEY, KEY_CHARS_MAX, job_key_of, title_of
from webrtc_host.desk.job_form import PARTS_MAX, JobForm, announced_bytes, parts_of
from webrtc_host.desk.job_stream import COMMENT_S, RETRY_AFTER_S, follow
from webrtc_host.desk.session_view import wall_of
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import read_body, read_json_object
from webrtc_host.http.fields import check_fields
from webrtc_host.http.requests import Body, Query, Whole, read_query
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.jobs.addresses import shown
from webrtc_host.jobs.following import progress_of
from webrtc_host.jobs.options import options_of
from webrtc_host.jobs.service import TITLE_CHARS_MAX, JobService, new_id
from webrtc_host.transcript.jobs import JobFilter

JOBS = "/api/jobs"
URL_ENCODED = "application/x-www-form-urlencoded"
FIELDS = ("language", "glossary", "channels", "summary", "title", "idempotency_key")
UPLOADS_MAX = 16
FOLLOWERS_MAX = 200


class JobsQuery(Query):
    q: str = Field("", max_length=200, description="a part of the title or of the file's name, or a job's id")
    state: Literal["queued", "running", "completed", "failed", "cancelled"] | None = None
    before: Whole | None = Field(None, description="`next_before` of the previous page")
    limit: int = Field(50, ge=1, le=200, description="jobs on a page, newest first")


class NewJobBody(Body):
    url: str = Field(description="http or https address of the recording; it is fetched when its turn comes")
    language: str | None = Field(None, description="a code (ko, ko-KR) or a name; default: auto")
    glossary: bool | None = Field(None, description="use the server's glossary; default: true")
    channels: Literal["auto", "split", "mix"] | None = Field(
        None, description="auto: a channel for each track, and for each side that has a speaker of its own"
    )
    summary: str | None = Field(None, description="name of a template for a summary; default: none")
    title: str | None = Field(None, max_length=TITLE_CHARS_MAX)
    idempotency_key: str | None = Field(None, max_length=KEY_CHARS_MAX)


class JobError(Response):
    code: str
    message: str


class JobEntry(Response):
    job: str
    number: int
    state: str = Field(description="queued, running, completed, failed or cancelled")
    title: str
    file_name: str
    url: str | None = Field(description="without its query; null: uploaded, or fetched already")
    bytes: int | None
    language: str
    glossary: bool
    channels: str = Field(description="auto, split or mix")
    summary: str | None
    session: str | None = Field(description="the session with the text; null: not begun, or removed")
    done_s: float
    total_s: float | None = Field(description="length of the recording; null: not known yet")
    created_wall: str
    started_wall: str | None
    ended_wall: str | None
    error: JobError | None = Field(description="why it failed")
    warning: str | None = Field(description="what the text lacks, such as the end of a truncated file")
    results: dict[str, Any] = Field(description="what was made from the text, such as `final_summary`")
    who: str | None


class JobsResponse(Response):
    jobs: list[JobEntry]
    next_before: int | None = Field(description="`before` of the next page; null: the last page")


class JobsApi:
    def __init__(self, jobs: JobService, bytes_max: int, body_bytes: int) -> None:
        """bytes_max: of a file. body_bytes: of a JSON body."""
        self._jobs = jobs
        self._bytes_max, self._body_bytes = bytes_max, body_bytes
        self._uploads = Places(UPLOADS_MAX)
        self._followers = Places(FOLLOWERS_MAX)

    @Route(
        "POST",
        JOBS,
        Role.OPERATOR,
        "Transcribe a recording: a form with the file in `file`, or JSON with its `url`",
        body=NewJobBody,
        response=JobEntry,
        status=202,
        audit="submitted",
        errors=(408, 413, 415, 422, 429, 507),
    )
    async def submit(self, request: web.Request) -> web.Response:
        try:
            with self._uploads.take(key_of(request)):
                row, is_new = await self._submit(request)
        except NoPlace as error:
            message = f"{error.held} files {error.who} are being received already"
            raise Overloaded("too_many_uploads", message, retry_after_s=RETRY_AFTER_S, status=429) from error
        request[DETAIL] = f"{row.id} {row.file_name}" if is_new else f"{row.id} again"
        return json_response(body_of(row), 202, {"Location": f"{JOBS}/{row.id}"})

    @Route("GET", JOBS, Role.VIEWER, "The jobs", query=JobsQuery, response=JobsResponse)
    async def page(self, request: web.Request) -> web.Response:
        query = read_query(request, JobsQuery)
        states = () if query.state is None else (query.state,)
        words = query.q.encode(errors="replace").decode().replace("\0", "").strip()
        rows = await self._jobs.page(JobFilter(states, words, query.before, query.limit))
        shown_rows = rows[: query.limit]
        next_before = shown_rows[-1].number if len(rows) > query.limit else None
        return json_response({"jobs": [body_of(row) for row in shown_rows], "next_before": next_before})

    @Route("GET", JOBS + "/{job}", Role.VIEWER, "One job", response=JobEntry, errors=(404,))
    async def get(self, request: web.Request) -> web.Response:
        return json_response(body_of(await self._jobs.get(request.match_info["job"])))

    @Route(
        "DELETE",
        JOBS + "/{job}",
        Role.OPERATOR,
        "Cancel a job; what is transcribed already stays",
        response=JobEntry,
        audit="cancelled",
        errors=(404,),
    )
    async def cancel(self, request: web.Request) -> web.Response:
        request[DETAIL] = request.match_info["job"][:64]
        return json_response(body_of(await self._jobs.cancel(request.match_info["job"])))

    @Route(
        "GET",
        JOBS + "/{job}/events",
        Role.VIEWER,
        "The events of a job from its beginning, as server-sent events",
        content_type="text/event-stream",
        errors=(404, 429),
        allow_head=False,
    )
    async def events(self, request: web.Request) -> web.StreamResponse:
        row = await self._jobs.get(request.match_info["job"])
        return await follow(
            request, self._followers, "jobs", lambda after: self._jobs.follow(row.id, after, COMMENT_S)
        )

    async def _submit(self, request: web.Request) -> tuple[Row[Any], bool]:
        key = job_key_of(request, request.headers.get(KEY))
        if key is not None and (known := await self._jobs.by_key(key)) is not None:
            return known, False
        await self._jobs.check_room()
        if request.content_type == MULTIPART:
            return await self._submit_form(request, key)
        if request.content_type == URL_ENCODED:
            body = _fields_of(await read_body(request, self._body_bytes))
        else:
            body = await read_json_object(request, self._body_bytes)
        check_fields(body, (*FIELDS, "url"), "the body")
        return await self._submit_url(request, body, key)

    async def _submit_url(
        self, request: web.Request, fields: dict[str, Any], key: str | None
    ) -> tuple[Row[Any], bool]:
        url = fields.get("url")
        if not isinstance(url, str) or not url.strip():
            raise RequestError("missing_field", "give the recording: a form with `file`, or its `url`", 422)
        row = await self._jobs.submit_url(
            url,
            options_of(fields),
            title=title_of(fields.get("title")),
            key=key or job_key_of(request, fields.get("idempotency_key")),
            who=token_name(request),
        )
        return row, True

    async def _submit_form(self, request: web.Request, key: str | None) -> tuple[Row[Any], bool]:
        job_id = new_id()
        async with self._jobs.incoming(job_id, announced_bytes(request)) as incoming:
            form = JobForm()
            async for part, data in parts_of(request, self._bytes_max):
                if part.name != "file":
                    form.add(part.name, data)
                else:
                    form.name_file(part.filename)
                    await incoming.add(data)
            fields = form.fields()
            check_fields(fields, (*FIELDS, "url"), "the form")
            if form.file_name is None:
                return await self._submit_url(request, dict(fields), key)
            if fields.get("url"):
                raise RequestError("bad_form", "give either `file` or `url`, not both", 422)
            options, title = options_of(fields), title_of(fields.get("title"))
            key = key or job_key_of(request, fields.get("idempotency_key"))
            await incoming.finish(job_id)
        row = await self._jobs.submit_file(
            job_id, form.file_name, incoming.size, options, title=title, key=key, who=token_name(request)
        )
        return row, row.id == job_id


def body_of(row: Row[Any]) -> dict[str, Any]:
    """The JSON of a job."""
    options = json.loads(row.options)
    error = None if row.error_code is None else {"code": row.error_code, "message": row.error}
    return {
        "job": row.id,
        "number": row.number,
        "state": row.state,
        "title": row.title,
        "file_name": row.file_name,
        "url": None if row.url is None else shown(row.url),
        "bytes": row.bytes,
        "language": options["language"],
        "glossary": options["glossary"],
        "channels": options["channels"],
        "summary": options["summary"],
        "session": row.session,
        **progress_of(row),
        "created_wall": wall_of(row.created_wall_ms),
        "started_wall": None if row.started_wall_ms is None else wall_of(row.started_wall_ms),
        "ended_wall": None if row.ended_wall_ms is None else wall_of(row.ended_wall_ms),
        "error": error,
        "warning": row.warning,
        "results": json.loads(row.results),
        "who": row.who,
    }


def _fields_of(body: bytes) -> dict[str, Any]:
    """A form without a file. Raises RequestError 400."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=PARTS_MAX))
    except ValueError as error:
        raise RequestError(
            "bad_form", f"the form has over {PARTS_MAX} fields, or is not UTF-8", 400
        ) from error
