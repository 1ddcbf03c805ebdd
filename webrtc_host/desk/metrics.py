"""`/metrics` of 8082: counters that events increase, and the statistics of components.

`metric_list` declares the metrics. The statistics are read when `/metrics` is requested. A channel is never a
label, because the series of 256 channels of every session would stay in Prometheus for ever.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from host_stt_common.metrics import Group, Statistics, StatisticsCollector, make_counter, make_histogram
from webrtc_host.desk.metric_list import ALERT_LATENCY, EVENTS, LATENCY, LOOP_LAG
from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import LoggedEvent


class Metrics:
    """The metrics of the process. `observe` is a listener of every event log."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._statistics = StatisticsCollector()
        self.registry.register(self._statistics)
        self._events = make_counter(EVENTS, self.registry)
        for kind in EventType:
            self._events.labels(kind.value)
        self._latency = make_histogram(LATENCY, self.registry)
        self._alert = make_histogram(ALERT_LATENCY, self.registry)
        self._lag = make_histogram(LOOP_LAG, self.registry)

    def add(self, group: Group, statistics: Statistics) -> None:
        """statistics: read at each request; it has a value for each member of the group."""
        self._statistics.add(group, statistics)

    def observe(self, event: LoggedEvent) -> None:
        self._events.labels(event.kind.value).inc()
        latency_ms = event.envelope.latency_ms
        if latency_ms is not None:
            self._latency.labels(event.kind.value).observe(latency_ms / 1000)

    def observe_alert(self, latency_s: float) -> None:
        self._alert.observe(latency_s)

    def observe_lag(self, lag_s: float) -> None:
        self._lag.observe(lag_s)

    def exposition(self) -> bytes:
        """The text of /metrics."""
        return generate_latest(self.registry)
