from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from host_stt import window_socket
from host_stt.config import EngineConfig
from host_stt.contract import (
    FRAME_BYTES_MAX,
    WINDOW_SAMPLES_MAX,
    Answer,
    Priority,
    Transcript,
    Window,
    WindowError,
    decode_answer,
    encode_window,
)
from host_stt.download import Progress
from host_stt.engines.fake import FakeEngine, FakeFault, script_of
from host_stt.errors import AddressInUse, AddressRefused, ModelNotFound
from host_stt.metrics import METRICS
from host_stt.models import STARTER_FOLDER, ResolvedModel
from host_stt.server import check_address, create_app, engine_main, serve
from host_stt.service import Backend
from tests.support.engine_process import fake_backend
from tests.support.exposition import differences
from tests.support.hub import FakeHub
from tests.support.polling import until
from tests.support.speech import padded, say
from tests.support.windows import window

Client = TestClient[Any, Any]
SAID = "one two three"


@asynccontextmanager
async def serving(
    backend: Backend | None = None, *, wait: bool = True, engine: FakeEngine | None = None, **settings: Any
) -> AsyncIterator[Client]:
    """A client of the app on loopback, ready unless wait is False."""
    settings.setdefault("stop_grace_s", 1)
    backend = backend or fake_backend(engine or FakeEngine(script_of(SAID)))
    client = TestClient(TestServer(create_app(EngineConfig(**settings), backend)))
    async with client:
        if wait:
            await until_ready(client, settings.get("token"))
        yield client


async def until_ready(client: Client, token: str | None = None) -> dict[str, Any]:
    """The body of /ready once it answers 200."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def ready() -> dict[str, Any] | None:
        answer = await client.get("/ready", headers=headers)
        return await answer.json() if answer.status == 200 else None

    return await until(ready, what="/ready answers 200")


async def next_state(client: Client, after: str) -> dict[str, Any]:
    """The body of /ready once it says another state."""

    async def moved_on() -> dict[str, Any] | None:
        body: dict[str, Any] = await (await client.get("/ready")).json()
        return body if body["state"] != after else None

    return await until(moved_on, what=f"another state than {after}")


async def ask(ws: aiohttp.ClientWebSocketResponse, *windows: Window) -> list[Answer]:
    """Send all, then read as many answers."""
    for w in windows:
        await ws.send_bytes(encode_window(w))
    return [decode_answer((await ws.receive(timeout=20)).data) for _ in windows]


async def error_of(answer: aiohttp.ClientResponse) -> tuple[int, str, str]:
    body = await answer.json()
    assert answer.content_type == "application/json"
    return answer.status, body["error"]["code"], body["error"]["message"]


# --- windows -------------------------------------------------------------------------------------------


async def test_windows_go_in_and_transcripts_come_out_by_id() -> None:
    async with serving() as client, client.ws_connect("/v1/windows") as ws:
        sent = [window(f"w{i}", channel=f"C{i}") for i in range(20)]
        answers = await ask(ws, *sent)
        assert {a.id for a in answers} == {w.id for w in sent}
        assert all(isinstance(a, Transcript) and a.text == "one two three" for a in answers)


async def test_a_bad_frame_gets_its_own_error_and_the_next_window_works() -> None:
    async with serving() as client, client.ws_connect("/v1/windows") as ws:
        good = encode_window(window("good"))
        await ws.send_bytes(b"nonsense")
        await ws.send_bytes(good[:-1])
        await ws.send_str("text")
        await ws.send_bytes(good)
        answers = [decode_answer((await ws.receive(timeout=10)).data) for _ in range(4)]
        codes = [(a.id, a.code) for a in answers if isinstance(a, WindowError)]
        assert codes == [("", "truncated"), ("good", "truncated"), ("", "not_a_window")]
        assert [a.id for a in answers if isinstance(a, Transcript)] == ["good"]


async def test_a_window_with_a_wrong_field_is_answered_by_its_id() -> None:
    async with serving() as client, client.ws_connect("/v1/windows") as ws:
        frame = encode_window(window("w7")).replace(b'"sample_rate":16000', b'"sample_rate":44100')
        await ws.send_bytes(frame)
        answer = decode_answer((await ws.receive(timeout=10)).data)
        assert isinstance(answer, WindowError)
        assert (answer.id, answer.code, answer.is_retryable) == ("w7", "wrong_sample_rate", False)


async def test_the_largest_window_passes_and_a_frame_beyond_the_limit_closes_its_connection_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(window_socket, "FRAME_BYTES_READ", FRAME_BYTES_MAX + 1)
    async with serving() as client:
        async with client.ws_connect("/v1/windows") as ws:
            large = window(
                "large", samples=np.zeros(WINDOW_SAMPLES_MAX, np.float32), terms=["x" * 200] * 1000
            )
            assert isinstance((await ask(ws, large))[0], Transcript)
            await ws.send_bytes(bytes(FRAME_BYTES_MAX + 2))
            assert (await ws.receive(timeout=10)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
            assert ws.close_code == 1009
        async with client.ws_connect("/v1/windows") as ws:
            assert isinstance((await ask(ws, window()))[0], Transcript)


class Held(FakeEngine):
    """Warms up by itself, then waits for the test before each decode."""

    def __init__(self) -> None:
        super().__init__(script_of(SAID))
        self.go = threading.Event()

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        if self.calls >= 2:
            self.go.wait(20)
        return super().decode(windows)


async def test_a_newer_interim_is_decoded_and_the_older_one_shed() -> None:
    engine = Held()
    async with serving(engine=engine) as client, client.ws_connect("/v1/windows") as ws:
        interim = Priority.INTERIM
        for w in (window("busy"), window("old", priority=interim), window("new", priority=interim)):
            await ws.send_bytes(encode_window(w))
        shed = decode_answer((await ws.receive(timeout=10)).data)
        assert isinstance(shed, WindowError) and (shed.id, shed.code) == ("old", "shed")
        engine.go.set()
        rest = [decode_answer((await ws.receive(timeout=10)).data) for _ in range(2)]
        assert [(a.id, isinstance(a, Transcript)) for a in rest] == [("busy", True), ("new", True)]


async def test_a_failed_decode_is_answered_as_retryable_and_the_next_works() -> None:
    # Calls 1 and 2 are the warm-up's.
    engine = FakeEngine(script_of(SAID), fault=FakeFault.RAISE, fault_on_call=3)
    async with serving(engine=engine) as client, client.ws_connect("/v1/windows") as ws:
        (failed,) = await ask(ws, window())
        assert isinstance(failed, WindowError) and (failed.code, failed.is_retryable) == (
            "engine_failed",
            True,
        )
        assert isinstance((await ask(ws, window()))[0], Transcript)


async def test_the_waiting_windows_of_a_lost_connection_are_dropped() -> None:
    engine = Held()
    async with serving(engine=engine) as client:
        async with client.ws_connect("/v1/windows") as gone:
            for i in range(30):
                await gone.send_bytes(encode_window(window(f"w{i}")))
        await until_metric(client, "host_stt_engine_connections 0.0")
        engine.go.set()
        async with client.ws_connect("/v1/windows") as ws:
            assert isinstance((await ask(ws, window("mine")))[0], Transcript)
        assert engine.calls <= 4  # two of the warm-up, the one under way, and mine


async def until_metric(client: Client, line: str) -> None:
    async def is_shown() -> bool:
        return line in await (await client.get("/metrics")).text()

    await until(is_shown, what=line)


async def until_failed(client: Client) -> tuple[int, str]:
    """Status and sentence of /ready once the engine has failed for good."""

    async def failed() -> tuple[int, str] | None:
        status, code, message = await error_of(await client.get("/ready"))
        return (status, message) if code == "engine_failed" else None

    return await until(failed)


async def test_two_connections_can_use_the_same_ids_and_channels() -> None:
    async with serving() as client:
        async with client.ws_connect("/v1/windows") as a, client.ws_connect("/v1/windows") as b:
            answers = await asyncio.gather(ask(a, window("w1")), ask(b, window("w1")))
            assert [[x.id for x in each] for each in answers] == [["w1"], ["w1"]]


async def test_a_client_that_receives_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host_stt.window_socket.ANSWERS_WAITING_MAX", 50)
    async with serving() as client:
        host, port = client.host, client.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"GET /v1/windows HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        long_id = "가" * 64
        text = masked_text(json.dumps({"not": long_id}))
        with pytest.raises(ConnectionError):
            for _ in range(200_000):
                writer.write(text)
                await writer.drain()
        writer.close()
        async with client.ws_connect("/v1/windows") as ws:
            assert isinstance((await ask(ws, window()))[0], Transcript)


def masked_text(text: str) -> bytes:
    """A WebSocket text frame as a client sends it, with a mask of zeros."""
    data = text.encode()
    return bytes([0x81, 0x80 | 126]) + len(data).to_bytes(2, "big") + b"\0\0\0\0" + data


# --- states --------------------------------------------------------------------------------------------


class Slow:
    """A backend whose steps wait for the test."""

    def __init__(self) -> None:
        self.resolved = threading.Event()
        self.loaded = threading.Event()
        self.backend = Backend(self._resolve, self._load)

    def _resolve(
        self, config: EngineConfig, on_progress: Callable[[Progress], None], on_measuring: object
    ) -> ResolvedModel:
        on_progress(Progress("model.bin", 250_000_000, 484_000_000))
        self.resolved.wait(20)
        return ResolvedModel(STARTER_FOLDER, "starter", "the hub is away", is_starter=True)

    def _load(self, config: EngineConfig, model: ResolvedModel) -> FakeEngine:
        self.loaded.wait(20)
        return FakeEngine(script_of(SAID))


async def test_health_responds_at_once_and_ready_reports_the_progress() -> None:
    slow = Slow()
    async with serving(slow.backend, wait=False) as client:
        assert (await client.get("/health")).status == 200
        body = await next_state(client, after="starting")
        assert (body["state"], body["ready"]) == ("downloading", False)
        assert body["progress"] == {
            "file": "model.bin",
            "done_bytes": 250_000_000,
            "total_bytes": 484_000_000,
        }
        assert body["error"] == {"code": "engine_downloading", "message": "downloading 250 of 484 MB"}
        slow.resolved.set()
        body = await next_state(client, after="downloading")
        assert (body["state"], body["model"], body["is_starter"]) == ("loading", "starter", True)
        answer = await client.get("/ready")
        assert answer.status == 503 and answer.headers["Retry-After"]
        slow.loaded.set()
        body = await until_ready(client)
        assert body["model_reason"] == "the hub is away" and body["languages"] == ["en", "ko"]
        assert body["queue"] == {
            **{"finals": 0, "interims": 0, "oldest_ms": 0, "worst_ms": 0},
            **{"shed": 0, "load": "normal", "waits": 0, "p50_ms": None, "p95_ms": None},
            **{"decoded_finals": 0, "decoded_interims": 0, "decoding_s": 0.0},
        }
        assert "gpu_loads" not in body


async def test_a_window_before_the_engine_is_ready_gets_a_retryable_error() -> None:
    slow = Slow()
    async with serving(slow.backend, wait=False) as client:
        async with client.ws_connect("/v1/windows") as ws:
            (answer,) = await ask(ws, window())
            assert isinstance(answer, WindowError)
            assert (answer.code, answer.is_retryable) == ("engine_starting", True)
        assert await error_of(await client.post("/warmup")) == (
            503,
            "engine_downloading",
            "downloading 250 of 484 MB",
        )
        slow.resolved.set()
        slow.loaded.set()


def failing(error: Exception) -> Backend:
    def resolve(config: EngineConfig, on_progress: object, on_measuring: object) -> ResolvedModel:
        raise error

    return Backend(resolve, lambda config, model: FakeEngine())


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModelNotFound("there is no model 'smol'"), "there is no model 'smol'"),
        (RuntimeError("libcublas.so.12 is not found"), "could not be loaded: libcublas.so.12 is not found"),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_reported_in_one_sentence(
    error: Exception, sentence: str
) -> None:
    async with serving(failing(error), wait=False) as client:
        status, message = await until_failed(client)
        assert status == 503 and sentence in message
        assert (await client.get("/health")).status == 200


async def test_an_engine_without_text_for_the_clip_does_not_become_ready() -> None:
    model = ResolvedModel(STARTER_FOLDER, "starter", "test", is_starter=True)
    backend = Backend(lambda config, on_progress, on_measuring: model, lambda config, model: FakeEngine())
    async with serving(backend, wait=False) as client:
        _, message = await until_failed(client)
        assert "gives no text for the test clip" in message


# --- the other routes ------------------------------------------------------------------------------------


async def test_models_warmup_and_metrics() -> None:
    async with serving() as client:
        listed = await (await client.get("/v1/models")).json()
        assert listed["object"] == "list"
        assert [(m["id"], m["is_starter"], m["languages"]) for m in listed["data"]] == [
            ("fake", False, ["en", "ko"])
        ]
        warm = await (await client.post("/warmup")).json()
        assert warm["model"] == "fake" and warm["took_ms"] >= 0
        async with client.ws_connect("/v1/windows") as ws:
            await ask(ws, window())
            text = await (await client.get("/metrics")).text()
        for line in (
            'host_stt_engine_windows_total{outcome="text",priority="final"} 2.0',
            "host_stt_engine_connections 1.0",
            "host_stt_engine_ready 1.0",
            'host_stt_engine_waiting_windows{priority="final"} 0.0',
            'host_stt_engine_decode_seconds_count{priority="final"} 2.0',
            'host_stt_engine_queue_wait_seconds_count{priority="final"} 2.0',
            "host_stt_engine_model_info{",
            "host_stt_engine_busy_seconds_total",
            "process_resident_memory_bytes",
        ):
            assert line in text
        assert differences(text, METRICS) == []


@pytest.mark.parametrize("name", ["whisper-1", "Systran/faster-whisper-small", "Systran%2Fsmall"])
async def test_any_model_can_be_looked_up_as_any_may_be_named(name: str) -> None:
    async with serving() as client:
        answer = await client.get(f"/v1/models/{name}")
        body = await answer.json()
        assert (answer.status, body["object"], body["served_by"]) == (200, "model", "fake")
        assert body["id"] == name.replace("%2F", "/") and body["created"] > 1_700_000_000


@pytest.mark.parametrize("language", ["en-US", "ko_KR", "Korean", "AUTO"])
async def test_a_window_may_name_its_language_as_clients_do(language: str) -> None:
    async with serving() as client, client.ws_connect("/v1/windows") as ws:
        assert isinstance((await ask(ws, window(language=language)))[0], Transcript)


async def test_trailing_slashes_lead_to_the_same_route() -> None:
    async with serving(token="s3cret") as client:
        assert (await client.get("/health/")).status == 200
        assert (await client.get("/v1/models/")).status == 401
        headers = {"Authorization": "Bearer s3cret"}
        listed = await (await client.get("/v1//models/", headers=headers)).json()
        assert [model["id"] for model in listed["data"]] == ["fake"]
        assert (await client.post("/v1/audio/transcriptions/", headers=headers)).status == 415
        async with client.ws_connect("/v1/windows/", headers=headers) as ws:
            assert isinstance((await ask(ws, window()))[0], Transcript)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("GET", "/warmup", 405, "method_not_allowed"),
        ("DELETE", "/v1/windows", 405, "method_not_allowed"),
        ("GET", "/v1/windows", 426, "websocket_only"),
        ("POST", "/v1/audio/translations", 404, "not_supported"),
    ],
)
async def test_every_error_has_the_same_body(method: str, path: str, status: int, code: str) -> None:
    async with serving() as client:
        got, error, message = await error_of(await client.request(method, path))
        assert (got, error) == (status, code) and message


async def test_a_browser_page_may_not_send_windows() -> None:
    async with serving() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.ws_connect("/v1/windows", headers={"Origin": "https://evil.example"})
        assert caught.value.status == 403


async def test_without_the_token_only_health_answers() -> None:
    async with serving(token="s3cret") as client:
        assert (await client.get("/health")).status == 200
        for path in ("/ready", "/metrics", "/v1/models", "/v1/windows"):
            answer = await client.get(path)
            assert (await error_of(answer))[:2] == (401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for wrong in ("Bearer nope", "Basic s3cret", "s3cret", "Bearer s3cret x"):
            assert (await client.get("/ready", headers={"Authorization": wrong})).status == 401
        assert (await client.get("/ready?token=nope")).status == 401
        assert (await client.get("/ready?token=s3cret")).status == 200
        headers = {"Authorization": "Bearer s3cret"}
        async with client.ws_connect("/v1/windows", headers=headers) as ws:
            assert isinstance((await ask(ws, window()))[0], Transcript)


# --- addresses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    check_address(host, has_token=False, open_to_all=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "", "my-host", "localhost.evil.example"])
def test_any_other_address_needs_a_token_or_the_word_none(host: str) -> None:
    with pytest.raises(AddressRefused, match=r"auth\.token"):
        check_address(host, has_token=False, open_to_all=False)
    check_address(host, has_token=True, open_to_all=False)
    check_address(host, has_token=False, open_to_all=True)


def test_a_port_in_use_is_one_plain_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressInUse, match=f"port {port} on 127.0.0.1 is in use") as caught:
            engine_main(EngineConfig(port=port, model="starter"))
        assert caught.value.exit_status == 2


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(AddressRefused, match="cannot listen on 192.0.2.1"):
        engine_main(EngineConfig(host="192.0.2.1", port=0, token="t", model="starter"))


@pytest.mark.model
async def test_auto_downloads_small_shows_progress_and_serves_it(
    hub_of: Callable[..., FakeHub], tmp_path: Path
) -> None:
    hub_of()
    app = create_app(EngineConfig(models_dir=tmp_path, device="cpu"))
    async with TestClient(TestServer(app)) as client:
        body = await until_ready(client)
        assert (body["model"], body["is_starter"]) == ("small", False)
        assert [(one["name"], one["is_chosen"]) for one in body["models"]] == [("small", True)]
        assert body["models"][0]["final_ms"] > 0 and body["channels_expected"] == 4
        async with client.ws_connect("/v1/windows") as ws:
            (read,) = await ask(
                ws, window(samples=padded(say("alpha one proceed to gate seven")), language="en")
            )
            assert isinstance(read, Transcript) and read.text == "alpha one proceed to gate seven"


async def test_two_colons_listen_on_both_families() -> None:
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    config = EngineConfig(host="::", port=0, token="t", model="starter")
    running = asyncio.create_task(serve(config, fake_backend(FakeEngine(())), listening.set_result, stop))
    try:
        port = await asyncio.wait_for(listening, 10)
        async with aiohttp.ClientSession() as http:
            for host in ("127.0.0.1", "[::1]"):
                async with http.get(f"http://{host}:{port}/health") as response:
                    assert response.status == 200, host
    finally:
        stop.set()
        await running
