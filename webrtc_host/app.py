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

from host_stt_common import __version__
from host_stt_common.accepting import CONNECTIONS
from host_stt_common.connections import ConnectionLimits, Connections
from host_stt_common.descriptors import network_limit
from host_stt_common.rates import FrameRates
from host_stt_common.serving import make_runner
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.holds import HoldsReader
from webrtc_host.config import MediaProcessConfig
from webrtc_host.desk import metric_list
from webrtc_host.desk.api import StatusApi
from webrtc_host.desk.audio_api import AudioApi
from webrtc_host.desk.data_channel import DataChannels
from webrtc_host.desk.engine_prompt import EnginePrompts
from webrtc_host.desk.export_api import ExportApi
from webrtc_host.desk.glossary_api import LAB_REPORT, GlossaryApi
from webrtc_host.desk.glossary_try import GlossaryTry
from webrtc_host.desk.health import EngineWatch, LoopLag, Readiness
from webrtc_host.desk.metrics import Metrics
from webrtc_host.desk.model_api import ChangeModel, ModelApi
from webrtc_host.desk.records_api import RecordsApi
from webrtc_host.desk.search_api import SearchApi
from webrtc_host.desk.sse import EventStream
from webrtc_host.desk.subscribers import Subscribers
from webrtc_host.desk.suggestions_api import SuggestionsApi
from webrtc_host.desk.watching import Watching
from webrtc_host.desk.ws import WatchSocket
from webrtc_host.doors.backfill import BackfillDoor
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.doors.pcm_socket import PcmSocketDoor
from webrtc_host.doors.push import PushDoor
from webrtc_host.doors.simulation import SimulationDoor
from webrtc_host.doors.whip import WhipDoor
from webrtc_host.events import ErrorCode, error_report
from webrtc_host.glossary import dictionary
from webrtc_host.http import server as http
from webrtc_host.http.audit import AUDIT, Audit
from webrtc_host.http.auth import Gate, Key
from webrtc_host.http.limits import LimitsOfCallers
from webrtc_host.http.openapi import OpenApi
from webrtc_host.http.pages import add_pages
from webrtc_host.http.roles import Role
from webrtc_host.http.routes import add_routes
from webrtc_host.life import Step, living, task
from webrtc_host.media.opus import libopus_works
from webrtc_host.recovery.failed_windows import FailedWindows
from webrtc_host.recovery.service import RecoveryService
from webrtc_host.services.archive import ArchiveService
from webrtc_host.services.glossary import GlossaryWatch
from webrtc_host.services.record import RecordService, make_history, make_store
from webrtc_host.services.resume_tokens import ClaimChanges, ResumeTokenService
from webrtc_host.services.speech import SpeechService
from webrtc_host.services.suggestions import Suggestions
from webrtc_host.session.channel import MakePipeline
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.session.resume import ResumeTokens
from webrtc_host.speech.glossary_stage import GlossaryStage
from webrtc_host.transcript.coverage import CoverageConfig
from webrtc_host.transcript.coverage_tracker import CoverageBook
from webrtc_host.transcript.search import SearchIndex
from webrtc_host.transcript.search_writer import SearchWriter
from webrtc_host.transport import direct_path as direct
from webrtc_host.transport import tap
from webrtc_host.transport.first_byte import OnePortSite
from webrtc_host.transport.host_addresses import HostAddresses
from webrtc_host.transport.one_port import OnePort
from webrtc_host.transport.reception import RECEPTION

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

CONFIG = web.AppKey("config", MediaProcessConfig)
REGISTRY = web.AppKey("registry", SessionRegistry)
SUBSCRIBERS = web.AppKey("subscribers", Subscribers)
READINESS = web.AppKey("readiness", Readiness)
METRICS = web.AppKey("metrics", Metrics)
SPEECH = web.AppKey("speech", SpeechService)
RECORD = web.AppKey("record", RecordService)
SEARCH = web.AppKey("search", SearchIndex)
SUGGESTIONS = web.AppKey("suggestions", Suggestions)
ARCHIVE = web.AppKey("archive", ArchiveService)
DATA_CHANNELS = web.AppKey("data_channels", DataChannels)
SOCKETS = web.AppKey("sockets", PcmSocketDoor)
RESUME = web.AppKey("resume", ResumeTokens)
RESUME_TOKENS = web.AppKey("resume_tokens", ResumeTokenService)
BACKFILL = web.AppKey("backfill", BackfillDoor)
RECOVERY = web.AppKey("recovery", RecoveryService)
WHIP = web.AppKey("whip", WhipDoor)
ONE_PORT = web.AppKey("one_port", OnePort)
SIMULATION = web.AppKey("simulation", SimulationDoor)


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
    libopus_works()  # the log says at the start which decoder is used
    app = web.Application(client_max_size=config.limits.body_bytes)
    app[CONFIG] = config
    app[METRICS] = Metrics()
    app[SPEECH] = SpeechService(config)
    gate = _make_gate(config)
    app[CONNECTIONS] = _make_connections(config, gate)
    http.install(app, gate)
    _add_record(app, make_pipeline or app[SPEECH].make_pipeline)
    _add_readiness(app)
    changes = ClaimChanges()
    app[RESUME] = ResumeTokens(config.media.resume_s, on_change=changes.note, on_forgotten=changes.drop)
    app[RESUME_TOKENS] = ResumeTokenService(app[RESUME], changes, app[RECORD])
    app[SOCKETS] = PcmSocketDoor(app[REGISTRY], config.media, tokens=app[RESUME], rates=FrameRates())
    app[ONE_PORT] = OnePort(
        HostAddresses(config.media.announce), is_proxied=bool(config.media.trusted_proxies)
    )
    _add_routes(app, ModelApi(app[READINESS].engine, change_model))
    _add_statistics(app)

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
        # Retention starts after recovery has found the audio of a crash; it stops before the archive closes.
        Step("archive retention", archive.maintaining),
        task("glossary watch", GlossaryWatch(app[SPEECH].glossary, app[AUDIT].note_own).run),
        task("glossary suggestions", app[SUGGESTIONS].run),
        task("loop lag", app[READINESS].lag.run),
        task("engine watch", app[READINESS].engine.run),
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


def _add_record(app: web.Application, make_pipeline: MakePipeline) -> None:
    """Make the record, the archive, the sessions, and the services for past audio.

    Logs call listeners with their events, and some listeners need the sessions, which have the logs. So the
    listeners are made first and know no session: metrics, watchers, and the queue of failed windows.
    """
    config, speech = app[CONFIG], app[SPEECH]
    search = SearchWriter()
    store = make_store(config, search.add)
    holds, failed = HoldsReader(store), FailedWindows()
    archive = None
    if config.archive.enabled:
        archive = Archive(config.archive, config.data.dir, read_holds=holds.read_from_thread)
    is_recovering = archive is not None and config.archive.recover
    app[SUBSCRIBERS] = Subscribers(
        watchers_max=config.limits.watchers,
        queue_events=config.limits.watcher_queue,
        history=make_history(config, store),
    )
    app[DATA_CHANNELS] = DataChannels(app[SUBSCRIBERS])
    app[SUGGESTIONS] = Suggestions(store, speech.glossary, is_common=dictionary.is_common)
    listeners = [app[METRICS].observe, app[SUBSCRIBERS].publish, app[SUGGESTIONS].observe]
    app[RECORD] = record = RecordService(
        config, speech.ids, store, [*listeners, failed.observe] if is_recovering else listeners
    )
    app[AUDIT], app[SEARCH] = Audit(store), SearchIndex(store, search)
    app[REGISTRY] = registry = SessionRegistry(
        config.limits,
        record.make_log,
        make_pipeline,
        coverage=CoverageBook(
            CoverageConfig(round(config.coverage.report_every_s * 1000)), config.coverage.check
        ),
        make_archive=None if archive is None else archive.of_channel,
    )
    app[ARCHIVE] = ArchiveService(registry, record, archive, holds)
    app[RECOVERY] = RecoveryService(
        registry,
        store,
        archive,
        speech.engine,
        speech.make_past_pipeline,
        restored=lambda: record.restored,
        failed=failed if is_recovering else None,
        backlog_ms=config.speech.pipeline.backlog_ms_max,
    )


def _add_readiness(app: web.Application) -> None:
    config = app[CONFIG]
    app[READINESS] = Readiness(
        EngineWatch(config.engine_url, config.token_for_engine),
        LoopLag(app[METRICS].observe_lag),
        troubles={
            "record": app[RECORD].trouble,
            "archive": app[ARCHIVE].trouble,
            "glossary": lambda: app[SPEECH].glossary.trouble,
        },
    )


def _add_routes(app: web.Application, model_api: ModelApi) -> None:
    """Make the services that have routes; each declares its routes beside their handlers (`http.routes`)."""
    registry, speech, config = app[REGISTRY], app[SPEECH], app[CONFIG]
    store, archive = app[RECORD].store, app[ARCHIVE].archive
    attach, port = app[DATA_CHANNELS].attach, app[ONE_PORT]
    watching = Watching(registry, app[SUBSCRIBERS])
    app[BACKFILL] = BackfillDoor(
        *(registry, app[RESUME], app[RECOVERY].fill, config.media.backfill_s),
        rates=app[SOCKETS].rates,
    )
    app[WHIP] = WhipDoor(registry, config.media, attach, port)
    app[SIMULATION] = SimulationDoor(registry)
    add_routes(
        app,
        WatchSocket(watching),
        EventStream(watching),
        RecordsApi(registry, store, archive),
        ExportApi(registry, store, archive),
        SearchApi(app[SEARCH]),
        StatusApi(app[READINESS], app[METRICS], __version__),
        AudioApi(archive, app[ARCHIVE]),
        GlossaryApi(
            *(speech.glossary, config.data.dir / LAB_REPORT, speech.prompts),
            EnginePrompts(config.engine_url, config.token_for_engine),
        ),
        GlossaryTry(speech.glossary, registry, store, make_stage=GlossaryStage),
        SuggestionsApi(app[SUGGESTIONS], store),
        model_api,
        OfferDoor(registry, config.media, attach, app[RESUME], port),
        app[BACKFILL],
        app[WHIP],
        app[SOCKETS],
        app[SIMULATION],
        PushDoor(
            *(registry, speech.engine, speech.prompts, speech.ids),
            archive=archive,
            stages=speech.stages,
        ),
        OpenApi(__version__),
    )
    add_pages(app)


def _add_statistics(app: web.Application) -> None:
    def fan_out() -> dict[str, float]:
        figures = app[SUBSCRIBERS].statistics()
        return {
            "count": figures.watchers,
            "waiting": figures.waiting,
            "waiting_max": figures.waiting_max,
            "overflowed": figures.overflowed,
            "interims_dropped": figures.interims_dropped,
        }

    add = app[METRICS].add
    add(metric_list.WATCHERS, fan_out)
    add(metric_list.ONE_PORT, app[ONE_PORT].statistics)
    add(metric_list.REGISTRY, app[REGISTRY].statistics)
    add(metric_list.WHIP, app[WHIP].statistics)
    add(metric_list.SOCKETS, app[SOCKETS].statistics)
    add(metric_list.BACKFILL, app[BACKFILL].statistics)
    add(metric_list.RECEPTION, RECEPTION.statistics)
    add(metric_list.COVERAGE, app[REGISTRY].coverage.statistics)
    add(metric_list.CONNECTIONS, app[CONNECTIONS].statistics)
    add(metric_list.CALLERS, app[http.GATE].limits.statistics)
    add(metric_list.ENGINE, app[SPEECH].engine_statistics)
    add(metric_list.SPEECH, app[SPEECH].statistics)
    add(metric_list.RECORD, app[RECORD].store.statistics)
    if (archive := app[ARCHIVE].archive) is not None:
        add(metric_list.ARCHIVE, archive.statistics)
    if app[RECOVERY].is_recovering:
        add(metric_list.RECOVERY, app[RECOVERY].statistics)


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
