"""`/api/v1/transcriptions` and `/api/v1/gpu/warmup`: the HTTP calls of a transcription worker.

A caller gives the address of a recording and waits for its text. Underneath, each call is a job: it waits in
the same queue, and its text is a session. Invariants: every response of a handler has the envelope that the
callers read; a job whose caller does not wait for it any longer is cancelled.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing, suppress
from dataclasses import dataclass

from aiohttp import web
from pydantic import ConfigDict, Field

from host_stt_common.accepting import when_lost
from host_stt_common.places import NoPlace, Places
from webrtc_host.config import WorkerSettings
from webrtc_host.desk.health import EngineWatch
from webrtc_host.errors import Overloaded, RequestError, StoreError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.auth import key_of
from webrtc_host.http.body import read_json_object
from webrtc_host.http.requests import Body
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.jobs.following import NOTHING
from webrtc_host.jobs.options import ChannelMode, JobOptions
from webrtc_host.jobs.service import JobService

WAITING_MAX = 200
RETRY_AFTER_S = 5.0
IDLE_S = 15.0
DOWNLOAD_CODES = frozenset({"fetch_failed", "fetch_timeout", "too_large", "no_room", "file_missing"})
FORMAT_CODES = frozenset({"wrong_type", "empty_audio", "bad_audio", "unknown_track", "too_long"})


class TranscriptionBody(Body):
    model_config = ConfigDict(extra="ignore")

    audioUrl: str = Field(description="http or https address of the recording")


class WorkerText(Response):
    text: str


class WorkerFault(Response):
    code: str = Field(
        description="INVALID_URL, UNSUPPORTED_FORMAT, DOWNLOAD_FAILURE, STT_FAILURE or WARMUP_FAILED"
    )
    message: str


class WorkerResponse(Response):
    success: bool
    data: WorkerText | None
    error: WorkerFault | None


class WarmupResponse(Response):
    status: str = Field(description="WARMING_UP")


class WorkerError(Exception):
    """An error in the words of this API. retry_after_s: None: no header."""

    def __init__(self, code: str, message: str, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.retry_after_s = code, message, status, retry_after_s


@dataclass(slots=True)
class _Caller:
    has_left: bool = False


class WorkerApi:
    def __init__(
        self, jobs: JobService, engine: EngineWatch, settings: WorkerSettings, body_bytes: int
    ) -> None:
        """body_bytes: the largest body."""
        self._jobs, self._engine = jobs, engine
        self._settings, self._body_bytes = settings, body_bytes
        self._waiting = Places(WAITING_MAX)

    @Route(
        "POST",
        "/api/v1/transcriptions",
        Role.OPERATOR,
        "Transcribe the recording at an address, and wait for its text",
        body=TranscriptionBody,
        response=WorkerResponse,
        audit="submitted",
        errors=(500,),
    )
    async def transcribe(self, request: web.Request) -> web.Response:
        try:
            with self._waiting.take(key_of(request)):
                text = await self._text(request)
        except WorkerError as error:
            return error_response(error)
        except NoPlace as error:
            message = f"{error.held} requests {error.who} wait for their text already"
            return error_response(_stt_failure(message, RETRY_AFTER_S))
        except StoreError as error:
            return error_response(_stt_failure(str(error), RETRY_AFTER_S))
        return json_response({"success": True, "data": {"text": text}, "error": None})

    @Route(
        "POST",
        "/api/v1/gpu/warmup",
        Role.OPERATOR,
        "Ask whether the engine has its model, or loads it",
        response=WarmupResponse,
        errors=(500,),
    )
    async def warm_up(self, request: web.Request) -> web.Response:
        """The engine loads its model when it starts, and keeps it, so there is nothing to begin here."""
        status = self._engine.status
        if not status.is_reachable:
            return error_response(WorkerError("WARMUP_FAILED", "the engine does not respond", 500))
        if status.body.get("state") == "failed":
            reason = status.body.get("reason") or "the engine could not load its model"
            return error_response(WorkerError("WARMUP_FAILED", str(reason), 500))
        return json_response({"status": "WARMING_UP"})

    async def _text(self, request: web.Request) -> str:
        url = await self._url(request)
        options = JobOptions(language=self._settings.language, channels=ChannelMode.MIX)
        try:
            row = await self._jobs.submit_url(url, options, who=token_name(request))
        except Overloaded as error:
            raise _stt_failure(error.message, error.retry_after_s) from error
        except RequestError as error:
            raise WorkerError("INVALID_URL", error.message.replace("`url`", "`audioUrl`"), 400) from error
        request[DETAIL] = f"{row.id} {row.file_name}"
        waiting = asyncio.ensure_future(self._wait(row.id))
        caller = _Caller()

        def lost() -> None:
            caller.has_left = True
            waiting.cancel()

        forget = when_lost(request, lost)
        try:
            async with asyncio.timeout(self._settings.wait_s):
                return await waiting
        except TimeoutError as error:
            await self._cancel(row.id)
            message = (
                f"the text was not complete after {self._settings.wait_s:g} s (doors.worker.wait_s); "
                "the job was cancelled"
            )
            raise _stt_failure(message) from error
        except asyncio.CancelledError:
            if not caller.has_left:
                raise  # the server stops; the job goes on at its next start
            await self._cancel(row.id)
            raise _stt_failure("the caller left") from None
        finally:
            forget()
            waiting.cancel()

    async def _url(self, request: web.Request) -> str:
        try:
            body = await read_json_object(request, self._body_bytes)
        except RequestError as error:
            raise WorkerError("INVALID_URL", error.message, 400) from error
        url = body.get("audioUrl")
        if not isinstance(url, str) or not url.strip():
            message = "`audioUrl` must be the http or https address of a recording"
            raise WorkerError("INVALID_URL", message, 400)
        return url

    async def _wait(self, job_id: str) -> str:
        """The text of the job when it has ended. Raises WorkerError."""
        texts: list[str] = []
        async with aclosing(self._jobs.follow(job_id, NOTHING, IDLE_S)) as events:
            async for event in events:
                if event is None:
                    continue
                if event.name == "transcript_segment":
                    texts.append(event.data["text"])
                elif event.name == "completed":
                    return " ".join(texts)
                elif event.name in ("failed", "cancelled"):
                    raise _failure(event.data.get("error"))
        raise _stt_failure("the job was removed")

    async def _cancel(self, job_id: str) -> None:
        with suppress(RequestError, StoreError):
            await self._jobs.cancel(job_id)


def _failure(error: dict[str, str] | None) -> WorkerError:
    """error: of the job; None: it was cancelled."""
    if error is None:
        return _stt_failure("the job was cancelled")
    code, message = error["code"], error["message"]
    if code == "address_refused":
        return WorkerError("INVALID_URL", message, 400)
    if code in FORMAT_CODES:
        return WorkerError("UNSUPPORTED_FORMAT", message, 400)
    if code in DOWNLOAD_CODES:
        return WorkerError("DOWNLOAD_FAILURE", message, 500)
    return _stt_failure(message)


def _stt_failure(message: str, retry_after_s: float | None = None) -> WorkerError:
    return WorkerError("STT_FAILURE", message, 500, retry_after_s)


def error_response(error: WorkerError) -> web.Response:
    """An error in the envelope."""
    body = {"success": False, "data": None, "error": {"code": error.code, "message": error.message}}
    headers: dict[str, str] = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return json_response(body, error.status, headers)
