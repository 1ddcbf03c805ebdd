"""Jobs that fetch their file: within limits, and never from an address that was not checked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from host_stt_common.public_addresses import networks_of
from tests.webrtc_host.jobs.helpers import a_server, events_of, job_of, left_over, named, talk, wav
from tests.webrtc_host.recovery.crashing import word_per_half_second
from tests.webrtc_host.speech.engine_server import engine_server
from webrtc_host.errors import RequestError
from webrtc_host.jobs import fetching
from webrtc_host.jobs.fetching import Fetcher, FetchFailed
from webrtc_host.jobs.files import JobFiles

LOOPBACK = networks_of(["127.0.0.0/8"])
Handler = Callable[[web.Request], "asyncio.Future[web.StreamResponse]"]


class Names(AbstractResolver):
    """Resolves every name to the addresses of a test, one after the other."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses[min(self.asked, len(self.addresses) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        return None


async def file(request: web.Request) -> web.Response:
    return web.Response(body=b"recording")


async def large(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(bytes(1000))
    return response


async def slow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await asyncio.sleep(30)
    return response


async def to(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.query["url"])


async def again(request: web.Request) -> web.Response:
    raise web.HTTPFound("/again")


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(bytes(10))
    assert request.transport is not None
    request.transport.abort()
    return response


async def missing(request: web.Request) -> web.Response:
    raise web.HTTPNotFound


@asynccontextmanager
async def a_host() -> AsyncIterator[str]:
    app = web.Application()
    for path, handler in (
        ("/night shift.wav", file),
        ("/large", large),
        ("/slow", slow),
        ("/to", to),
        ("/missing", missing),
        ("/again", again),
        ("/cut", cut),
    ):
        app.router.add_get(path, handler)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def fetcher(
    tmp_path: Path, resolver: AbstractResolver | None = None, *, is_loopback_allowed: bool = True
) -> Fetcher:
    files = JobFiles(tmp_path / "jobs", 50_000, 0)
    return Fetcher(files, LOOPBACK if is_loopback_allowed else (), 2.0, resolver)


async def test_a_file_is_fetched_with_its_name(tmp_path: Path) -> None:
    async with a_host() as host:
        path, name, size = await fetcher(tmp_path).fetch("j_1", f"{host}/night%20shift.wav?sig=1")
        assert (path.read_bytes(), name, size) == (b"recording", "night shift.wav", 9)
        path, *_ = await fetcher(tmp_path).fetch("j_2", f"{host}/to?url=/night%20shift.wav")
        assert path.read_bytes() == b"recording"


@pytest.mark.parametrize(
    ("url", "code"),
    [("/missing", "fetch_failed"), ("/slow", "fetch_timeout"), ("/to?url=/again", "fetch_failed")],
)
async def test_what_does_not_arrive_says_why(tmp_path: Path, url: str, code: str) -> None:
    async with a_host() as host:
        if code == "fetch_timeout":
            one = Fetcher(JobFiles(tmp_path / "jobs", 50_000, 0), LOOPBACK, 0.2)
        else:
            one = fetcher(tmp_path)
        with pytest.raises(FetchFailed) as failed:
            await one.fetch("j_1", host + url)
        assert failed.value.code == code
        assert "sig" not in failed.value.message
    assert not left_over(tmp_path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/a.wav", "connection refused"),
        ("{host}/cut", "the connection broke off"),
        ("https://{rest}/a.wav", "no encrypted connection could be made (TLS)"),
        ("http://no-such-host.invalid/a.wav", "the name of the host is not known"),
        ("http://2130706433/a.wav", "that is not an address"),
    ],
)
async def test_a_failed_connection_is_told_in_plain_words(
    tmp_path: Path, url: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "RETRY_S", 0)
    files = JobFiles(tmp_path / "jobs", 50_000, 0)
    async with a_host() as host:
        rest = host.removeprefix("http://")
        with pytest.raises(FetchFailed) as failed:
            await Fetcher(files, LOOPBACK, 30.0).fetch("j_1", url.format(host=host, rest=rest))
    assert failed.value.code == "fetch_failed" and reason in failed.value.message, failed.value.message


async def test_a_file_over_the_limit_is_cut_off(tmp_path: Path) -> None:
    async with a_host() as host:
        with pytest.raises(RequestError) as refused:
            await fetcher(tmp_path).fetch("j_1", f"{host}/large")
        assert refused.value.status == 413
    assert not left_over(tmp_path)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/x", "http://[::1]/x", "http://2130706433/x", "http://a.test/x"]
)
async def test_an_address_of_this_network_is_never_connected_to(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "RETRY_S", 0)
    async with a_host() as host:
        port = host.rpartition(":")[2]
        one = fetcher(tmp_path, Names("127.0.0.1"), is_loopback_allowed=False)
        with pytest.raises(FetchFailed) as failed:
            await one.fetch("j_1", url.replace("{port}", port))
        assert failed.value.code in ("address_refused", "fetch_failed")
        assert "2130706433" in url or failed.value.code == "address_refused"


async def test_a_redirect_to_this_network_is_refused(tmp_path: Path) -> None:
    async with a_host() as host:
        port = host.rpartition(":")[2]
        # Only the first host may be reached; the redirect leads to another address of this machine.
        one = Fetcher(JobFiles(tmp_path, 50_000, 0), networks_of(["127.0.0.1/32"]), 2.0)
        for target in (f"http://127.0.0.2:{port}/night%20shift.wav", "file:///etc/passwd"):
            with pytest.raises(FetchFailed):
                await one.fetch("j_1", f"{host}/to?url={target}")


async def test_a_name_that_changes_its_address_is_checked_at_each_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "RETRY_S", 0)
    names = Names("127.0.0.1", "127.0.0.2")
    async with a_host() as host:
        port = host.rpartition(":")[2]
        one = Fetcher(JobFiles(tmp_path, 50_000, 0), networks_of(["127.0.0.1/32"]), 2.0, names)
        with pytest.raises(FetchFailed) as failed:
            await one.fetch("j_1", f"http://a.test:{port}/to?url=http://b.test:{port}/night%20shift.wav")
        assert failed.value.code == "address_refused" and "127.0.0.2" in failed.value.message
        assert names.asked == 2


async def test_a_job_fetches_its_file_and_says_when_it_may_not(tmp_path: Path) -> None:
    sound = wav(talk("alpha one proceed"))

    async def recording(request: web.Request) -> web.Response:
        return web.Response(body=sound)

    app = web.Application()
    app.router.add_get("/a.wav", recording)
    allowed = {"url_networks": ["127.0.0.0/8"]}
    async with engine_server(word_per_half_second) as engine, TestServer(app) as server:
        url = str(server.make_url("/a.wav?secret=1"))
        for folder, jobs, ends in (("one", allowed, "completed"), ("two", {}, "failed")):
            async with a_server(tmp_path / folder, engine, jobs=jobs) as desk:
                async with desk.client.post(f"{desk.url}/api/jobs", json={"url": url}) as response:
                    assert response.status == 202 and response.headers["Location"].startswith("/api/jobs/j_")
                    body = await response.json()
                assert "secret" not in str(body)
                events = await events_of(desk, body["job"])
                assert events[-1][0] == ends, events
                job = await job_of(desk, body["job"])
                if ends == "failed":
                    assert named(events, "failed")[0]["error"]["code"] == "address_refused"
                else:
                    assert (job["file_name"], job["bytes"]) == ("a.wav", len(sound))
