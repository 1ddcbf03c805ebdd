"""OpenAI's calls for files on 8082: the client of OpenAI, unmodified, with an engine behind the server."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from host_stt.config import EngineConfig
from host_stt.engines.fake import FakeEngine, script_of
from host_stt.server import create_app
from tests.support.desk import Desk, a_config, running_desk
from tests.support.engine_process import fake_backend
from tests.support.peers import app_of
from tests.support.polling import until
from tests.support.recordings import spoken_phrases, wav
from webrtc_host.doors.engine_files import EngineFilesDoor
from webrtc_host.keys import RECORD
from webrtc_host.transcript import records

SAID = "one two three four five six seven eight nine ten"
TOKENS = (
    {"name": "radio room", "token": "operator-secret", "role": "operator"},
    {"name": "visitor", "token": "viewer-secret", "role": "viewer"},
)
ENGINE_TOKEN = "engine-secret"


@pytest.fixture(scope="module")
def calls() -> bytes:
    return wav(spoken_phrases(["alpha one proceed to gate seven"] * 3, pause_s=2.5)[0])


@asynccontextmanager
async def both(folder: Path, engine: FakeEngine) -> AsyncIterator[tuple[Desk, str]]:
    """8082 in front of 8081; the address of 8081."""
    settings = EngineConfig(token=ENGINE_TOKEN, stop_grace_s=1, batch_max=1)
    async with TestServer(create_app(settings, fake_backend(engine))) as server:
        address = str(server.make_url("")).rstrip("/")
        parts: dict[str, Any] = {"tokens": TOKENS, "engine_url": address, "engine_token": ENGINE_TOKEN}
        async with running_desk(a_config(folder, **parts)) as desk:
            await _until_ready(desk, address)
            yield desk, address


async def _until_ready(desk: Desk, address: str) -> None:
    while True:
        headers = {"Authorization": f"Bearer {ENGINE_TOKEN}"}
        async with desk.client.get(f"{address}/ready", headers=headers) as answer:
            if answer.status == 200:
                return
        await asyncio.sleep(0.05)


def openai_of(url: str, key: str = "operator-secret") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=30)


async def ask(client: openai.AsyncOpenAI, data: bytes, **more: Any) -> Any:
    return await client.audio.transcriptions.create(model="whisper-1", file=("night.wav", data), **more)


async def test_every_format_is_the_same_as_from_the_engine_itself(tmp_path: Path, calls: bytes) -> None:
    async with (
        both(tmp_path, FakeEngine(script_of(SAID))) as (desk, engine),
        openai_of(desk.url) as client,
        openai_of(engine, ENGINE_TOKEN) as direct,
    ):
        for form in ("json", "text", "srt", "vtt", "verbose_json"):
            given, expected = [
                await one.audio.transcriptions.with_raw_response.create(
                    model="gpt-transcribe",
                    file=("night.wav", calls),
                    response_format=form,
                    extra_body={"languages": ["en", "ko"], "keywords": ["gate seven"]},
                )
                for one in (client, direct)
            ]
            assert given.http_response.text == expected.http_response.text != "", form
            for name in ("Content-Type", "X-Audio-Complete"):
                assert given.headers.get(name) == expected.headers.get(name)
        answer = await ask(client, calls)
        assert [one.code for one in answer.languages] == ["en"]
        (model,) = (await client.models.list()).data
        assert model.id == "fake"
        named = await client.models.retrieve("Systran/faster-whisper-small")
        assert (named.id, named.model_dump()["served_by"]) == ("Systran/faster-whisper-small", "fake")
        lines = await desk.app[RECORD].store.read(lambda connection: records.audit_page(connection, 100))
        assert {(line.who, line.action) for line in lines} == {("radio room", "transcribed file")}
        assert len(lines) == 6


async def test_translations_are_the_same_as_from_the_engine_itself(tmp_path: Path, calls: bytes) -> None:
    engine = FakeEngine(script_of(SAID), can_translate=True)
    async with (
        both(tmp_path, engine) as (desk, address),
        openai_of(desk.url) as client,
        openai_of(address, ENGINE_TOKEN) as direct,
    ):
        for form in ("json", "text", "srt", "vtt", "verbose_json"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # OpenAI itself ends this call in 2027
                given, expected = [
                    await one.audio.translations.with_raw_response.create(
                        model="whisper-1", file=("night.wav", calls), response_format=form, prompt="radio"
                    )
                    for one in (client, direct)
                ]
            assert given.http_response.text == expected.http_response.text != "", form
            for name in ("Content-Type", "X-Audio-Complete"):
                assert given.headers.get(name) == expected.headers.get(name)
        assert json.loads(given.http_response.text)["task"] == "translate"
        with pytest.raises(openai.BadRequestError) as bad, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            more = {"language": "ko"}
            await client.audio.translations.create(model="x", file=("a.wav", calls), extra_body=more)
        assert (bad.value.code, bad.value.param) == ("bad_field", "language")
        lines = await desk.app[RECORD].store.read(lambda connection: records.audit_page(connection, 100))
        assert {(line.who, line.action) for line in lines} == {("radio room", "translated file")}


async def test_a_stream_comes_while_the_engine_still_works(tmp_path: Path, calls: bytes) -> None:
    engine = FakeEngine(script_of(SAID * 3), decode_s=0.15)
    async with both(tmp_path, engine) as (desk, _), openai_of(desk.url) as client:
        warm_up = engine.calls
        events, decoded = [], []
        async for event in await ask(client, calls, stream=True):
            events.append(event)
            decoded.append(engine.calls - warm_up)
        assert events[-1].type == "transcript.text.done"
        assert events[-1].text == "".join(event.delta for event in events[:-1]) != ""
        assert [one.code for one in events[-1].languages] == ["en"]
        assert decoded[0] < decoded[-1]


async def test_errors_have_openais_form(tmp_path: Path, calls: bytes) -> None:
    async with both(tmp_path, FakeEngine(script_of(SAID))) as (desk, _):
        async with openai_of(desk.url) as client:
            with pytest.raises(openai.BadRequestError, match="does not tell speakers apart") as bad:
                await ask(client, calls, response_format="diarized_json")
            assert (bad.value.code, bad.value.param) == ("not_supported", "response_format")
            with pytest.raises(openai.BadRequestError) as bad:
                await ask(client, calls, extra_body={"languages": ["en", "klingon"]})
            assert (bad.value.code, bad.value.param) == ("unknown_language", "languages")
            with pytest.raises(openai.APIStatusError) as odd:
                await ask(client, b"no audio at all")
            assert (odd.value.status_code, odd.value.type) == (415, "invalid_request_error")
            with pytest.raises(openai.NotFoundError, match="cannot translate into English"):
                await client.post("/audio/translations", cast_to=object, files={"file": calls})
        async with openai_of(desk.url, "viewer-secret") as client:
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await ask(client, calls)
            assert (refused.value.code, refused.value.type) == ("role_too_low", "permission_error")
            assert (await client.models.list()).data
        async with openai_of(desk.url, "no such key") as client:
            with pytest.raises(openai.AuthenticationError) as unknown:
                await ask(client, calls)
            assert (unknown.value.code, unknown.value.param) == ("token_wrong", None)


async def test_without_an_engine_the_client_is_told_to_come_again(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk, openai_of(desk.url) as client:
        with pytest.raises(openai.InternalServerError) as away:
            await ask(client, b"audio")
        assert (away.value.status_code, away.value.type) == (503, "server_error")
        assert away.value.response.headers["Retry-After"] == "2"


# --- a stand-in engine that shows what arrives ---------------------------------------------------------


class StandIn:
    """An engine whose handler is the test's."""

    def __init__(self, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        self._answer = answer
        self.received = bytearray()
        self.headers: dict[str, str] = {}
        self.ended = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers = dict(request.headers)
        try:
            return await self._answer(request)
        finally:
            self.ended.set()


@asynccontextmanager
async def before(stand_in: StandIn, aiohttp_client: Any, **settings: Any) -> AsyncIterator[Any]:
    app = web.Application(client_max_size=10**9)
    app.router.add_post("/v1/audio/transcriptions", stand_in.handle)
    async with TestServer(app, handler_cancellation=True) as server:
        door = EngineFilesDoor(str(server.make_url("")), ENGINE_TOKEN, **settings)
        yield await aiohttp_client(app_of(door))


PATH = "/v1/audio/transcriptions"


async def test_a_file_goes_through_piece_by_piece(aiohttp_client: Any) -> None:
    async def read(request: web.Request) -> web.StreamResponse:
        async for piece in request.content.iter_any():
            stand_in.received += piece
        return web.json_response({"text": "heard"})

    stand_in = StandIn(read)
    gone_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await until(lambda: stand_in.received == b"first")
        gone_on.set()
        yield b"second"

    async with before(stand_in, aiohttp_client) as client:
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Authorization": "Bearer mine"}
        answer = await client.post(PATH, data=body(), headers=headers)
        assert await answer.json() == {"text": "heard"}
        assert gone_on.is_set() and stand_in.received == b"firstsecond"
        assert stand_in.headers["Authorization"] == f"Bearer {ENGINE_TOKEN}"
        assert stand_in.headers["Content-Type"] == headers["Content-Type"]


async def test_a_refusal_arrives_while_the_file_is_still_being_sent(aiohttp_client: Any) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"code": "too_large"}}, status=413)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(600):
            yield bytes(10_000)
            await asyncio.sleep(0.01)

    async with before(StandIn(refuse), aiohttp_client) as client:
        answer = await client.post(PATH, data=endless(), timeout=aiohttp.ClientTimeout(total=5))
        assert (answer.status, await answer.json()) == (413, {"error": {"code": "too_large"}})


async def test_when_the_caller_leaves_the_engine_is_told(aiohttp_client: Any) -> None:
    async def wait(request: web.Request) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(30)
        return web.Response()

    stand_in = StandIn(wait)
    async with before(stand_in, aiohttp_client) as client:
        with pytest.raises(TimeoutError):
            await client.post(PATH, data=b"audio", timeout=aiohttp.ClientTimeout(total=0.3))
        await asyncio.wait_for(stand_in.ended.wait(), 5)


async def test_a_response_that_breaks_off_is_no_whole_response(aiohttp_client: Any) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"data: half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with before(StandIn(break_off), aiohttp_client) as client:
        answer = await client.post(PATH, data=b"audio")
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_no_more_files_than_places(aiohttp_client: Any) -> None:
    free = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        await free.wait()
        return web.Response()

    async with before(StandIn(wait), aiohttp_client, files_max=1) as client:
        first = asyncio.create_task(client.post(PATH, data=b"audio"))
        await asyncio.sleep(0)
        second = await _refused(client)
        assert float(second.headers["Retry-After"]) == 2
        free.set()
        assert (await first).status == 200


async def _refused(client: Any) -> Any:
    """The first response 429: the request before needs a moment to arrive."""
    for _ in range(100):
        answer = await client.post(PATH, data=b"audio", timeout=aiohttp.ClientTimeout(total=0.2))
        if answer.status == 429:
            return answer
    raise AssertionError("no request was refused")


async def test_a_token_that_the_engine_does_not_accept_is_not_the_callers_fault(aiohttp_client: Any) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPUnauthorized

    async with before(StandIn(refuse), aiohttp_client) as client:
        answer = await client.post(PATH, data=b"audio")
        assert (answer.status, (await answer.json())["error"]["code"]) == (502, "engine_refuses")
