"""Metrics from their declarations."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from host_stt_common.metrics import (
    Group,
    StatisticsCollector,
    counter,
    gauge,
    histogram,
    info,
    make_counter,
    make_gauge,
    make_histogram,
    make_info,
)
from tests.support.exposition import differences

FILES = Group("files", counter("read", "Files read"), gauge("open", "Files open now"))


def text_of(registry: CollectorRegistry) -> str:
    return generate_latest(registry).decode()


def test_a_group_reads_the_statistics_at_each_request() -> None:
    values = {"read": 1.0, "open": 2.0, "not_declared": 3.0}
    registry, collector = CollectorRegistry(), StatisticsCollector()
    collector.add(FILES, lambda: values)
    registry.register(collector)
    assert "files_read_total 1.0\n" in text_of(registry)
    values["read"] = 5.0
    text = text_of(registry)
    assert "files_read_total 5.0\n" in text
    assert differences(text, FILES.metrics) == []


def test_a_component_without_a_declared_statistic_is_an_error() -> None:
    collector = StatisticsCollector()
    collector.add(FILES, lambda: {"read": 1.0})
    with pytest.raises(KeyError, match="open"):
        list(collector.collect())


def test_each_kind_is_served_as_it_is_declared() -> None:
    declared = (
        counter("seen", "Seen, by kind", "kind"),
        gauge("waiting", "Waiting now"),
        histogram("took_seconds", "Time taken", "kind", buckets=(0.5, 1)),
        info("model", "The model", "name"),
    )
    registry = CollectorRegistry()
    make_counter(declared[0], registry).labels("new").inc()
    make_gauge(declared[1], registry).set(3)
    make_histogram(declared[2], registry).labels("new").observe(0.7)
    make_info(declared[3], registry).info({"name": "base"})
    text = text_of(registry)
    assert differences(text, declared) == []
    assert 'took_seconds_bucket{kind="new",le="1.0"} 1.0' in text
    assert 'model_info{name="base"} 1.0' in text


def test_a_difference_names_the_metric() -> None:
    registry = CollectorRegistry()
    make_gauge(gauge("waiting", "Waiting now"), registry)
    make_gauge(gauge("open", "Open now"), registry)
    found = differences(text_of(registry), [gauge("waiting", "Waiting"), gauge("gone", "Gone")])
    assert [line.split(" and ")[0].split(" (")[0] for line in found] == [
        "gone is declared",
        "open is served",
        "waiting is",
    ]
