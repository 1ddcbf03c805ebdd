"""The record, the archive, the sessions, and the services that change lines and read past audio."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aiohttp import web

from host_stt_common.job_queue import NoQueue
from host_stt_common.public_addresses import networks_of
from webrtc_host.alerts.inbox import AlertInbox
from webrtc_host.alerts.rules_file import FILE_NAME, RulesFile
from webrtc_host.alerts.service import AlertService
from webrtc_host.archive.archive import Archive
from webrtc_host.archive.holds import HoldsReader
from webrtc_host.config import MediaProcessConfig
from webrtc_host.desk.data_channel import DataChannels
from webrtc_host.desk.health import EngineWatch, LoopLag, Readiness
from webrtc_host.desk.subscribers import Subscribers
from webrtc_host.errors import ConfigError
from webrtc_host.glossary import dictionary
from webrtc_host.http.audit import AUDIT, Audit
from webrtc_host.http.auth import Gate
from webrtc_host.jobs.changes import JobChanges
from webrtc_host.jobs.fetching import Fetcher
from webrtc_host.jobs.files import JobFiles
from webrtc_host.jobs.pacing import PacedTranscriber, has_live_channels, is_speech_live
from webrtc_host.jobs.queueing import JobQueue
from webrtc_host.jobs.reading import Windows, windows_for
from webrtc_host.jobs.rooms import RoomService
from webrtc_host.jobs.runner import JobRunner
from webrtc_host.jobs.service import JobService
from webrtc_host.jobs.uploads import Uploads
from webrtc_host.jobs.work import JobTools
from webrtc_host.keys import (
    ALERTS,
    ARCHIVE,
    CONFIG,
    DATA_CHANNELS,
    HUB,
    JOB_QUEUE,
    JOB_RUNNER,
    JOBS,
    LINES,
    MEANING,
    METRICS,
    READINESS,
    RECORD,
    RECORDED_CALLS,
    RECOVERY,
    REDACTIONS,
    REGISTRY,
    REVIEW_QUEUE,
    ROOMS,
    SEARCH,
    SESSION_LOGS,
    SHARES,
    SPEECH,
    SUBMISSIONS,
    SUBSCRIBERS,
    SUGGESTIONS,
    SUMMARIES,
    UPLOADS,
    USUAL,
    WEBHOOKS,
)
from webrtc_host.listening.hub import Hub
from webrtc_host.recovery.failed_windows import FailedWindows
from webrtc_host.recovery.recorded_calls import RecordedCalls
from webrtc_host.recovery.service import RecoveryService
from webrtc_host.review.queue import ReviewQueue
from webrtc_host.review.service import ReviewService
from webrtc_host.services.archive import ArchiveService
from webrtc_host.services.line_changes import LineChanges
from webrtc_host.services.meaning import MeaningSearch
from webrtc_host.services.record import RecordService, make_history, make_store
from webrtc_host.services.redactions import Redactions
from webrtc_host.services.session_logs import SessionLogs
from webrtc_host.services.shares import Shares
from webrtc_host.services.suggestions import Suggestions
from webrtc_host.services.usual import LineInbox, Usual
from webrtc_host.session.channel import MakePipeline
from webrtc_host.session.registry import SessionRegistry
from webrtc_host.summaries.client import ModelClient
from webrtc_host.summaries.finisher import JobSummary
from webrtc_host.summaries.service import SummaryService
from webrtc_host.summaries.sources import Sources
from webrtc_host.summaries.submissions import SubmissionService
from webrtc_host.transcript.coverage import CoverageConfig
from webrtc_host.transcript.coverage_tracker import CoverageBook
from webrtc_host.transcript.meanings import MeaningWriter
from webrtc_host.transcript.search import SearchIndex
from webrtc_host.transcript.search_writer import SearchWriter
from webrtc_host.webhooks.addresses import Addresses
from webrtc_host.webhooks.outbox import Outbox
from webrtc_host.webhooks.sender import Sender
from webrtc_host.webhooks.service import WebhookService


def add_record(app: web.Application, make_pipeline: MakePipeline) -> None:
    """Make the record, the archive, the sessions, and the services for past audio.

    Logs call listeners with their events, and some listeners need the sessions, which have the logs. So the
    listeners are made first and know no session: metrics, watchers, and the queue of failed windows.
    """
    config, speech = app[CONFIG], app[SPEECH]
    search, inbox, told = SearchWriter(), AlertInbox(), LineInbox()
    outbox = Outbox(config.webhooks.outbox)
    index = MeaningWriter(search.add).add if config.embeddings.is_set else search.add
    store = make_store(config, index, outbox.store)
    holds, failed = HoldsReader(store), FailedWindows()
    archive = None
    if config.archive.enabled:
        archive = Archive(config.archive, config.data.dir, read_holds=holds.read_from_thread)
    is_recovering = archive is not None and config.archive.recover
    is_reviewing = archive is not None and config.review.enabled
    app[SUBSCRIBERS] = Subscribers(
        watchers_max=config.limits.watchers,
        queue_events=config.limits.watcher_queue,
        history=make_history(config, store),
    )
    app[DATA_CHANNELS] = DataChannels(app[SUBSCRIBERS])
    app[SUGGESTIONS] = Suggestions(store, speech.glossary, is_common=dictionary.is_common)
    app[WEBHOOKS] = WebhookService(
        store,
        outbox,
        Sender(Addresses(networks_of(config.webhooks.allow)), config.webhooks.timeout_s),
        health=lambda: app[READINESS].response()[1],
    )
    listeners = [
        *(app[METRICS].observe, app[SUBSCRIBERS].publish, app[SUGGESTIONS].observe),
        *(inbox.observe, app[WEBHOOKS].observe, told.observe),
    ]
    app[REVIEW_QUEUE] = ReviewQueue(config.review.queue_max, config.review.pause_s, time.monotonic)
    app[RECORD] = record = RecordService(
        *(config, speech.ids, store),
        [
            *listeners,
            *([failed.observe] if is_recovering else []),
            *([app[REVIEW_QUEUE].observe] if is_reviewing else []),
        ],
    )
    app[HUB] = Hub()
    app[AUDIT], app[SEARCH] = Audit(store), SearchIndex(store, search)
    app[REGISTRY] = registry = SessionRegistry(
        config.limits,
        record.make_log,
        make_pipeline,
        coverage=CoverageBook(
            CoverageConfig(round(config.coverage.report_every_s * 1000)), config.coverage.check
        ),
        make_archive=None if archive is None else archive.of_channel,
        make_live=app[HUB].of_channel,
    )
    app[USUAL] = Usual(store, told, registry, lambda: int(time.time() * 1000))
    app[SESSION_LOGS] = logs = SessionLogs(registry, store, record.make_log)
    app[ALERTS] = AlertService(
        *(RulesFile(config.data.dir / FILE_NAME), inbox, registry, logs, store, speech.glossary),
        on_latency=app[METRICS].observe_alert,
    )
    app[MEANING] = MeaningSearch(store, app[SEARCH], config.embeddings)
    app[SUMMARIES] = SummaryService(Sources(store, registry), config.summaries, config.llm)
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
    app[RECORDED_CALLS] = RecordedCalls(
        *(registry, store, archive, app[RECOVERY].run), waiting_s_max=config.radio.waiting_s
    )


def add_people(app: web.Application, gate: Gate) -> None:
    """What people do with lines: correct, mark, redact and share them."""
    store, archive, suggestions = app[RECORD].store, app[ARCHIVE].archive, app[SUGGESTIONS]
    logs = app[SESSION_LOGS]
    app[LINES] = LineChanges(store, logs, suggestions)
    app[REDACTIONS] = Redactions(store, logs, archive, suggestions)
    app[SHARES] = Shares(store, gate.issued)


def add_jobs(app: web.Application) -> None:
    """Recordings that are transcribed as jobs, behind everything live."""
    config, speech, registry = app[CONFIG], app[SPEECH], app[REGISTRY]
    engine = app[READINESS].engine

    def windows() -> Windows | None:
        is_starter = engine.status.body.get("is_starter")
        return windows_for(is_starter=is_starter, is_ready=engine.status.is_ready)

    def is_live() -> bool:
        return is_speech_live(registry)

    files = JobFiles(config.data.dir / "jobs", config.jobs.file_bytes, config.jobs.free_bytes_min)
    tools = JobTools(
        config.jobs,
        app[RECORD].store,
        registry,
        app[ARCHIVE].archive,
        files,
        Fetcher(files, networks_of(config.jobs.url_networks), config.jobs.url_s),
        PacedTranscriber(
            *(speech.engine, is_live, config.jobs.live_share),
            has_channels=lambda: has_live_channels(registry),
        ),
        is_live,
        speech.prompts,
        speech.ids,
        speech.stages,
        JobChanges(),
        windows=windows,
        wall_ms=lambda: int(time.time() * 1000),
        finishers={"final_summary": JobSummary(app[SUMMARIES])},
    )
    llm = config.llm
    model = None if llm.kind == "none" else ModelClient(llm)
    app[SUBMISSIONS] = SubmissionService(app[RECORD].store, model, tools.wall_ms)
    if config.jobs.engine == "procrastinate":
        # The queue asks the runner for its jobs, and the runner tells the queue of new ones.
        app[JOB_RUNNER] = runner = JobRunner(tools, places=0, on_new=lambda: queue.wake())
        app[JOB_QUEUE] = queue = _make_queue(config, runner)
    else:
        app[JOB_RUNNER] = JobRunner(tools, places=config.jobs.at_once)
        app[JOB_QUEUE] = None
    check = app[SUMMARIES].check_template
    app[JOBS] = JobService(tools, app[JOB_RUNNER], check_template=check)
    app[ROOMS] = RoomService(app[RECORD].store, app[SUMMARIES], tools.wall_ms)
    app[UPLOADS] = Uploads(
        *(config.data.dir / "uploads", files, app[JOBS]),
        open_max=config.jobs.uploads,
        keep_s=config.jobs.upload_s,
    )


def _make_queue(config: MediaProcessConfig, runner: JobRunner) -> JobQueue:
    try:
        return JobQueue(config.jobs.queue_url or config.store.url, runner.open_jobs)
    except NoQueue as error:
        raise ConfigError(f"jobs.engine: {error}") from error


def make_review(app: web.Application) -> ReviewService | None:
    """None: the review is off, or there is no archive to read."""
    archive, speech, watch = app[ARCHIVE].archive, app[SPEECH], app[READINESS].engine
    if archive is None or not app[CONFIG].review.enabled:
        return None

    def terms(channel: str, language: str, own: Sequence[str]) -> Sequence[str]:
        return speech.prompts.prompt_for(channel, language, own).terms

    return ReviewService(
        *(app[REVIEW_QUEUE], app[REGISTRY], archive, speech.engine, app[LINES]),
        is_idle=speech.has_idle_engine,
        # The starter model knows 500 words and was trained on short windows alone.
        is_useful=lambda: not watch.status.body.get("is_starter", True),
        terms=terms,
        stages=speech.stages,
    )


def add_readiness(app: web.Application) -> None:
    config = app[CONFIG]
    app[READINESS] = Readiness(
        EngineWatch(config.engine_url, config.token_for_engine),
        LoopLag(app[METRICS].observe_lag),
        troubles={
            "record": app[RECORD].trouble,
            "archive": app[ARCHIVE].trouble,
            "glossary": lambda: app[SPEECH].glossary.trouble,
            "alerts": lambda: app[ALERTS].rules.trouble,
        },
    )
