"""8081 over HTTP: windows by WebSocket, files, health, readiness, metrics, models, warm-up.

Handles sockets, status codes and access; every window goes to the service. The port opens before the model is
loaded, so /health responds at once and /ready reports the progress. Invariant: every 4xx and 5xx has the body
`{"error": {"code", "message"}}`, and a bad frame affects only its sender.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from host_stt import __version__
from host_stt.config import EngineConfig
from host_stt.contract import Transcript, WindowError, error_body
from host_stt.errors import AddressInUse, AddressRefused
from host_stt.files.door import FilesDoor
from host_stt.gate import EngineGate
from host_stt.live_decodes import LiveFigures
from host_stt.models import warm_up_window
from host_stt.models_door import ModelsDoor
from host_stt.prompt_door import PromptDoor
from host_stt.service import Backend, EngineService
from host_stt.window_socket import WindowSocket
from host_stt_common.accepting import CONNECTIONS, BodyStalled, CountedSite, count_request
from host_stt_common.connections import ConnectionLimits, Connections
from host_stt_common.descriptors import network_limit
from host_stt_common.garbage import freeze_startup_objects
from host_stt_common.openai_errors import openai_error_body
from host_stt_common.pages import is_loopback
from host_stt_common.paths import ignore_spare_slashes
from host_stt_common.serving import EncodedBody, make_runner, refuse_encoded_body
from host_stt_common.sockets import bind_tcp

logger = logging.getLogger(__name__)

SERVICE: web.AppKey[EngineService] = web.AppKey("service", EngineService)
SOCKETS: web.AppKey[set[WindowSocket]] = web.AppKey("sockets", set)
BODY_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 1000
"""TCP connections at the same time; 8082 needs a few, programs that send recordings need one each."""
BACKLOG = 1024
RETRY_AFTER_S = 2
OPENAI_PATHS = ("/v1/audio/", "/v1/models", "/audio/")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "wrong_type",
    426: "websocket_only",
    429: "too_many",
    500: "internal",
    503: "not_ready",
}


def check_address(host: str, has_token: bool, open_to_all: bool) -> None:
    """Raises AddressRefused if others could reach the port, and neither a token nor `auth: none` is set."""
    if has_token or open_to_all or is_loopback(host):
        return
    raise AddressRefused(
        f"refusing to listen on {host} without a token: set auth.token, or write auth: none if everyone "
        f"who can reach this address may use the server"
    )


def create_app(
    config: EngineConfig, backend: Backend | None = None, on_fatal: Callable[[str], None] | None = None
) -> web.Application:
    """The application; its service starts and stops with it."""
    app = web.Application(
        middlewares=[count_request, ignore_spare_slashes, errors_as_json, refuse_encoded_body],
        client_max_size=BODY_BYTES_MAX,
    )
    EngineGate(config).install(app)
    app[SERVICE] = EngineService(config, backend, on_fatal)
    app[SOCKETS] = set()
    app[CONNECTIONS] = Connections(
        ConnectionLimits(total=CONNECTIONS_MAX, descriptors=network_limit()), clock=time.monotonic
    )
    app.router.add_get("/v1/windows", windows, allow_head=False)
    app.router.add_post("/warmup", warmup)
    ModelsDoor(app[SERVICE]).add_to(app)
    PromptDoor(app[SERVICE]).add_to(app)
    FilesDoor(app[SERVICE]).add_to(app)
    app.router.add_get("/health", health)
    app.router.add_get("/ready", ready)
    app.router.add_get("/metrics", metrics)
    app.cleanup_ctx.append(_service_life)
    return app


async def _service_life(app: web.Application) -> Any:
    service = app[SERVICE]
    service.start()
    yield
    # aiohttp gets here after its own shutdown. `serve` has stopped the service before; then this does
    # nothing.
    await asyncio.to_thread(service.stop)


# --- routes -------------------------------------------------------------------------------------------


async def windows(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise web.HTTPUpgradeRequired(text="/v1/windows is a WebSocket")
    if "Origin" in request.headers:
        # Only browsers send Origin with a WebSocket, and pages must not use this one.
        raise web.HTTPForbidden(text="/v1/windows is not for browsers")
    connection = WindowSocket(request.app[SERVICE])
    sockets = request.app[SOCKETS]
    sockets.add(connection)
    try:
        return await connection.run(request)
    finally:
        sockets.discard(connection)


async def warmup(request: web.Request) -> web.Response:
    """Decode the test clip now, so that the first real window does not have to wait for a warm-up."""
    service = request.app[SERVICE]
    if not service.state.now.is_ready:
        return _not_ready(service)
    answered: asyncio.Future[Transcript | WindowError] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def deliver(answer: Transcript | WindowError) -> None:
        loop.call_soon_threadsafe(lambda: None if answered.done() else answered.set_result(answer))

    began = time.monotonic()
    service.submit(warm_up_window(), "warmup", deliver)
    answer = await answered
    if isinstance(answer, WindowError):
        return _error(503, answer.message, code=answer.code)
    took_ms = round((time.monotonic() - began) * 1000)
    return web.json_response({"model": answer.model, "took_ms": took_ms, "decode_ms": answer.decode_ms})


async def health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "version": __version__})


async def ready(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    if not service.state.now.is_ready:
        return _not_ready(service)
    return web.json_response(_ready_body(service))


async def metrics(request: web.Request) -> web.Response:
    service = request.app[SERVICE]
    body = service.metrics.exposition(service.statistics())
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _ready_body(service: EngineService) -> dict[str, Any]:
    body = service.state.now.body()
    statistics = service.statistics()
    if statistics:
        body["queue"] = {
            "finals": statistics.queue.finals,
            "interims": statistics.queue.interims,
            "oldest_ms": round(statistics.oldest_wait_s * 1000),
            "worst_ms": round(statistics.worst_wait_s * 1000),
            **_live_body(statistics.live),
            "shed": sum(statistics.queue.shed.values()),
            "load": statistics.queue.load.name.lower(),
        }
    if loads := service.gpu_loads:
        body["gpu_loads"] = list(loads)
    return body


def _live_body(live: LiveFigures) -> dict[str, Any]:
    """Of live windows: waits of the last minute, and sums since the start."""
    return {
        "waits": live.waits,
        "p50_ms": None if live.p50_s is None else round(live.p50_s * 1000),
        "p95_ms": None if live.p95_s is None else round(live.p95_s * 1000),
        "decoded_finals": live.finals,
        "decoded_interims": live.interims,
        "decoding_s": round(live.decoding_s, 3),
    }


def _not_ready(service: EngineService) -> web.Response:
    now = service.state.now
    return _error(503, now.message, code=f"engine_{now.phase.value}", extra=_ready_body(service))


# --- errors and who may call ---------------------------------------------------------------------------


@web.middleware
async def errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        message = error.text if error.text and not error.text.startswith(f"{error.status}:") else error.reason
        code = error.code if isinstance(error, EncodedBody) else None
        text = f"{request.method} {_path(request)}: {message}"
        response = _error(error.status, text, code=code, is_openai=_is_openai(request))
        for name in ("Allow", "WWW-Authenticate"):
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response
    except BodyStalled as error:
        return _error(408, str(error), code="upload_stalled", is_openai=_is_openai(request))
    except ConnectionError:
        raise  # the caller disconnected; no response is possible
    except Exception:  # a bug: log the traceback, send a plain error, keep serving others
        logger.exception("%s %s failed", request.method, _path(request))
        text = "the server failed on this request; its log has the details"
        return _error(500, text, is_openai=_is_openai(request))


def _is_openai(request: web.Request) -> bool:
    """Whether OpenAI's clients send this request."""
    return _path(request).startswith(OPENAI_PATHS)


def _path(request: web.Request) -> str:
    """The path as received, still escaped, so that a caller cannot add lines to the log."""
    return request.rel_url.raw_path[:200]


def _error(
    status: int,
    message: str,
    *,
    code: str | None = None,
    extra: dict[str, Any] | None = None,
    is_openai: bool = False,
) -> web.Response:
    """is_openai: with the further fields that OpenAI's clients read."""
    code = code or _CODES.get(status, "error")
    error = openai_error_body(code, message, status) if is_openai else error_body(code, message)
    body = {**(extra or {}), **error}
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else {}
    return web.json_response(body, status=status, headers=headers)


# --- the process ---------------------------------------------------------------------------------------


def engine_main(config: EngineConfig) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status; raises StartError if it cannot start."""
    return asyncio.run(serve(config, on_port=lambda _: freeze_startup_objects()))


async def serve(
    config: EngineConfig,
    backend: Backend | None = None,
    on_port: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Listen, load, serve, and stop in order: waiting windows are finished before the sockets close.

    Runs until `stop` is set; without `stop`, until SIGTERM or SIGINT.
    """
    check_address(config.host, config.token is not None, config.open_to_all)
    if stop is None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    listeners = _listen(config)
    app = create_app(config, backend)
    # No access log, because it would contain tokens that are sent as ?token=.
    runner = make_runner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        for listener in listeners:
            await CountedSite(runner, listener, app[CONNECTIONS], BACKLOG).start()
        port = listeners[0].getsockname()[1]
        logger.info("the engine listens on http://%s:%d", config.host, port)
        if on_port:
            on_port(port)
        await stop.wait()
        logger.info("stopping: finishing waiting windows, at most %g s", config.stop_grace_s)
        await asyncio.to_thread(app[SERVICE].stop)
        await asyncio.gather(*(connection.close() for connection in app[SOCKETS]))
    finally:
        await runner.cleanup()
    return 0


def _listen(config: EngineConfig) -> tuple[socket.socket, ...]:
    """Listening sockets, one for each address.

    Raises AddressInUse or AddressRefused with one plain sentence.
    """
    try:
        listeners = bind_tcp(config.host, config.port)
        for listener in listeners:
            listener.listen(BACKLOG)
            listener.setblocking(False)
        return listeners
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"port {config.port} on {config.host} is in use; stop what listens there, or choose another "
                "engine.port"
            ) from error
        raise AddressRefused(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error}"
        ) from error
