"""The client of `/api/jobs`, for the commands `job` and `watch`.

Files are sent as they are read, so their size does not matter. Invariant: every failure is a `JobRefused`,
with the sentence of the server or of the network.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click

from host_stt_cli.errors import StartError
from host_stt_common.connection_errors import plain_connection_error

JOBS = "/api/jobs"
KEY = "Idempotency-Key"
SERVER = "http://127.0.0.1:8082"
PASSING = (408, 429, 500, 502, 503, 504, 507)
"""Statuses after which the same request may succeed later."""
CONNECT_S = 10.0


class JobRefused(StartError):
    """status: 0 when the server cannot be reached."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_passing(self) -> bool:
        return self.status == 0 or self.status in PASSING


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the server is, and the token for it."""

    server: str
    token: str


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options --server and --token to a command."""
    token = click.option(
        "--token",
        envvar="HOST_STT_TOKEN",
        default="",
        help="Token for the server; needs the role operator to submit. Default: $HOST_STT_TOKEN.",
    )
    server = click.option(
        "--server",
        envvar="HOST_STT_SERVER",
        default=SERVER,
        show_default=True,
        metavar="URL",
        help="The server; also $HOST_STT_SERVER.",
    )
    return server(token(command))


class JobClient:
    def __init__(self, http: aiohttp.ClientSession, server: str) -> None:
        self._http, self._server = http, server.rstrip("/")

    async def submit_file(self, path: Path, fields: Mapping[str, str], key: str = "") -> dict[str, Any]:
        """Send a file; returns its job. The same key gives the same job. Raises JobRefused, OSError."""
        with path.open("rb") as file:
            form = aiohttp.FormData(dict(fields), quote_fields=False)
            form.add_field("file", file, filename=path.name, content_type="application/octet-stream")
            return await self._request("POST", JOBS, data=form, headers={KEY: key} if key else {})

    async def submit_url(self, url: str, fields: Mapping[str, str], key: str = "") -> dict[str, Any]:
        body = {**fields, "url": url}
        return await self._request("POST", JOBS, data=body, headers={KEY: key} if key else {})

    async def get(self, job: str) -> dict[str, Any]:
        return await self._request("GET", f"{JOBS}/{job}")

    async def cancel(self, job: str) -> dict[str, Any]:
        return await self._request("DELETE", f"{JOBS}/{job}")

    async def page(self, **query: str) -> dict[str, Any]:
        return await self._request("GET", JOBS, params=query)

    async def events(self, job: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """(type, data) of each event of the job, until it has ended. Connects again when it must."""
        last_id = ""
        while True:
            try:
                headers = {"Last-Event-ID": last_id} if last_id else {}
                async with self._http.get(f"{self._server}{JOBS}/{job}/events", headers=headers) as response:
                    await self._check(response)
                    if response.status == 204:
                        return
                    async for new_id, name, data in _frames(response, last_id):
                        last_id = new_id
                        yield name, data
                        if last_id == "end":
                            return
            except aiohttp.ClientError as error:
                raise self._unreachable(error) from error

    async def _request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            async with self._http.request(method, self._server + path, **more) as response:
                await self._check(response)
                return dict(await response.json())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        """Raise JobRefused for a response with an error."""
        if response.status < 400:
            return
        code = ""
        try:
            error = (await response.json(content_type=None))["error"]
            code, message = str(error.get("code", "")), str(error["message"])
        except (ValueError, KeyError, TypeError, AttributeError):
            message = f"the server responded with {response.status}"
        # The media server has a code of its own for a job that is not there.
        if response.status == 404 and code in ("", "not_found"):
            message = (
                f"{self._server} is not the media server of host-stt: it has no {JOBS}. "
                "Give the address of the desk, such as http://127.0.0.1:8082; 8081 is the speech engine."
            )
        raise JobRefused(message, response.status)

    def _unreachable(self, error: Exception) -> JobRefused:
        return JobRefused(f"{self._server} cannot be reached: {plain_connection_error(error)}.")


@asynccontextmanager
async def job_client(options: ServerOptions) -> AsyncIterator[JobClient]:
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        yield JobClient(http, options.server)


async def _frames(
    response: aiohttp.ClientResponse, last_id: str
) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
    """(id so far, type, data) of each server-sent event."""
    name, data = "", ""
    async for raw in response.content:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        field, _, value = line.partition(": ")
        if field == "id":
            last_id = value
        elif field == "event":
            name = value
        elif field == "data":
            data = value
        elif not line and data:
            yield last_id, name, json.loads(data)
            name, data = "", ""
