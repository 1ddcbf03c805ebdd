"""The services that have routes, and their addresses."""

from __future__ import annotations

import time

from aiohttp import web

from host_stt_common import __version__
from webrtc_host.desk.alerts_api import AlertsApi
from webrtc_host.desk.alerts_try import AlertsTry
from webrtc_host.desk.api import StatusApi
from webrtc_host.desk.audio_api import AudioApi
from webrtc_host.desk.conversation_api import ConversationApi
from webrtc_host.desk.engine_prompt import EnginePrompts
from webrtc_host.desk.export_api import ExportApi
from webrtc_host.desk.glossary_api import LAB_REPORT, GlossaryApi
from webrtc_host.desk.glossary_try import GlossaryTry
from webrtc_host.desk.job_worker_socket import JobWorkerSocket
from webrtc_host.desk.jobs_api import JobsApi
from webrtc_host.desk.lines_api import LinesApi
from webrtc_host.desk.listening_api import ListeningApi
from webrtc_host.desk.model_api import ModelApi
from webrtc_host.desk.records_api import RecordsApi
from webrtc_host.desk.redactions_api import RedactionsApi
from webrtc_host.desk.rooms_api import RoomsApi
from webrtc_host.desk.search_api import SearchApi
from webrtc_host.desk.settings_api import SettingsApi
from webrtc_host.desk.shared_api import SharedApi
from webrtc_host.desk.shares_api import SharesApi
from webrtc_host.desk.solo_api import SoloApi
from webrtc_host.desk.sse import EventStream
from webrtc_host.desk.stats_api import StatsApi
from webrtc_host.desk.suggestions_api import SuggestionsApi
from webrtc_host.desk.summaries_api import SummariesApi
from webrtc_host.desk.timeline_api import TimelineApi
from webrtc_host.desk.uploads_api import UploadsApi, add_tus_headers
from webrtc_host.desk.usual_api import UsualApi
from webrtc_host.desk.watching import Watching
from webrtc_host.desk.webhooks_api import WebhooksApi
from webrtc_host.desk.worker_api import WorkerApi
from webrtc_host.desk.ws import WatchSocket
from webrtc_host.doors.backfill import BackfillDoor
from webrtc_host.doors.engine_files import EngineFilesDoor
from webrtc_host.doors.offer import OfferDoor
from webrtc_host.doors.push import PushDoor
from webrtc_host.doors.radio.importing import CallImporter
from webrtc_host.doors.radio.simplestream import SimplestreamPort
from webrtc_host.doors.radio.talkgroups import Talkgroups
from webrtc_host.doors.radio.uploads import CallUploads
from webrtc_host.doors.simulation import SimulationDoor
from webrtc_host.doors.whip import WhipDoor
from webrtc_host.http.audit import AUDIT
from webrtc_host.http.openapi import OpenApi
from webrtc_host.http.pages import add_pages
from webrtc_host.http.routes import add_routes
from webrtc_host.keys import (
    ALERTS,
    ARCHIVE,
    BACKFILL,
    CALL_UPLOADS,
    CONFIG,
    DATA_CHANNELS,
    HUB,
    JOB_QUEUE,
    JOB_RUNNER,
    JOBS,
    LINES,
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
    WHIP,
    WIRES,
    WYOMING,
)
from webrtc_host.speech.glossary_stage import GlossaryStage
from webrtc_host.wires import all_doors
from webrtc_host.wires.clients_api import ClientsApi
from webrtc_host.wires.site import Site
from webrtc_host.wires.stream_door import StreamDoor
from webrtc_host.wires.wyoming_port import WyomingPort


def add_interfaces(app: web.Application, model_api: ModelApi) -> None:
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
    app[SIMULATION] = SimulationDoor(registry, config.data.dir / "simulation")
    app[WIRES] = Site(
        *(registry, app[SUBSCRIBERS], app[RESUME], app[SOCKETS].rates),
        media=config.media,
    )
    app[WYOMING] = WyomingPort(
        *(app[WIRES], config.doors.wyoming, app[AUDIT], __version__, app[READINESS].engine.model_name)
    )
    push = PushDoor(
        *(registry, speech.engine, speech.prompts, speech.ids),
        archive=archive,
        stages=speech.stages,
    )
    audio = AudioApi(archive, app[ARCHIVE])
    app[LISTENING] = ListeningApi(app[HUB], registry, config.limits, config.media, port)
    add_radio(app)
    add_routes(
        app,
        WatchSocket(watching),
        EventStream(watching),
        RecordsApi(registry, store, archive),
        ExportApi(registry, store, archive),
        SearchApi(app[SEARCH], app[MEANING]),
        JobsApi(app[JOBS], config.jobs.file_bytes, config.limits.body_bytes),
        JobWorkerSocket(app[JOBS], app[JOB_RUNNER], is_enabled=app[JOB_QUEUE] is not None),
        UploadsApi(app[UPLOADS], app[JOBS]),
        StatsApi(registry, store),
        TimelineApi(registry, store),
        UsualApi(registry, store, app[USUAL]),
        StatusApi(app[READINESS], app[METRICS], __version__),
        audio,
        LinesApi(app[LINES]),
        RedactionsApi(app[REDACTIONS], store),
        SharesApi(app[SHARES], store),
        SharedApi(app[SHARES], store, audio),
        SettingsApi(store),
        ClientsApi(config, registry),
        GlossaryApi(
            *(speech.glossary, config.data.dir / LAB_REPORT, speech.prompts),
            EnginePrompts(config.engine_url, config.token_for_engine),
        ),
        GlossaryTry(speech.glossary, registry, store, make_stage=GlossaryStage),
        SuggestionsApi(app[SUGGESTIONS], store),
        AlertsApi(app[ALERTS], store),
        AlertsTry(app[ALERTS], registry, store, speech.glossary),
        WebhooksApi(app[WEBHOOKS]),
        SummariesApi(app[SUMMARIES], registry, store),
        model_api,
        OfferDoor(registry, config.media, attach, app[RESUME], port),
        app[BACKFILL],
        app[WHIP],
        app[SOCKETS],
        app[SIMULATION],
        push,
        *all_doors.made(
            *(app[WIRES], config.doors, push, app[READINESS].engine.model_name),
            *(config.speech.endpointing.hangover_ms, config.media, port),
        ),
        app[LISTENING],
        *_callers_of_jobs(app),
        *([app[CALL_UPLOADS]] if config.doors.radio_uploads.enabled else []),
        *(
            [EngineFilesDoor(config.engine_url, config.token_for_engine)]
            if config.doors.openai_files.enabled
            else []
        ),
        OpenApi(__version__),
    )
    add_pages(app)
    app.on_response_prepare.append(add_tus_headers)


def _callers_of_jobs(app: web.Application) -> list[object]:
    """The services for clients of other programs that send recordings."""
    config, made = app[CONFIG], list[object]()
    if config.doors.conversation.enabled:
        settings = config.doors.conversation
        made.append(ConversationApi(app[JOBS], app[ROOMS], settings, config.jobs.file_bytes))
        made.append(StreamDoor(app[WIRES], app[SUMMARIES], app[ROOMS], settings))
        made.append(RoomsApi(app[ROOMS]))
    if config.doors.worker.enabled:
        engine, body_bytes = app[READINESS].engine, config.limits.body_bytes
        made.append(WorkerApi(app[JOBS], engine, config.doors.worker, body_bytes))
        made.append(SoloApi(app[SUBMISSIONS], body_bytes))
    return made


def add_radio(app: web.Application) -> None:
    config, registry = app[CONFIG], app[REGISTRY]
    radio = config.radio
    talkgroups = Talkgroups(radio.talkgroups, radio.unknown, config.limits.channels_per_session)
    importer = CallImporter(
        *(registry, talkgroups, app[RECORDED_CALLS]),
        wall=time.time,
        call_s_max=radio.call_s,
        archive=app[ARCHIVE].archive,
    )
    app[CALL_UPLOADS] = CallUploads(importer)
    app[SIMPLESTREAM] = SimplestreamPort(registry, talkgroups, radio.simplestream, config.media)
