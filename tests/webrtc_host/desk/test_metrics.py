"""`/metrics` of 8082 has the declared metrics, and every component has the statistics of its group."""

from __future__ import annotations

from pathlib import Path

from tests.support.desk import a_config, running_desk
from tests.support.exposition import differences
from webrtc_host.desk.metric_list import METRICS


async def test_a_running_server_serves_each_declared_metric_and_no_other(tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path, review={"enabled": True})) as desk:
        desk.final(latency_ms=400)
        await desk.settled()
        async with desk.client.get(f"{desk.url}/metrics") as response:
            text = await response.text()
    assert differences(text, METRICS) == []
    assert 'host_stt_latency_seconds_count{type="segment.final"} 1.0' in text


def test_each_metric_is_declared_once_with_a_help_of_one_line() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names) > 100
    for metric in METRICS:
        assert metric.name.startswith("host_stt_"), metric
        assert metric.help and "\n" not in metric.help and not metric.help.endswith("."), metric
