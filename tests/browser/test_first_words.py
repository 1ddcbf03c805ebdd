"""First words with nothing put on: real engine, real server, real Chromium, and espeak-ng as the speaker.

Truth: the WAV's own pauses are known to the sample, and the page notes by its wall clock when each phrase was
heard at the microphone (onset.js), so both the distances and the places on the session's timeline are judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import pytest
from playwright.async_api import BrowserContext, Page, expect

from host_stt.contract import SAMPLE_RATE, Float32Array
from tests.browser.chromium import chromium, microphone_plays, page_engine, write_capture
from tests.browser.conftest import DESKTOP
from tests.browser.live import LiveServer
from tests.support.polling import until
from tests.support.speech import say, silence

pytestmark = [
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.model,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="session"),
]

PHRASES = {
    "en": (
        "alpha one proceed to gate seven over",
        "bravo two hold at bridge five over",
        "engine four we are at checkpoint two",
    ),
    "ko": ("알파원 정문으로 이동하라 이상", "브라보투 주차장 확인 바람", "찰리쓰리 본부로 이동하라 이상"),
}
LEAD_S = 6.0  # the page connects meanwhile, also on a busy machine
PAUSE_S = 2.0
TOLERANCE_MS = 300
ERROR_RATE_MAX = 0.10
BUSY_BOX_MS = 90_000
ONSET = Path(__file__).with_name("onset.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Spoken:
    wav: Path
    starts_ms: tuple[float, ...]  # in the WAV
    ends_ms: tuple[float, ...]


def spoken(folder: Path, language: str) -> Spoken:
    pieces: list[Float32Array] = [silence(LEAD_S)]
    starts, ends = [], []
    for phrase in PHRASES[language]:
        starts.append(sum(map(len, pieces)) * 1000 / SAMPLE_RATE)
        pieces.append(say(phrase, language))
        ends.append(sum(map(len, pieces)) * 1000 / SAMPLE_RATE)
        pieces.append(silence(PAUSE_S))
    return Spoken(write_capture(folder / f"{language}.wav", pieces), tuple(starts), tuple(ends))


async def lines_of(page: Page) -> list[tuple[str, str]]:
    script = "rows => rows.map((row) => ['time', 'p'].map((part) => row.querySelector(part).textContent))"
    return [(time, text) for time, text in await page.eval_on_selector_all(".line", script)]


def milliseconds(timecode: str) -> int:
    """mm:ss.mmm, or with hours in front."""
    *minutes, seconds = timecode.split(":")
    whole = 0
    for part in minutes:
        whole = whole * 60 + int(part)
    return whole * 60_000 + round(float(seconds) * 1000)


async def begin(context: BrowserContext, server: LiveServer, language: str) -> Page:
    page = await context.new_page()
    await page.add_init_script(ONSET)
    await page.goto(server.url)
    await expect(page.locator(".banner.starter")).to_be_visible(timeout=BUSY_BOX_MS)
    await page.select_option("#spoken", language)
    await page.click("#go")
    return page


async def finish(page: Page) -> None:
    await page.click("#go")
    done = "finished, nothing lost"
    await expect(page.locator("[data-step=text] .detail")).to_have_text(done, timeout=BUSY_BOX_MS)


def error_rate(language: str, texts: list[str]) -> float:
    """Of the words, for Korean of the characters."""
    said, read = " ".join(PHRASES[language]), " ".join(texts)
    if language == "ko":
        return float(jiwer.cer(said.replace(" ", ""), read.replace(" ", "")))
    return float(jiwer.wer(said, read.lower()))


def assert_times(starts: list[int], truth: list[float], what: str) -> None:
    errors = [round(start - true) for start, true in zip(starts, truth, strict=True)]
    assert max(map(abs, errors)) <= TOLERANCE_MS, f"{what} off by {errors} ms"


@pytest.mark.parametrize("language", ["en", pytest.param("ko", marks=pytest.mark.long)])
async def test_words_spoken_into_a_microphone_are_read_here_and_by_a_watcher(
    live_server: LiveServer, tmp_path: Path, language: str
) -> None:
    truth = spoken(tmp_path, language)
    async with chromium(*microphone_plays(truth.wav)) as browser:
        context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"], locale="en-GB")
        watching = await (await browser.new_context(viewport=DESKTOP)).new_page()
        await watching.goto(f"{live_server.url}/watch")
        page = await begin(context, live_server, language)
        await expect(page.locator("#interim.hearing")).to_be_visible(timeout=BUSY_BOX_MS)

        async def is_read() -> bool:
            return error_rate(language, [text for _, text in await lines_of(page)]) <= ERROR_RATE_MAX

        # Not a number of lines: a browser that gets no processor time breaks a phrase in two.
        await until(is_read, BUSY_BOX_MS / 1000)
        await expect(page.locator("[data-figure=codec]")).to_contain_text("Opus")
        await finish(page)
        lines = await lines_of(page)
        await expect(watching.locator(".line p", has_text=lines[-1][1]).last).to_be_visible(
            timeout=BUSY_BOX_MS
        )
        seen = await lines_of(watching)

    assert error_rate(language, [text for _, text in lines]) <= ERROR_RATE_MAX
    assert seen[-len(lines) :] == lines


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "ko"])
async def test_words_spoken_into_a_microphone_have_the_times_at_which_they_were_spoken(
    live_server: LiveServer, tmp_path: Path, language: str
) -> None:
    """Long, because Chromium's fake microphone stops and goes on late when it gets no processor time."""
    truth = spoken(tmp_path, language)
    async with chromium(*microphone_plays(truth.wav)) as browser:
        context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"], locale="en-GB")
        page = await begin(context, live_server, language)
        await expect(page.locator(".line")).to_have_count(len(PHRASES[language]), timeout=BUSY_BOX_MS)
        heard: dict[str, Any] = await page.evaluate("window.heard")
        events = await session_events(page)
        await finish(page)
        lines = await lines_of(page)

    starts = [milliseconds(time) for time, _ in lines]
    assert_times(
        [start - starts[0] for start in starts], [at - truth.starts_ms[0] for at in truth.starts_ms], "pauses"
    )
    finals = [event for event in events if event["type"] == "segment.final"][-len(lines) :]
    lengths = [event["end_ms"] - event["start_ms"] for event in finals]
    assert_times(
        lengths, [end - at for at, end in zip(truth.starts_ms, truth.ends_ms, strict=True)], "lengths"
    )
    t0_ms = next(event["t0_ms"] for event in events if event["type"] == "session.started")
    onsets = [heard["anchorMs"] + at - t0_ms for at in heard["onsets"]]
    assert_times(starts, onsets, "places on the timeline")


async def session_events(page: Page) -> list[dict[str, Any]]:
    """Every stored event of the session, read as any watcher would; t = 0 also as a number."""
    script = """() => new Promise((done) => {
        const events = [], source = new EventSource("/events?since=0");
        let timer = 0;
        source.onmessage = (message) => {
            const event = JSON.parse(message.data);
            if (event.t0_wall) event.t0_ms = Date.parse(event.t0_wall);
            events.push(event);
            clearTimeout(timer);
            timer = setTimeout(() => { source.close(); done(events); }, 1000);
        };
    })"""
    events: list[dict[str, Any]] = await page.evaluate(script)
    return events


@pytest.mark.parametrize("language", ["en", "ko"])
async def test_the_test_clip_is_read_without_a_microphone(live_server: LiveServer, language: str) -> None:
    async with chromium(executable=page_engine()) as browser:
        context = await browser.new_context(viewport=DESKTOP, locale="en-GB")
        watching = await context.new_page()
        await watching.goto(f"{live_server.url}/watch?transport=sse")
        page = await context.new_page()
        await page.goto(live_server.url)
        await page.click(f"[data-clip={language}]")
        done = "finished, nothing lost"
        await expect(page.locator("[data-step=text] .detail")).to_have_text(done, timeout=BUSY_BOX_MS)
        says = await page.inner_text("#clip-text")
        lines = await lines_of(page)
        await expect(watching.locator(".line p", has_text=lines[-1][1]).last).to_be_visible(
            timeout=BUSY_BOX_MS
        )
        seen = await lines_of(watching)
    clip = says.split("“")[1].split("”")[0]
    assert (
        jiwer.cer(clip.replace(" ", ""), "".join(text for _, text in lines).replace(" ", ""))
        <= ERROR_RATE_MAX
    )
    assert seen[-len(lines) :] == lines


async def test_a_change_of_the_glossary_shows_in_the_next_line(live_server: LiveServer) -> None:
    async with chromium(executable=page_engine()) as browser:
        page = await browser.new_page(viewport=DESKTOP, locale="en-GB")
        await page.goto(live_server.url)
        await expect(page.locator("#glossary .status")).to_have_text("", timeout=BUSY_BOX_MS)
        for terms, expected in (("", "alpha one"), ("Alpha-1", "Alpha-1")):
            await page.fill("#terms", terms)
            await page.click("#glossary button")
            await expect(page.locator("#glossary .status")).to_contain_text("In use", timeout=BUSY_BOX_MS)
            await page.click("[data-clip=en]")
            await expect(page.locator(".line p").last).to_contain_text(expected, timeout=BUSY_BOX_MS)
            await expect(page.locator("#go")).to_have_text("Start", timeout=BUSY_BOX_MS)
        await page.fill("#terms", "")
        await page.click("#glossary button")
        await expect(page.locator("#glossary .status")).to_contain_text("In use", timeout=BUSY_BOX_MS)


async def test_over_https_with_a_token_both_pages_work(tmp_path: Path) -> None:
    server = LiveServer(tmp_path, "tls.mode=self-signed", scheme="https", token="open-sesame")
    with server.running():
        async with chromium(executable=page_engine()) as browser:
            context = await browser.new_context(viewport=DESKTOP, locale="en-GB", ignore_https_errors=True)
            page = await context.new_page()
            await page.goto(server.url)
            assert await page.evaluate("isSecureContext")
            await page.click("[data-clip=en]")
            await page.fill("#token-value", "open-sesame")
            await page.keyboard.press("Enter")
            await expect(page.locator(".line")).to_have_count(1, timeout=BUSY_BOX_MS)
            await page.goto(f"{server.url}/watch")
            await expect(page.locator("#live")).to_have_text("Live", timeout=BUSY_BOX_MS)
            await expect(page.locator(".line")).to_have_count(1, timeout=BUSY_BOX_MS)
            await page.goto(f"{server.url}/watch?transport=sse")
            await expect(page.locator("#live")).to_have_text("Live over SSE", timeout=BUSY_BOX_MS)
            await expect(page.locator(".line")).to_have_count(1, timeout=BUSY_BOX_MS)
    assert "open-sesame" not in server.output.read_text(encoding="utf-8")
