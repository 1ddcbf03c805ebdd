"""`GET /api/jobs/{job}/work`: a worker lends its engine to one job, over a WebSocket.

The worker says first which model its engine has. Then the server sends windows, and the worker returns
results, both as on `/v1/windows` of the engine. The server closes with 1000 when the job has ended; with 4409
when it is worked on by another one. A worker that goes away gives the job back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web

from webrtc_host.desk.jobs_api import JOBS
from webrtc_host.desk.watching import close_code, close_reason
from webrtc_host.errors import RequestError
from webrtc_host.http.audit import token_name
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import Route
from webrtc_host.http.server import GATE, check_upgrade
from webrtc_host.jobs.pacing import PacedTranscriber
from webrtc_host.jobs.reading import windows_for
from webrtc_host.jobs.remote import RemoteEngine
from webrtc_host.jobs.runner import JobRunner
from webrtc_host.jobs.service import JobService
from webrtc_host.transcript.jobs import JobState

logger = logging.getLogger(__name__)

PING_S = 5.0
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
HELLO_S = 10.0
ENDED, TAKEN = 1000, 4409


class JobWorkerSocket:
    def __init__(self, jobs: JobService, runner: JobRunner, *, is_enabled: bool) -> None:
        """is_enabled: whether workers of this kind work on the jobs (`jobs.engine`)."""
        self._jobs, self._runner, self._is_enabled = jobs, runner, is_enabled

    @Route(
        "GET",
        JOBS + "/{job}/work",
        Role.OPERATOR,
        "A worker lends its engine to a job, over a WebSocket",
        is_websocket=True,
    )
    async def handle(self, request: web.Request) -> web.StreamResponse:
        check_upgrade(request)
        socket = web.WebSocketResponse(heartbeat=PING_S, max_msg_size=MESSAGE_BYTES_MAX, compress=False)
        await socket.prepare(request)
        try:
            request.app[GATE].check_token(request)
            if not self._is_enabled:
                raise RequestError("no_workers", "this server has no workers (jobs.engine)", 409)
            row = await self._jobs.get(request.match_info["job"])
            hello = await _hello(socket)
        except RequestError as error:
            await socket.close(code=close_code(error), message=close_reason(error.message))
            return socket
        if JobState(row.state).is_final:
            await socket.close(code=ENDED, message=row.state.encode())
            return socket
        who = f"worker {token_name(request) or 'anyone'} {request.remote}"
        await self._lend(socket, row.id, who, hello)
        return socket

    async def _lend(self, socket: web.WebSocketResponse, job: str, who: str, hello: dict[str, Any]) -> None:
        remote = RemoteEngine(socket.send_bytes)
        # This engine has no live channels, so there are no pauses; retries and limits are the same.
        engine = PacedTranscriber(remote, is_live=lambda: False, live_share=1.0)
        windows = windows_for(is_starter=bool(hello.get("is_starter")), is_ready=True)
        working = asyncio.create_task(self._runner.lend(job, who, engine, windows), name=f"lent to {job}")
        working.add_done_callback(lambda _: asyncio.ensure_future(_close(socket, working)))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    remote.received(message.data)
        finally:
            if not working.done():
                logger.warning("the worker of job %s is gone; the job goes back to the queue", job)
                working.cancel()
            await asyncio.wait((working,))


async def _hello(socket: web.WebSocketResponse) -> dict[str, Any]:
    """The first message of a worker. Raises RequestError."""
    with contextlib.suppress(TimeoutError, TypeError, ValueError, aiohttp.WSMessageTypeError):
        async with asyncio.timeout(HELLO_S):
            hello = json.loads(await socket.receive_str())
            if isinstance(hello, dict):
                return hello
    raise RequestError("bad_request", "the first message says which engine the worker has", 400)


async def _close(socket: web.WebSocketResponse, working: asyncio.Task[str | None]) -> None:
    state = None if working.cancelled() or working.exception() is not None else working.result()
    if state is None:
        await socket.close(code=TAKEN, message=b"try again later")
    else:
        await socket.close(code=ENDED, message=state.encode())
