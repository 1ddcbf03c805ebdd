"""Builds the 8082 process: makes every service once, and starts and stops them in order (`_steps`).

This module connects the services and has no other behaviour. `build_app` makes the application; `serve` runs
it on a port until it is stopped.
Invariant: a stop takes at most 8 s. New requests are refused, the last audio of every channel becomes finals,
and watchers get these finals before their connections are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

from aiohttp import web

from host_stt_common.accepting import CONNECTIONS
from host_stt_common.connections import ConnectionLimits, Connections
from host_stt_common.descriptors import network_limit
from host_stt_common.rates import FrameRates
from host_stt_common.serving import make_runner
from webrtc_host.assembly.record import add_jobs, add_people, add_readiness, add_record, make_review
from webrtc_host.assembly.routes import add_interfaces
from webrtc_host.assembly.statistics import add_statistics
from webrtc_host.config import MediaProcessConfig
from webrtc_host.desk.metrics import Metrics
from webrtc_host.desk.model_api import ChangeModel, ModelApi
from webrtc_host.events import ErrorCode, error_report
from webrtc_host.http import server as http
from webrtc_host.http.audit import AUDIT
from webrtc_host.http.auth import Gate, Key
from webrtc_host.http.limits import LimitsOfCallers
from webrtc_host.http.roles import Role
from webrtc_host.keys import (
    ALERTS,
    ARCHIVE,
    CONFIG,
    DATA_CHANNELS,
    JOB_QUEUE,
    JOB_RUNNER,
    LISTENING,
    MEANING,
    METRICS,
    ONE_PORT,
    READINESS,
    RECORD,
    RECORDED_CALLS,
    RECOVERY,
    REDACTIONS,
    REGISTRY,
    RESUME,
    RESUME_TOKENS,
    REVIEW,
    ROOMS,
    SEARCH,
    SHARES,
    SIMPLESTREAM,
    SIMULATION,
    SOCKETS,
    SPEECH,
    SUBMISSIONS,
    SUBSCRIBERS,
    SUGGESTIONS,
    SUMMARIES,
    UPLOADS,
    USUAL,
    WEBHOOKS,
    WYOMING,
)
from webrtc_host.life import Step, living, task
from webrtc_host.media.opus import libopus_works
from webrtc_host.services.glossary import GlossaryWatch
from webrtc_host.services.resume_tokens import ClaimChanges, ResumeTokenService
from webrtc_host.services.speech import SpeechService
from webrtc_host.session.channel import MakePipeline
from webrtc_host.session.resume import ResumeTokens
from webrtc_host.transport import direct_path as direct
from webrtc_host.transport import rtp_out, tap
from webrtc_host.transport.first_byte import OnePortSite
from webrtc_host.transport.host_addresses import HostAddresses
from webrtc_host.transport.one_port import OnePort
from webrtc_host.wires.pcm import PcmSocketDoor

logger = logging.getLogger(__name__)

FLUSH_S = 5.5
"""Time to transcribe the last audio of every channel at a stop; with everything else it stays under 8 s."""
SAVE_S = 0.5
"""Time to save the last events, before the watchers' connections are closed."""
HANDLERS_S = 0.3
"""Time for open requests, after everything else has ended."""
BACKLOG = 1024
BETWEEN_REQUESTS = 1000
"""Connections that may be open in addition to those with an open request (limits.connections)."""


def build_app(
    config: MediaProcessConfig,
    *,
    make_pipeline: MakePipeline | None = None,
    change_model: ChangeModel | None = None,
) -> web.Application:
    """The application with all its services, not listening yet.

    Each service is complete after its constructor, which gets the services made before it. make_pipeline:
    makes the pipeline of a channel; None: the speech service's, with the engine of the configuration.
    change_model: changes the engine's model; None: the engine runs elsewhere.
    """
    # Without the tap every packet would be lost, so with an unknown aiortc the server does not start.
    tap.self_test()
    direct.self_test()
    rtp_out.self_test()
    libopus_works()  # the log says at the start which decoder is used
    app = web.Application(client_max_size=config.limits.body_bytes)
    app[CONFIG] = config
    app[METRICS] = Metrics()
    app[SPEECH] = SpeechService(config)
    gate = _make_gate(config)
    app[CONNECTIONS] = _make_connections(config, gate)
    http.install(app, gate)
    add_record(app, make_pipeline or app[SPEECH].make_pipeline)
    add_people(app, gate)
    add_readiness(app)
    app[REVIEW] = make_review(app)
    add_jobs(app)
    changes = ClaimChanges()
    app[RESUME] = ResumeTokens(config.media.resume_s, on_change=changes.note, on_forgotten=changes.drop)
    app[RESUME_TOKENS] = ResumeTokenService(app[RESUME], changes, app[RECORD])
    app[SOCKETS] = PcmSocketDoor(app[REGISTRY], config.media, tokens=app[RESUME], rates=FrameRates())
    app[ONE_PORT] = OnePort(
        HostAddresses(config.media.announce), is_proxied=bool(config.media.trusted_proxies)
    )
    add_interfaces(app, ModelApi(app[READINESS].engine, change_model))
    add_statistics(app)

    async def life(app: web.Application) -> AsyncIterator[None]:
        async with living(_steps(app)):
            yield

    app.cleanup_ctx.append(life)
    app.on_shutdown.append(_stop)
    return app


def _steps(app: web.Application) -> Sequence[Step]:
    """The start and stop steps of the server.

    They start from the first to the last, before any client is accepted. They stop from the last to the
    first, after `_stop` has run and the last request has ended. A step needs the steps before it for its
    whole life.
    """
    record, archive = app[RECORD], app[ARCHIVE]
    return (
        # All other steps read from the record, or write their last events into it.
        Step("record", record.running),
        # Tokens and recovery refer to sessions and channels, so these are restored first.
        Step("restored sessions", partial(record.restoring, app[REGISTRY])),
        Step("resume tokens", app[RESUME_TOKENS].running),
        # Before any step writes finals: a final is indexed in the transaction that saves it.
        Step("search index", app[SEARCH].running),
        # Recovery sends windows to the engine, so its client is closed after recovery has ended.
        Step("speech", app[SPEECH].running),
        # The start repairs and lists the files before any step reads them; it closes after the last writer.
        Step("archive", archive.running),
        # Before clients: recovery moves the clocks of interrupted channels behind the archived audio.
        Step("recovery", app[RECOVERY].running),
        Step("search by meaning", app[MEANING].running),
        # Before jobs, which wait for summaries. The next start continues what this one does not finish.
        Step("summaries", app[SUMMARIES].running),
        # Jobs read the restored sessions of recordings, and send windows to the engine.
        Step("jobs", app[JOB_RUNNER].running),
        # The next start continues with what this one leaves.
        Step("submissions", app[SUBMISSIONS].running),
        # Before clients, whose streams enter rooms.
        Step("rooms", app[ROOMS].running),
        # After jobs, which end the leases of the process before: then workers are told of them.
        *(() if (queue := app[JOB_QUEUE]) is None else (Step("job queue", queue.running),)),
        # After jobs, which clean their folder first: complete uploads of a killed process become jobs.
        task("uploads", app[UPLOADS].run),
        # Behind recovery, which reads its jobs, and before clients, which send further calls.
        Step("recorded calls", app[RECORDED_CALLS].running),
        # Retention starts after recovery has found the audio of a crash; it stops before the archive closes.
        Step("archive retention", archive.maintaining),
        # After recovery, which reads the archive: what a crash left of a redaction is removed from it.
        Step("redactions", app[REDACTIONS].running),
        task("links", app[SHARES].run),
        # After the registry and the record: alerts of the process before continue in their sessions.
        Step("alert rules", app[ALERTS].restoring),
        task("alerts", app[ALERTS].run),
        task("alert rules watch", app[ALERTS].watch),
        Step("webhooks", app[WEBHOOKS].running),
        task("webhook sender", app[WEBHOOKS].run),
        task("webhook health", app[WEBHOOKS].watch_health),
        task("glossary watch", GlossaryWatch(app[SPEECH].glossary, app[AUDIT].note_own).run),
        task("glossary suggestions", app[SUGGESTIONS].run),
        task("usual figures", app[USUAL].run),
        task("loop lag", app[READINESS].lag.run),
        task("engine watch", app[READINESS].engine.run),
        # The last ones: they accept audio as soon as they run.
        Step("simplestream", app[SIMPLESTREAM].running),
        Step("wyoming", app[WYOMING].running),
        *(() if (review := app[REVIEW]) is None else (task("review", review.run),)),
    )


def _make_gate(config: MediaProcessConfig) -> Gate:
    return Gate(
        config.token,
        keys=[Key.of(one.name, Role(one.role), one.token) for one in config.tokens],
        limits=LimitsOfCallers(
            requests_per_s=config.limits.requests_per_s,
            in_hand_per_address=config.limits.connections_per_address,
            in_hand=config.limits.connections,
        ),
        allowed_origins=config.media.allowed_origins,
        trusted_proxies=config.media.trusted_proxies,
        host=config.media.host,
    )


def _make_connections(config: MediaProcessConfig, gate: Gate) -> Connections:
    return Connections(
        ConnectionLimits(
            total=config.limits.connections + BETWEEN_REQUESTS,
            strangers_per_address=config.limits.connections_before_token,
            descriptors=network_limit(),
        ),
        clock=time.monotonic,
        is_trusted=gate.is_trusted,
    )


async def _stop(app: web.Application) -> None:
    """Transcribe and save the last audio, then close the watchers. The listening sockets are closed already.

    Watchers are closed last: they get the message that the server stops, then the last finals of every
    channel after these are saved. The steps of `_steps` stop after this function.
    """
    app[READINESS].stop()
    for session in app[REGISTRY]:
        if not session.is_ended:
            message = "the server is stopping; the last finals follow"
            session.log.emit(error_report(ErrorCode.SERVER_STOPPING, message))
    try:
        async with asyncio.timeout(FLUSH_S):
            await app[SIMULATION].stop()
            await app[SIMPLESTREAM].close()
            await app[WYOMING].close()
            await app[REGISTRY].close()
    except TimeoutError:
        logger.error("the last audio of some channels was not transcribed within %.1f s", FLUSH_S)
    try:
        async with asyncio.timeout(SAVE_S):
            for session in app[REGISTRY]:
                await session.log.settled()
    except TimeoutError:
        logger.error("the last events could not be saved within %.1f s", SAVE_S)
    app[SUBSCRIBERS].close()
    await app[DATA_CHANNELS].close()
    await app[LISTENING].close()


async def serve(
    app: web.Application,
    host: str,
    port: int,
    *,
    ssl_context: ssl.SSLContext | None = None,
    stop: asyncio.Event | None = None,
    on_listening: Callable[[int], None] | None = None,
) -> None:
    """Listen until `stop` is set, or until SIGTERM or SIGINT when there is no `stop`; then stop in order.

    port: TCP for requests, UDP for audio; 0: the system chooses. on_listening: called with the port. Raises
    OSError when the port is in use.
    """
    runner = make_runner(
        app,
        access_log_class=http.access_logger(app[http.GATE]),
        logger=http.server_logger,
        shutdown_timeout=HANDLERS_S,
    )
    await runner.setup()
    try:
        one_port = app[ONE_PORT]
        listening = one_port.open(host, port)
        site = OnePortSite(
            runner,
            listening.tcp,
            one_port.ice_tcp,
            connections=app[CONNECTIONS],
            ssl_context=ssl_context,
            backlog=BACKLOG,
        )
        await site.start()
        if on_listening is not None:
            on_listening(listening.port)
        with contextlib.ExitStack() as stack:
            await (stop or _signalled(stack)).wait()
        logger.info("stopping: the last audio is transcribed first")
    finally:
        await runner.cleanup()
        app[ONE_PORT].close()


def _signalled(stack: contextlib.ExitStack) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
        stack.callback(loop.remove_signal_handler, number)
    return stop
