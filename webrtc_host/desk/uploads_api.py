"""`/api/uploads`: recordings that arrive in pieces, by the tus protocol 1.0.0. A complete one becomes a job.

Only the routes; `jobs.tus` reads the headers and `jobs.uploads` keeps the pieces. Beyond the protocol, the
response that completes an upload, and each later HEAD, names the job in `Location`.
"""

from __future__ import annotations

from aiohttp import web

from host_stt_common.places import NoPlace, Places
from webrtc_host.desk.job_fields import KEY, job_key_of, title_of
from webrtc_host.desk.job_stream import RETRY_AFTER_S
from webrtc_host.desk.jobs_api import JOBS, UPLOADS_MAX
from webrtc_host.errors import Overloaded, RequestError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import pieces_of
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import OPEN_TO_ALL, Route
from webrtc_host.jobs import tus
from webrtc_host.jobs.options import options_of
from webrtc_host.jobs.service import JobService, new_id, plain_name
from webrtc_host.jobs.upload_files import Upload
from webrtc_host.jobs.uploads import Uploads

UPLOADS = "/api/uploads"
ONE = UPLOADS + "/{upload}"
FILE_NAMES = ("filename", "name")
"""Where clients of the protocol put the name of the file."""


async def add_tus_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: every response here names the version, errors too."""
    if request.path.startswith(UPLOADS):
        response.headers[tus.RESUMABLE] = tus.VERSION
        if response.status == 412:
            response.headers[tus.VERSIONS] = tus.VERSION


class UploadsApi:
    def __init__(self, uploads: Uploads, jobs: JobService) -> None:
        self._uploads, self._jobs = uploads, jobs
        self._places = Places(UPLOADS_MAX)

    @Route("OPTIONS", UPLOADS, OPEN_TO_ALL, "What the tus protocol can do here", status=204)
    @Route("OPTIONS", ONE, OPEN_TO_ALL, "What the tus protocol can do here", status=204)
    async def options(self, request: web.Request) -> web.Response:
        headers = {
            tus.VERSIONS: tus.VERSION,
            tus.EXTENSION: tus.EXTENSIONS,
            tus.SIZE_MAX: str(self._uploads.bytes_max),
        }
        return web.Response(status=204, headers=headers)

    @Route(
        "POST",
        UPLOADS,
        Role.OPERATOR,
        "tus: begin an upload; the fields of a job are in `Upload-Metadata`",
        status=201,
        audit="began to send",
        errors=(400, 412, 413, 422, 429, 507),
    )
    async def create(self, request: web.Request) -> web.Response:
        tus.check_version(request.headers.get(tus.RESUMABLE))
        upload = _upload_of(request)
        await self._jobs.check_room()
        await self._uploads.create(upload)
        request[DETAIL] = f"{upload.id} {upload.file_name}"
        headers = {"Location": f"{UPLOADS}/{upload.id}", **await self._expires(upload)}
        return web.Response(status=201, headers=headers)

    @Route("GET", ONE, Role.OPERATOR, "tus (HEAD): how much of an upload has arrived", errors=(404, 412))
    async def head(self, request: web.Request) -> web.Response:
        tus.check_version(request.headers.get(tus.RESUMABLE))
        upload, offset = await self._found(request)
        headers = {
            tus.OFFSET: str(offset),
            tus.LENGTH: str(upload.length),
            "Cache-Control": "no-store",
            **({tus.METADATA: upload.metadata} if upload.metadata else {}),
        }
        if upload.job is not None:
            headers["Location"] = f"{JOBS}/{upload.job}"
        return web.Response(headers={**headers, **await self._expires(upload)})

    @Route(
        "PATCH",
        ONE,
        Role.OPERATOR,
        "tus: send the next bytes of an upload",
        status=204,
        errors=(400, 404, 408, 409, 412, 413, 415, 422, 429, 507),
    )
    async def append(self, request: web.Request) -> web.Response:
        try:
            with self._places.take(key_of(request)):
                return await self._append(request)
        except NoPlace as error:
            message = f"{error.held} files {error.who} are being received already"
            raise Overloaded("too_many_uploads", message, retry_after_s=RETRY_AFTER_S, status=429) from error

    @Route(
        "DELETE", ONE, Role.OPERATOR, "tus: give up an upload", status=204, audit="gave up", errors=(404, 412)
    )
    async def remove(self, request: web.Request) -> web.Response:
        tus.check_version(request.headers.get(tus.RESUMABLE))
        upload, _ = await self._found(request)
        await self._uploads.remove(upload)
        request[DETAIL] = f"{upload.id} {upload.file_name}"
        return web.Response(status=204)

    @Route("POST", ONE, Role.OPERATOR, "tus: PATCH or DELETE for clients without these methods", status=204)
    async def override(self, request: web.Request) -> web.Response:
        method = request.headers.get(tus.OVERRIDE, "").upper()
        if method == "PATCH":
            return await self.append(request)
        if method == "DELETE":
            return await self.remove(request)
        raise RequestError("method_not_allowed", f"POST needs {tus.OVERRIDE}: PATCH or DELETE here", 405)

    async def _append(self, request: web.Request) -> web.Response:
        tus.check_version(request.headers.get(tus.RESUMABLE))
        tus.check_content_type(request.content_type)
        offset = tus.number_of(request.headers.get(tus.OFFSET), tus.OFFSET)
        upload, _ = await self._found(request)
        # A byte more than is left is refused by the count of what arrives, not by the length of the body.
        offset = await self._uploads.append(upload, offset, pieces_of(request, upload.length + 1))
        headers = {tus.OFFSET: str(offset), **await self._expires(upload)}
        if offset == upload.length:
            row = await self._uploads.finish(upload)
            headers["Location"] = f"{JOBS}/{row.id}"
        return web.Response(status=204, headers=headers)

    async def _found(self, request: web.Request) -> tuple[Upload, int]:
        return await self._uploads.find(request.match_info["upload"], token_name(request))

    async def _expires(self, upload: Upload) -> dict[str, str]:
        if upload.job is not None:
            return {}
        return {tus.EXPIRES: tus.http_date(await self._uploads.expires_wall_s(upload))}


def _upload_of(request: web.Request) -> Upload:
    """Raises RequestError 400 for the headers, 422 for the fields of the job."""
    raw = request.headers.get(tus.METADATA, "")
    fields = tus.metadata_of(raw)
    name = next((fields[one] for one in FILE_NAMES if fields.get(one)), "")
    return Upload(
        new_id(),
        tus.number_of(request.headers.get(tus.LENGTH), tus.LENGTH),
        plain_name(name),
        raw,
        options_of(fields).as_json(),
        title_of(fields.get("title")),
        job_key_of(request, request.headers.get(KEY) or fields.get("idempotency_key")),
        token_name(request),
    )
