"""`host-stt job worker`: takes jobs from procrastinate's queue, and lends an engine to each.

The server reads the recording, sends windows, and writes the text; this process passes the windows on to its
engine and the results back. So a worker holds nothing that could be lost: when it is killed, the job goes on
behind the last window whose text is saved.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from host_stt_common.job_queue import HEARTBEAT_S, QUEUE, STALLED_S, make_queue, prepare

logger = logging.getLogger(__name__)

RETRY_S = 2.0
ENGINE_WAIT_S = 30.0
"""A worker whose engine is away for so long gives its job back, so that another worker can take it."""
PING_S = 5.0
CONNECT_S = 10.0
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
ENDED = 1000
FOR_GOOD = (4400, 4401, 4403, 4404)
"""Close codes after which another try cannot succeed."""


class NoEngine(Exception):
    """The engine of this worker is away."""


class Refused(Exception):
    """The server does not give the job to this worker; the text is its reason."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    queue: str  # postgresql://...
    server: str
    token: str
    engine: str
    engine_token: str
    at_once: int = 1


class JobWorker:
    def __init__(
        self, options: WorkerOptions, http: aiohttp.ClientSession, tell: Callable[[str], None]
    ) -> None:
        """tell: called with a line for each job that is taken or ends."""
        self._options, self._http, self._tell = options, http, tell

    async def work(self, job: str) -> None:
        """Lend the engine to a job until it has ended.

        Raises Refused and NoEngine: another worker may take it.
        """
        while True:
            hello = await self._engine_ready()
            try:
                reason = await self._lend(job, hello)
            except (aiohttp.ClientError, OSError) as error:
                logger.warning("job %s: the server is away: %s", job, type(error).__name__)
                await asyncio.sleep(RETRY_S)
                continue
            if reason is not None:
                self._tell(f"job {job}: {reason}")
                return
            await asyncio.sleep(RETRY_S)

    async def _lend(self, job: str, hello: dict[str, Any]) -> str | None:
        """The state of the job when it has ended; None: the connection was lost."""
        url = f"{self._options.server.rstrip('/')}/api/jobs/{job}/work"
        engine_url = f"{self._options.engine.rstrip('/')}/v1/windows"
        async with (
            self._connected(engine_url, self._options.engine_token) as engine,
            self._connected(url, self._options.token) as server,
        ):
            await server.send_str(json.dumps(hello))
            self._tell(f"job {job}: taken")
            to_engine = asyncio.create_task(_pass_on(server, engine))
            to_server = asyncio.create_task(_pass_on(engine, server))
            try:
                await asyncio.wait((to_engine, to_server), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in (to_engine, to_server):
                    pump.cancel()
                await asyncio.wait((to_engine, to_server))
            if to_engine.cancelled():
                return None  # the engine has closed its connection
            code, reason = to_engine.result()
            if code in FOR_GOOD:
                raise Refused(reason)
            return reason if code == ENDED else None

    def _connected(self, url: str, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self._http.ws_connect(
            url, headers=headers, heartbeat=PING_S, max_msg_size=MESSAGE_BYTES_MAX, compress=0
        )

    async def _engine_ready(self) -> dict[str, Any]:
        """The first message to the server: the kind of the engine's model. Raises NoEngine."""
        token = self._options.engine_token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self._options.engine.rstrip('/')}/ready"
        try:
            async with asyncio.timeout(ENGINE_WAIT_S):
                while True:
                    try:
                        async with self._http.get(url, headers=headers) as response:
                            body = await response.json(content_type=None)
                            if response.status == 200 and isinstance(body, dict):
                                return {"is_starter": bool(body.get("is_starter"))}
                    except (aiohttp.ClientError, OSError, ValueError):
                        pass  # it starts, or is restarted
                    await asyncio.sleep(RETRY_S)
        except TimeoutError as error:
            raise NoEngine(f"the engine at {self._options.engine} is not ready") from error


async def _pass_on(
    source: aiohttp.ClientWebSocketResponse, target: aiohttp.ClientWebSocketResponse
) -> tuple[int, str]:
    """Pass all messages on; returns the close code of the source and its reason. Raises ConnectionError."""
    while True:
        message = await source.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        else:
            return int(source.close_code or 0), str(message.extra or "")


async def run(options: WorkerOptions, tell: Callable[[str], None]) -> None:
    """Work until SIGTERM or SIGINT. Raises NoQueue."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        worker = JobWorker(options, http, tell)
        queue = make_queue(options.queue, worker.work)
        async with queue.open_async():
            await prepare(queue)
            tell("ready")
            await queue.run_worker_async(
                queues=[QUEUE],
                concurrency=options.at_once,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=STALLED_S,
                shutdown_graceful_timeout=0,  # the job goes on with another worker
                delete_jobs="successful",
            )
