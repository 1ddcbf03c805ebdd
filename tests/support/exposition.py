"""Compare the text of `/metrics` with the declarations of its metrics."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families

from host_stt_common.metrics import Kind, Metric

Known = dict[str, tuple[str, str, frozenset[str] | None]]
"""Name -> (kind in the text format, help, labels). Labels are None for a metric without a sample."""


def differences(text: str, declared: Iterable[Metric]) -> list[str]:
    """One line for each metric that is only in the text, only declared, or not the same in both."""
    served, expected = _served(text), _expected(declared)
    found = []
    for name in sorted(served.keys() | expected.keys()):
        if name not in expected:
            found.append(f"{name} is served and not declared")
        elif name not in served:
            found.append(f"{name} is declared and not served")
        elif served[name][:2] != expected[name][:2] or served[name][2] not in (None, expected[name][2]):
            found.append(f"{name} is {served[name]} and is declared as {expected[name]}")
    return found


def _served(text: str) -> Known:
    found: Known = {}
    for family in text_string_to_metric_families(text):
        # The Prometheus client adds metrics of the process, and a time of creation for each counter.
        if family.name.startswith("process_") or family.name.endswith("_created"):
            continue
        labels = [frozenset(sample.labels) - {"le"} for sample in family.samples]
        found[family.name] = (family.type, family.documentation, labels[0] if labels else None)
    return found


def _expected(declared: Iterable[Metric]) -> Known:
    found: Known = {}
    for metric in declared:
        if metric.kind is Kind.INFO:  # the text format has no such kind
            found[f"{metric.name}_info"] = ("gauge", metric.help, frozenset(metric.labels))
        else:
            found[metric.name] = (metric.kind.value, metric.help, frozenset(metric.labels))
    return found
