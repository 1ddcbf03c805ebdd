"""Which service gives the figures of which group of metrics."""

from __future__ import annotations

from aiohttp import web

from host_stt_common.accepting import CONNECTIONS
from webrtc_host.desk import metric_list
from webrtc_host.http import server as http
from webrtc_host.keys import (
    ALERTS,
    ARCHIVE,
    BACKFILL,
    CALL_UPLOADS,
    JOB_RUNNER,
    LISTENING,
    METRICS,
    ONE_PORT,
    RECORD,
    RECORDED_CALLS,
    RECOVERY,
    REGISTRY,
    REVIEW,
    SIMPLESTREAM,
    SOCKETS,
    SPEECH,
    SUBSCRIBERS,
    SUMMARIES,
    WEBHOOKS,
    WHIP,
    WIRES,
    WYOMING,
)
from webrtc_host.transport.reception import RECEPTION


def add_statistics(app: web.Application) -> None:
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
    add(metric_list.WIRES, app[WIRES].statistics)
    add(metric_list.BACKFILL, app[BACKFILL].statistics)
    add(metric_list.LISTENING, app[LISTENING].statistics)
    add(metric_list.CALLS, lambda: {**app[CALL_UPLOADS].statistics(), **app[RECORDED_CALLS].statistics()})
    add(metric_list.SIMPLESTREAM, app[SIMPLESTREAM].statistics)
    add(metric_list.WYOMING, app[WYOMING].statistics)
    add(metric_list.RECEPTION, RECEPTION.statistics)
    add(metric_list.COVERAGE, app[REGISTRY].coverage.statistics)
    add(metric_list.CONNECTIONS, app[CONNECTIONS].statistics)
    add(metric_list.CALLERS, app[http.GATE].limits.statistics)
    add(metric_list.ENGINE, app[SPEECH].engine_statistics)
    add(metric_list.SPEECH, app[SPEECH].statistics)
    add(metric_list.RECORD, app[RECORD].store.statistics)
    add(metric_list.ALERTS, app[ALERTS].statistics)
    add(metric_list.WEBHOOKS, app[WEBHOOKS].statistics)
    if (archive := app[ARCHIVE].archive) is not None:
        add(metric_list.ARCHIVE, archive.statistics)
    add(metric_list.JOBS, app[JOB_RUNNER].statistics)
    add(metric_list.SUMMARIES, app[SUMMARIES].statistics)
    if (review := app[REVIEW]) is not None:
        add(metric_list.REVIEW, review.statistics)
    if app[RECOVERY].is_recovering:
        add(metric_list.RECOVERY, app[RECOVERY].statistics)
