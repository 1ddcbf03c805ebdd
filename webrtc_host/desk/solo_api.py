"""`/api/v1/solo/submissions`: a learner's answer, and the feedback of the language model about it.

Only the routes and their bodies; `summaries.submissions` has the work. Invariant: every response of a handler
has the envelope of the worker API.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web
from pydantic import ConfigDict, Field
from sqlalchemy import Row

from webrtc_host.desk.worker_api import WorkerError, WorkerFault, error_response
from webrtc_host.errors import RequestError, StoreError
from webrtc_host.http.audit import DETAIL, token_name
from webrtc_host.http.body import read_json_object
from webrtc_host.http.requests import Body
from webrtc_host.http.responses import Response
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import json_response
from webrtc_host.summaries.submissions import NO_MODEL, NO_MODEL_TEXT, OPEN_MAX, SubmissionService
from webrtc_host.transcript.submissions import SubmissionsFull

SUBMISSIONS = "/api/v1/solo/submissions"
ATTEMPT_CHARS_MAX = 128
TEXT_CHARS_MAX = 20_000
KEYWORDS_MAX = 50
KEYWORD_CHARS_MAX = 200
HISTORY_MAX = 200
RETRY_AFTER_S = 30.0


class Criteria(Body):
    model_config = ConfigDict(extra="ignore")

    keyword: str | list[str] = Field("", description="what the answer should explain; several: a list")
    modelAnswer: str = Field("", description="a good answer")


class SubmissionBody(Body):
    model_config = ConfigDict(extra="ignore")

    attemptId: str | int = Field(description="the same attempt sent twice is one submission")
    userText: str = Field(description="the learner's answer")
    criteria: Criteria = Criteria()
    history: list[Any] = Field([], description="earlier turns, the oldest first: texts or objects")


class KeywordEntry(Response):
    keyword: str
    is_used: bool = Field(description="the learner's text has it; found by comparison, not by the model")


class FeedbackEntry(Response):
    feedback: str
    score: int | None = Field(description="0 to 100; null: the model gave none")
    strengths: list[str]
    improvements: list[str]
    keywords: list[KeywordEntry]


class SubmissionEntry(Response):
    attemptId: str | int
    status: str = Field(description="PENDING, PROCESSING, COMPLETED or FAILED")
    feedback: FeedbackEntry | None
    model: str | None
    error: WorkerFault | None = Field(description="why there is no feedback")


class SubmissionResponse(Response):
    success: bool
    data: SubmissionEntry | None
    error: WorkerFault | None


class SoloApi:
    def __init__(self, submissions: SubmissionService, body_bytes: int) -> None:
        """body_bytes: the largest body."""
        self._submissions, self._body_bytes = submissions, body_bytes

    @Route(
        "POST",
        SUBMISSIONS,
        Role.OPERATOR,
        "Submit a learner's answer; the language model writes feedback about it",
        body=SubmissionBody,
        response=SubmissionResponse,
        audit="submitted",
        errors=(409, 429, 503),
    )
    async def submit(self, request: web.Request) -> web.Response:
        try:
            return await self._submit(request)
        except WorkerError as error:
            return error_response(error)
        except StoreError as error:
            return error_response(WorkerError("STORE_FAILURE", str(error), 500, RETRY_AFTER_S))

    @Route(
        "GET",
        SUBMISSIONS + "/{attempt}",
        Role.VIEWER,
        "The state of a submission, and its feedback",
        response=SubmissionResponse,
        errors=(404,),
    )
    async def show(self, request: web.Request) -> web.Response:
        row = await self._submissions.find(_storable(request.match_info["attempt"]))
        return error_response(_unknown(request)) if row is None else _success(row)

    @Route(
        "DELETE",
        SUBMISSIONS + "/{attempt}",
        Role.OPERATOR,
        "Remove a submission with its texts and its feedback",
        response=SubmissionResponse,
        audit="removed",
        errors=(404,),
    )
    async def remove(self, request: web.Request) -> web.Response:
        attempt = _storable(request.match_info["attempt"])
        request[DETAIL] = attempt[:64]
        if not await self._submissions.remove(attempt):
            return error_response(_unknown(request))
        return json_response({"success": True, "data": None, "error": None})

    async def _submit(self, request: web.Request) -> web.Response:
        try:
            body = _checked(await read_json_object(request, self._body_bytes))
        except RequestError as error:
            raise _invalid(error.message) from error
        if not self._submissions.has_model:
            raise WorkerError(NO_MODEL, NO_MODEL_TEXT, 503)
        attempt = _storable(str(body["attemptId"]))
        request[DETAIL] = attempt[:64]
        stored = json.dumps(body)  # ASCII, so that any text can be stored
        try:
            row = await self._submissions.submit(attempt, stored, token_name(request))
        except SubmissionsFull as error:
            message = f"{error.held} submissions wait for their feedback already, of {OPEN_MAX} at most"
            raise WorkerError("TOO_MANY_SUBMISSIONS", message, 429, RETRY_AFTER_S) from error
        if row.body != stored:
            message = (
                f"attempt {attempt[:40]!r} was submitted before with another content; give a new attemptId"
            )
            raise WorkerError("ATTEMPT_EXISTS", message, 409)
        return _success(row)


def _success(row: Row[Any]) -> web.Response:
    error = None if row.error_code is None else {"code": row.error_code, "message": row.error}
    data = {
        "attemptId": json.loads(row.body)["attemptId"],
        "status": row.state,
        "feedback": None if row.feedback is None else json.loads(row.feedback),
        "model": row.model,
        "error": error,
    }
    return json_response({"success": True, "data": data, "error": None})


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """What is stored of a body. Raises WorkerError INVALID_REQUEST."""
    attempt = body.get("attemptId")
    if isinstance(attempt, bool) or not isinstance(attempt, str | int) or not str(attempt).strip():
        raise _invalid("`attemptId` must be the id of the attempt: text, or a whole number")
    if len(str(attempt)) > ATTEMPT_CHARS_MAX:
        raise _invalid(f"`attemptId` has at most {ATTEMPT_CHARS_MAX} characters")
    criteria = body.get("criteria")
    if not isinstance(criteria, dict | None):
        raise _invalid("`criteria` must be an object with `keyword` and `modelAnswer`")
    text = _text(body, "userText")
    if not text.strip():
        raise _invalid("`userText` must be the learner's answer")
    history = body.get("history") or []
    if not isinstance(history, list) or not all(isinstance(one, str | dict) for one in history):
        raise _invalid("`history` must be a list of texts or objects")
    if len(history) > HISTORY_MAX or len(json.dumps(history)) > HISTORY_MAX * 1000:
        raise _invalid(f"`history` has at most {HISTORY_MAX} turns, and {HISTORY_MAX * 1000} characters")
    return {
        "attemptId": attempt,
        "userText": text,
        "keywords": _keywords((criteria or {}).get("keyword")),
        "modelAnswer": _text(criteria or {}, "modelAnswer"),
        "history": history,
    }


def _keywords(value: object) -> list[str]:
    """One keyword, several with commas between them, or a list."""
    entries = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(entries, list) or not all(isinstance(one, str) for one in entries):
        raise _invalid("`criteria.keyword` must be text, or a list of texts")
    words = [one.strip() for one in entries if one.strip()]
    if len(words) > KEYWORDS_MAX or any(len(one) > KEYWORD_CHARS_MAX for one in words):
        raise _invalid(
            f"`criteria.keyword` has at most {KEYWORDS_MAX} keywords of {KEYWORD_CHARS_MAX} characters"
        )
    return [_storable(one) for one in words]


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_CHARS_MAX:
        raise _invalid(f"`{name}` must be text of at most {TEXT_CHARS_MAX} characters")
    return _storable(value)


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _invalid(message: str) -> WorkerError:
    return WorkerError("INVALID_REQUEST", message, 400)


def _unknown(request: web.Request) -> WorkerError:
    attempt = request.match_info["attempt"]
    return WorkerError("NOT_FOUND", f"there is no submission of attempt {attempt[:40]!r}", 404)
