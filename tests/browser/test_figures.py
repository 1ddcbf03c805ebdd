"""The load test's report and /health-page: clean for axe, on a phone, offline, and plain about trouble."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, expect

from host_stt_cli.loadtest import page as report_page
from host_stt_cli.loadtest.creep import judged
from tests.browser.axe import COLOURS, RULES, expect_clean
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.live import LiveServer
from tests.cli.loadtest.reports import report
from tests.support.desk import a_config, running_desk
from tests.support.events import an_event
from webrtc_host.seams import EventType
from webrtc_host.transport.reception import RECEPTION, Counts, TrackCondition

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@dataclass(frozen=True)
class FedTrack:
    """A track that feeds a channel, with its jitter."""

    place: tuple[str, str]

    def counts(self) -> Counts:
        return Counts(packets=100, lost=3)

    def condition(self) -> TrackCondition:
        return TrackCondition(jitter_ms=4.2)


FIGURES_MS = 15_000  # until the page has read the server twice, on a busy box


def soak() -> dict[str, Any]:
    """An hour's report with as many points as one holds."""
    rng = random.Random(1)
    made = report(
        load__seconds=3600.0,
        load__tracks=1,
        load__overlap=0.0,
        limits={"ttfs_p95_ms": 1500.0},
        generator__packets_not_sent=0,
        distribution=[500.0 + 8 * n for n in range(101)],
        verdict={"answer": "yes", "sentence": "this machine handles 16 channels at 50 % talk: yes."},
    )
    dots = [[3.0 * n, 700 + 300 * rng.random()] for n in range(1200)]
    made["series"] = dict.fromkeys(
        (
            "ttfs_ms",
            "ttfs_ms p50",
            "ttfs_ms p95",
            "first_text_ms",
            "interim_age_ms",
            "loop_lag_ms",
            "8082 cpu_percent",
            "8082 rss_mb",
        ),
        dots,
    )
    made["slopes"] = judged(made, 250.0)
    return made


@pytest.mark.parametrize(("viewport", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
async def test_a_report_opens_offline_and_is_axe_clean(
    browser: Browser, tmp_path: Path, viewport: Any, scheme: Any
) -> None:
    file = tmp_path / "report.html"
    file.write_text(report_page.html(soak()), encoding="utf-8")
    context = await browser.new_context(viewport=viewport, color_scheme=scheme, offline=True)
    try:
        page = await context.new_page()
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(file.as_uri())
        await expect(page.locator(".verdict")).to_contain_text("Yes")
        await expect(page.locator("svg")).to_have_count(7)
        await expect(page.locator("body")).to_contain_text("8081 threads")
        assert (asked, errors) == ([file.as_uri()], [])
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect_clean(page, RULES if scheme == "dark" else COLOURS)
    finally:
        await context.close()


async def test_a_report_of_a_sweep_shows_every_step(browser: Browser, tmp_path: Path) -> None:
    steps = [(16, "yes", []), (32, "no", ["time to final text p95 is 1900 ms, over 1500 ms"])]
    runs = [
        {
            "channels": n,
            "answer": answer,
            "ttfs_ms": {"n": 9, "p50": 700.0, "p95": 900.0},
            "engine_busy": 0.5,
            "machine_percent": 80.0,
            "interims_shed": 0,
            "limiting": "x",
            "reasons": why,
        }
        for n, answer, why in steps
    ]
    file = tmp_path / "sweep.html"
    file.write_text(report_page.html({**soak(), "sweep": {"largest": 16, "runs": runs}}), encoding="utf-8")
    page = await browser.new_page()
    try:
        await page.goto(file.as_uri())
        await expect(
            page.get_by_role("heading", name="Largest number that worked: 16 channels")
        ).to_be_visible()
        await expect(page.locator("body")).to_contain_text("time to final text p95 is 1900 ms")
        await expect(page.locator("svg")).to_have_count(8)
    finally:
        await page.unroute_all(behavior="ignoreErrors")
        await page.close()


@pytest_asyncio.fixture(loop_scope="session")
async def health(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=PHONE)
    page = await context.new_page()
    yield page
    # The page asks again every two seconds: a route that is being answered must not fail the next test.
    await page.unroute_all(behavior="ignoreErrors")
    await context.close()


async def test_the_health_page_shows_a_real_servers_figures_and_says_that_nobody_speaks(
    health: Page, live_server: LiveServer
) -> None:
    await health.goto(f"{live_server.url}/health-page")
    await expect(health.locator("#state")).to_contain_text("Model starter on cpu", timeout=FIGURES_MS)
    await expect(health.locator("#now")).to_contain_text("Windows at the engine")
    wait = health.locator("#now tr", has_text="Longest wait of live speech")
    await expect(wait.locator("td")).to_have_text(re.compile(r"^\d.*ms$"))
    await expect(health.locator("#plots svg").first).to_be_visible(timeout=FIGURES_MS)
    assert await health.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await expect_clean(health)
    await health.click("#language")
    await expect(health.locator("#state")).to_contain_text("모델 starter")
    await expect(health.locator("#now")).to_contain_text("엔진이 처리 중인 윈도")
    await expect(health.locator("#plots")).to_contain_text("지연 p95")


async def test_the_health_page_computes_the_figures_of_the_last_minute(
    health: Page, live_server: LiveServer
) -> None:
    """A minute in which 20 s of speech took 5 s, with 1 of 50 interims and 5 of 25 s of speech dropped."""
    asked = 0
    before = {"waits": 0, "p50_ms": None, "p95_ms": None, "decoded_interims": 100, "decoding_s": 40.0}
    after = {"waits": 70, "p50_ms": 20, "p95_ms": 310, "decoded_interims": 149, "decoding_s": 45.0}

    async def ready(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        queue = {**body["engine"]["queue"], **(before if asked <= 1 else after)}
        await route.fulfill(response=answer, json={**body, "engine": {**body["engine"], "queue": queue}})

    async def metrics(route: Route) -> None:
        nonlocal asked
        asked += 1
        answer = await route.fetch()
        text = await answer.text()
        for name, grown in (
            ("host_stt_coverage_transcribed_ms", 20_000),
            ("host_stt_speech_interims_shed_total", 1),
            ("host_stt_speech_shed_ms_total", 5_000),
        ):
            text = re.sub(rf"^{name} .*$", f"{name} {grown if asked > 1 else 0}", text, flags=re.MULTILINE)
        await route.fulfill(response=answer, body=text)

    await health.route("**/ready", ready)
    await health.route("**/metrics", metrics)
    await health.goto(f"{live_server.url}/health-page")

    def row(place: str, name: str) -> Locator:
        return health.locator(f"{place} tr", has_text=name).locator("td")

    await expect(row("#now", "Seconds of decoding per second of speech")).to_have_text(
        "0.25", timeout=FIGURES_MS
    )
    await expect(row("#times", "Wait of live speech for the engine")).to_have_text(["70", "20 ms", "310 ms"])
    await expect(row("#now", "Interims dropped")).to_have_text("1 (2 %)")
    await expect(row("#now", "Audio dropped")).to_have_text("5 s (20 %)")
    await expect_clean(health)


@pytest.mark.long
async def test_the_reference_page_is_axe_clean_with_every_route_open(
    browser: Browser, live_server: LiveServer
) -> None:
    context = await browser.new_context(viewport=PHONE)
    try:
        page = await context.new_page()
        await page.goto(f"{live_server.url}/reference")
        await expect(page.locator("details").first).to_be_visible(timeout=FIGURES_MS)
        await page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect_clean(page)
        await page.set_viewport_size(DESKTOP)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        opened = await page.locator("details[open]").count()
        await page.click("#language")
        await expect(page.locator("details").first).to_contain_text("가능한 오류")
        await expect(page.locator("details[open]")).to_have_count(opened)
    finally:
        await context.close()


async def test_the_health_page_lists_the_channels_with_their_audio_without_text(
    browser: Browser, tmp_path: Path
) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        emit = desk.session.log.emit
        emit(an_event(EventType.CHANNEL_OPENED, "C02", label="Gate", start_ms=0))
        desk.final("alpha one", channel="C02")
        RECEPTION.add(track := FedTrack((desk.session.id, "C02")))
        lost = {"from_ms": 500, "to_ms": 2500, "state": "lost", "reason": "network"}
        emit(an_event(EventType.COVERAGE, "C02", **lost))
        await desk.written()
        context = await browser.new_context(viewport=PHONE)
        page = await context.new_page()
        await page.goto(f"{desk.url}/health-page")
        cells = page.locator("#channels tbody tr").locator("th, td")
        await expect(cells).to_have_text(
            ["C02 Gate", "Ended", "1", "0 ms", "2 s (100 %)", "0", "0", "4.2 ms"], timeout=FIGURES_MS
        )
        await expect(cells.nth(4)).to_have_class("bad")
        name = await cells.first.bounding_box()
        assert name and name["width"] > 80 and name["height"] < 40, "a name is not broken on a phone"
        await page.click("#language")
        await expect(page.locator("#channels thead")).to_contain_text("유실")
        await expect(page.locator("#channels thead")).to_contain_text("지터")
        RECEPTION.remove(track)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect_clean(page)
        await context.close()


async def test_the_health_page_says_plainly_what_is_wrong(health: Page, live_server: LiveServer) -> None:
    async def degraded(route: Route) -> None:
        answer = await route.fetch()
        body = {**await answer.json(), "troubles": {"record": "the disk is full"}}
        await route.fulfill(status=503, body=json.dumps(body))

    async def without_engine(route: Route) -> None:
        answer = await route.fetch()
        text = (await answer.text()).replace(
            "host_stt_engine_is_connected 1.0", "host_stt_engine_is_connected 0.0"
        )
        await route.fulfill(response=answer, body=text)

    await health.route("**/ready", degraded)
    await health.route("**/metrics", without_engine)
    await health.goto(f"{live_server.url}/health-page")
    notes = health.locator("#notes")
    await expect(notes).to_contain_text("The speech engine does not respond", timeout=FIGURES_MS)
    record = notes.locator("p", has_text="the disk is full")
    await expect(record).to_have_text("The record of events and text has a problem. Why: the disk is full")
    await health.click("#language")
    await expect(record).to_contain_text("이벤트와 글의 기록에 문제가 있습니다. 이유:")
    await expect(record.locator("span")).to_have_attribute("lang", "en")
    await health.click("#language")
    await expect_clean(health)
    await health.route("**/metrics", lambda route: route.abort())
    await expect(health.locator("#state")).to_have_text(
        "The server does not respond. These are the last figures.", timeout=FIGURES_MS
    )
