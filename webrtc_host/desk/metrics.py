"""`/metrics` of 8082: counters fed by events, gauges read from the rooms' `statistics()` when somebody asks.

Owns the registry and the names (docs/reference/metrics.md, checked by a test). No channel is a label: 256
channels of every session would outlive their use in the scraper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webrtc_host.seams import EventType
from webrtc_host.transcript.event_log import Event

Statistics = Callable[[], Mapping[str, float]]

LATENCY_BUCKETS_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 60.0)
LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class _Rooms(Collector):
    """Gauges `host_stt_<room>_<figure>` from each room's statistics."""

    def __init__(self) -> None:
        self.rooms: dict[str, Statistics] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for room, statistics in self.rooms.items():
            for figure, value in statistics().items():
                text = f"{figure} of {room}".replace("_", " ")
                yield GaugeMetricFamily(f"host_stt_{room}_{figure}", text, value=value)


class Metrics:
    """The process's figures. `observe` is a listener of every event log."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rooms = _Rooms()
        self.registry.register(self._rooms)
        self._events = Counter(
            "host_stt_events", "Events emitted, by type.", ["type"], registry=self.registry
        )
        for kind in EventType:
            self._events.labels(kind.value)
        self._latency = Histogram(
            "host_stt_latency_seconds",
            "From the end of the speech a text covers to its emission.",
            ["type"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._lag = Histogram(
            "host_stt_loop_lag_seconds",
            "How late the event loop came back to a sleeper.",
            buckets=LAG_BUCKETS_S,
            registry=self.registry,
        )

    def add_room(self, room: str, statistics: Statistics) -> None:
        """statistics: read at every scrape; figures in snake_case."""
        self._rooms.rooms[room] = statistics

    def observe(self, event: Event) -> None:
        self._events.labels(event.kind.value).inc()
        if event.latency_ms is not None:
            self._latency.labels(event.kind.value).observe(event.latency_ms / 1000)

    def observe_lag(self, lag_s: float) -> None:
        self._lag.observe(lag_s)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)
