"""A short load test: its report about a running server is right. No figure of speed is asserted."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from host_stt_cli.loadtest import page, sounds
from host_stt_cli.loadtest.plan import Door, Load
from host_stt_cli.loadtest.probing import engine_of, listener, scrape
from host_stt_cli.loadtest.run import Target, run
from host_stt_cli.loadtest.verdict import Limits, judge
from tests.project.test_dashboard import expressions
from tests.support.server import Server

pytestmark = [
    pytest.mark.net,
    pytest.mark.peer,
    pytest.mark.model,
    pytest.mark.long,
    pytest.mark.timeout(360),
]
PATIENT = Limits(ttfs_p95_ms=60_000, missed_share=0.1, late_p95_ms=10_000, error_points=10)
"""The box may be busy; what is asked is that nothing is lost and nothing is told wrongly."""


async def measured(server: Server, load: Load, clips: list[sounds.Clip]) -> dict[str, Any]:
    return await run(Target(server.url), load, clips, "en", asyncio.Event(), drain_s=120)


async def all_samples(server: Server) -> list[tuple[str, set[str]]]:
    """(name, labels) of every sample in the metrics of the two loaded servers."""
    media = listener(server.url)
    assert media is not None
    engine = engine_of(media)
    assert engine is not None
    async with aiohttp.ClientSession() as http:
        found = {**await scrape(http, server.url), **await scrape(http, engine[1])}
    split = (key.rstrip("}").partition("{") for key in found)
    return [(name, set(labels.split(","))) for name, _, labels in split]


def asked_of_dashboard() -> list[tuple[str, set[str]]]:
    pattern = r"(host_stt_\w+)(?:\{([^}]*)\})?"
    found = [match for expression in expressions() for match in re.findall(pattern, expression)]
    assert len(found) >= 20
    return [(name, set(labels.replace('"', "").split(",")) - {""}) for name, labels in found]


async def test_four_channels_are_transcribed_and_reported_correctly(tmp_path: Path) -> None:
    clips = sounds.spoken("en", 12)
    with Server(tmp_path) as server:
        server.wait_ready()
        found = await measured(server, Load(channels=4, seconds=20, talk=0.4, tracks=2), clips)
        over_sockets = await measured(server, Load(channels=2, seconds=6, door=Door.SOCKET), clips)
        told = await all_samples(server)
    for selector, labels in asked_of_dashboard():
        assert any(name == selector and labels <= of for name, of in told), (selector, labels)
    m = found["measures"]
    assert m["utterances"] >= 8 and m["missed"] <= 1
    assert m["ttfs_ms"]["n"] >= 7 and m["ttfs_ms"]["p50"] > 300, "no text before the end of the hangover"
    assert m["accuracy"]["rate"] <= m["alone"]["rate"] + 0.1
    # The first audio gets the time of its arrival, which is some 100 ms late on a loaded machine.
    assert m["start_error_ms"]["p50"] <= 1000 and m["end_error_ms"]["p50"] <= 1000
    covered = m["coverage_s"]
    assert sum(covered.values()) == pytest.approx(4 * found["load"]["seconds"], abs=1.0)
    assert covered["transcribed"] >= 0.7 * found["given"]["speech_s"]
    assert not covered.get("shed") and not covered.get("failed")
    assert found["generator"]["frames"] >= 2 * 20 * 50 * 0.95, "two connections, a beat each 20 ms"
    assert {"8082", "8081", "load test"} <= set(found["processes"])
    assert found["server"]["is_starter"] and m["engine_busy"] > 0

    verdict = judge(found, PATIENT)
    assert verdict.answer.exit_status == 0, verdict.sentence
    assert "const R = {" in page.html(found)

    assert over_sockets["measures"]["missed"] <= 1
    assert over_sockets["measures"]["accuracy"]["rate"] <= m["alone"]["rate"] + 0.15
