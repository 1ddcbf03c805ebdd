"""Declarations of metrics, for both ports: name, kind, help and labels of each metric in one place.

The servers make their Prometheus objects from the declarations, and `docs/reference/metrics.md` is written
from the declarations too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

Statistics = Callable[[], Mapping[str, float]]
"""What a component counts, by the names of its `Group`."""


class Kind(StrEnum):
    COUNTER = "counter"  # only grows; Prometheus writes it with `_total`
    GAUGE = "gauge"
    HISTOGRAM = "histogram"  # written with `_bucket`, `_sum` and `_count`
    INFO = "info"  # labels of the value 1; written with `_info`


@dataclass(frozen=True, slots=True)
class Metric:
    name: str  # without the endings that Prometheus adds
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # upper bounds; only of a histogram


def counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, help, labels)


def gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, help, labels)


def histogram(name: str, help: str, *labels: str, buckets: Sequence[float]) -> Metric:
    return Metric(name, Kind.HISTOGRAM, help, labels, tuple(buckets))


def info(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.INFO, help, labels)


class Group:
    """The metrics of one component, without labels: `PREFIX_NAME` for each key of its `statistics()`."""

    def __init__(self, prefix: str, *members: Metric) -> None:
        """members: their names are the keys of the component's statistics."""
        self.prefix = prefix
        self.members = members

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """With their whole names."""
        return tuple(replace(one, name=f"{self.prefix}_{one.name}") for one in self.members)


class StatisticsCollector(Collector):
    """The metrics of all groups, read from their components at each request for `/metrics`."""

    def __init__(self) -> None:
        self._sources: list[tuple[Group, Statistics]] = []

    def add(self, group: Group, statistics: Statistics) -> None:
        self._sources.append((group, statistics))

    def collect(self) -> Iterator[Family]:
        for group, statistics in self._sources:
            values = statistics()
            for member, metric in zip(group.members, group.metrics, strict=True):
                family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
                yield family(metric.name, metric.help, value=values[member.name])


def make_counter(metric: Metric, registry: CollectorRegistry) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=registry)


def make_gauge(metric: Metric, registry: CollectorRegistry) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=registry)


def make_histogram(metric: Metric, registry: CollectorRegistry) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry)


def make_info(metric: Metric, registry: CollectorRegistry) -> Info:
    """The caller of `Info.info` gives the declared labels with their values."""
    return Info(metric.name, metric.help, registry=registry)
