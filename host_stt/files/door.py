"""Transcriptions and translations of files on 8081, like OpenAI's: a form with a file in, its text out.

Contains the form of the response, the limit of files at the same time, and the end of the work when the
caller disconnects. `form` and `fields` read the form, `job` does the work. Invariant: an error has the form
of OpenAI's and of our own errors, `{"error": {"message", "type", "param", "code"}}`, also inside a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from aiohttp import web

from host_stt.contract import RequestError, Task
from host_stt.files.config import FilesConfig
from host_stt.files.fields import Asked, FormError
from host_stt.files.form import receive
from host_stt.files.formats import Format, Part, joint, json_body, written
from host_stt.files.job import FileJob, transcribe
from host_stt.service import EngineService
from host_stt_common.audio_facts import AudioFacts
from host_stt_common.callers import caller_key
from host_stt_common.openai_errors import openai_error_body
from host_stt_common.places import NoPlace, Places

logger = logging.getLogger(__name__)

PATH = "/v1/audio/transcriptions"
BARE_PATH = "/audio/transcriptions"
"""For clients whose base URL has no /v1."""
TRANSLATIONS = "/v1/audio/translations"
BARE_TRANSLATIONS = "/audio/translations"
_GONE_CHECK_S = 0.25
_TYPES = {
    Format.JSON: "application/json",
    Format.VERBOSE_JSON: "application/json",
    Format.TEXT: "text/plain",
    Format.SRT: "text/plain",
    Format.VTT: "text/vtt",
}


class _CallerLeft(Exception):
    """The caller has disconnected; no response is needed."""


class FilesDoor:
    """The endpoint; `add_to` adds its routes to an application."""

    def __init__(self, service: EngineService, config: FilesConfig | None = None) -> None:
        self._service = service
        self._config = config or FilesConfig()
        self._places = Places(self._config.jobs_max)

    def add_to(self, app: web.Application) -> None:
        app.router.add_post(PATH, self.transcriptions)
        app.router.add_post(BARE_PATH, self.transcriptions)
        app.router.add_post(TRANSLATIONS, self.translations)
        app.router.add_post(BARE_TRANSLATIONS, self.translations)

    async def transcriptions(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, Task.TRANSCRIBE)

    async def translations(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, Task.TRANSLATE)

    async def _answer(self, request: web.Request, task: Task) -> web.StreamResponse:
        try:
            with self._place(request):
                return await self._transcribe(request, task)
        except RequestError as error:
            return _refused(request, error)
        except (_CallerLeft, ConnectionError):
            logger.info("a caller disconnected before its recording was transcribed")
            return web.Response(status=499)

    @contextlib.contextmanager
    def _place(self, request: web.Request) -> Iterator[None]:
        try:
            with self._places.take(caller_key(request.remote or "")):
                yield
        except NoPlace as error:
            text = f"{error.held} recordings {error.who} are in progress already; send this one again later"
            raise RequestError("too_many", text, 429, retry_after_s=5) from error

    async def _transcribe(self, request: web.Request, task: Task) -> web.StreamResponse:
        now = self._service.state.now
        # before a gigabyte is uploaded for nothing
        if not now.is_ready or now.model is None:
            raise RequestError("not_ready", f"not ready: {now.message}", 503, retry_after_s=2)
        if task is Task.TRANSLATE and not now.model.can_translate:
            raise _cannot_translate(now.model.name)
        loop = asyncio.get_running_loop()
        folder = tempfile.TemporaryDirectory(prefix="host-stt-")
        try:
            stored, asked = await receive(request, Path(folder.name), self._config, task)
            job = FileJob(stored.path, asked.options, self._service, self._config, name=stored.name)
            answer = self._stream(request, job) if asked.is_stream else self._whole(job, asked)
            return await _while_there(request, answer)
        finally:
            # Shielded, and not a task: a task that is cancelled while it waits for a thread would never run.
            await asyncio.shield(loop.run_in_executor(None, folder.cleanup))

    async def _whole(self, job: FileJob, asked: Asked) -> web.StreamResponse:
        recording = await transcribe(job)
        text = written(recording, asked.form, asked.granularities)
        headers = facts_headers(recording.facts) if recording.facts else {}
        return web.Response(text=text, content_type=_TYPES[asked.form], charset="utf-8", headers=headers)

    # --- server-sent events ---------------------------------------------------------------------------

    async def _stream(self, request: web.Request, job: FileJob) -> web.StreamResponse:
        """Send a delta for each decoded window; together they are exactly the text of the last event."""
        response = web.StreamResponse(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        response.content_type, response.charset = "text/event-stream", "utf-8"
        async with aclosing(job.stretches()) as stretches:
            # Wait for the first text before the response begins, so that a bad file can get an error status.
            parts = await _first_said(stretches)
            await response.prepare(request)
            alive = asyncio.create_task(_keep_alive(response, self._config.keep_alive_s))
            try:
                before = await _send_parts(response, parts, None)
                async for stretch in stretches:
                    before = await _send_parts(response, stretch.parts, before)
                await _send(response, {"type": "transcript.text.done", **json_body(job.recording)})
            except RequestError as error:
                await _send(response, {"type": "error", **_body(error)})
            finally:
                alive.cancel()
                await asyncio.gather(alive, return_exceptions=True)
        await response.write_eof()
        return response


def _cannot_translate(model: str) -> RequestError:
    """Status 404, as for a route that a server does not have: clients repeat a request after a 501."""
    text = (
        f"the model {model} cannot translate into English; a multilingual Whisper can, such as base, small, "
        f"medium or large-v3. POST {PATH} transcribes speech in its own language"
    )
    return RequestError("not_supported", text, 404)


async def _first_said(stretches: AsyncIterator[Any]) -> tuple[Part, ...]:
    async for stretch in stretches:
        if stretch.parts:
            parts: tuple[Part, ...] = stretch.parts
            return parts
    return ()


async def _send_parts(
    response: web.StreamResponse, parts: tuple[Part, ...], before: Part | None
) -> Part | None:
    for part in parts:
        delta = joint(before, part) + part.segment.text.strip()
        await _send(response, {"type": "transcript.text.delta", "delta": delta})
        before = part
    return before


async def _send(response: web.StreamResponse, body: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode())


async def _keep_alive(response: web.StreamResponse, every_s: float) -> None:
    with contextlib.suppress(ConnectionError):  # the task that sends events sees it too
        while True:
            await asyncio.sleep(every_s)
            await response.write(b": still reading\n\n")


def facts_headers(facts: AudioFacts) -> dict[str, str]:
    """The facts of the JSON forms as headers, for text and subtitles, which have no fields for them."""
    headers = {
        "X-Audio-Complete": "true" if facts.is_complete else "false",
        "X-Audio-Seconds": f"{facts.seconds:.3f}",
        "X-Audio-Track": f"{facts.track}/{facts.tracks}",
    }
    if facts.announced_seconds is not None:
        headers["X-Audio-Announced-Seconds"] = f"{facts.announced_seconds:.3f}"
    return headers


# --- the caller -----------------------------------------------------------------------------------


async def _while_there(
    request: web.Request, answer: Coroutine[Any, Any, web.StreamResponse]
) -> web.StreamResponse:
    """Wait for the response. If the caller disconnects, stop the work and raise _CallerLeft."""
    work = asyncio.create_task(answer)
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_GONE_CHECK_S)
            if not work.done() and (request.transport is None or request.transport.is_closing()):
                raise _CallerLeft
        return await work
    except ConnectionError as error:
        raise _CallerLeft from error
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def _body(error: RequestError) -> dict[str, Any]:
    param = error.param if isinstance(error, FormError) else _PARAMS.get(error.code)
    return openai_error_body(error.code, error.message, error.status, param)


_PARAMS = {
    "unknown_language": "language",
    "empty_audio": "file",
    "wrong_type": "file",
    "too_long": "file",
    "bad_audio": "file",
    "unknown_track": "track",
}


def _refused(request: web.Request, error: RequestError) -> web.Response:
    headers = {"Retry-After": f"{error.retry_after_s or 2:g}"} if error.status in (429, 503) else {}
    response = web.json_response(_body(error), status=error.status, headers=headers)
    # The rest of the upload is not read, so the connection must end with the response.
    if not request.content.is_eof():
        response.force_close()
    return response
