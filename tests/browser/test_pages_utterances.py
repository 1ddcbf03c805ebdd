"""The finals of one utterance are one line on both pages, and in the text that is copied or downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.axe import expect_clean
from tests.browser.chromium import chromium, microphone_plays, page_engine, write_capture
from tests.browser.conftest import DESKTOP, PHONE, OpenPage
from tests.browser.live import LiveServer
from tests.browser.stub import StubServer
from tests.browser.test_first_words import session_events
from tests.support.speech import say, silence

pytestmark = [pytest.mark.browser, pytest.mark.peer, pytest.mark.asyncio(loop_scope="session")]


async def opened(open_page: OpenPage, stub: StubServer, path: str, **options: Any) -> Page:
    page = await open_page(path, **options)
    if path == "/":
        await page.click("#go")
        await stub.data_channel_opened()
    else:
        await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    return page


def part(stub: StubServer, text: str, start_ms: int, **fields: Any) -> None:
    """A final of the utterance u_long, of one second."""
    named = {"utterance": "u_long", "segment": f"g_{start_ms}", **fields}
    stub.final(text, start_ms, start_ms + 1000, **named)


async def expect_lines(page: Page, *texts: str) -> None:
    await expect(page.locator(".line p")).to_have_text(list(texts))


@pytest.mark.parametrize("path", ["/", "/watch"])
async def test_finals_of_one_utterance_grow_one_line(
    open_page: OpenPage, stub: StubServer, path: str
) -> None:
    page = await opened(open_page, stub, path)
    part(stub, "And so my fellow Americans,", 1000)
    await expect_lines(page, "And so my fellow Americans,")
    part(stub, "ask not", 2000)
    stub.final("what your country can do", 5000, 6000, utterance="u_next", segment="g_5000")
    await expect_lines(page, "And so my fellow Americans, ask not", "what your country can do")
    await expect(page.locator(".line time")).to_have_text(["00:01.000", "00:05.000"])
    spans = page.locator(".segment")
    await expect(spans).to_have_text(["And so my fellow Americans,", "ask not", "what your country can do"])
    for at, (segment, time) in enumerate([("g_1000", "00:01.000"), ("g_2000", "00:02.000")]):
        await expect(spans.nth(at)).to_have_attribute("id", segment)
        await expect(spans.nth(at)).to_have_attribute("title", time)
    await expect_clean(page)


async def test_a_line_grows_without_moving_the_lines_above_and_the_page(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await opened(open_page, stub, "/", viewport=PHONE)
    stub.final("before", 0, 900)
    part(stub, "first words", 1000)
    await expect_lines(page, "before", "first words")
    # Against the log's own place: a step above may get a longer text in the meantime (the codec, the level).
    places = """async () => {
        const log = document.querySelector("#log"); // a new line slides into its place
        await Promise.all(log.getAnimations({ subtree: true }).map((one) => one.finished));
        return [".line", "#g_1000", "#interim", ".side"].map((name) => {
            const { left, top } = document.querySelector(name).getBoundingClientRect();
            return [left, top - log.getBoundingClientRect().top]; }); }"""
    before = await page.evaluate(places)
    part(stub, "and more words until the line needs a second and a third row on a phone", 2000)
    await expect(page.locator("#g_2000")).to_be_visible()
    assert await page.evaluate(places) == before


async def test_two_channels_that_speak_at_once_have_a_line_each(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await opened(open_page, stub, "/watch")
    part(stub, "alpha", 1000)
    part(stub, "bravo", 1500, channel="C02", utterance="u_other")
    part(stub, "one", 2000)
    part(stub, "two", 2500, channel="C02", utterance="u_other")
    await expect_lines(page, "alpha one", "bravo two")


async def test_a_gap_and_a_late_line_split_the_line_they_lie_in(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await opened(open_page, stub, "/watch")
    for start_ms, text in ((1000, "one"), (2000, "two"), (5000, "four"), (9000, "six")):
        part(stub, text, start_ms)
    await expect_lines(page, "one two four six")
    part(stub, "three", 3500, source="recovery")
    stub.say("coverage", channel="C01", from_ms=6500, to_ms=8500, state="lost", reason="network")
    await expect(page.locator("#log > div > p")).to_have_text(
        ["one two", "three", "four", "2.0 s did not arrive (00:06.500–00:08.500) · network", "six"],
    )
    times = ["00:01.000", "00:03.500", "00:05.000", "00:06.500", "00:09.000"]
    await expect(page.locator("#log time")).to_have_text(times)


async def test_late_finals_of_one_utterance_are_joined_by_their_time(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await opened(open_page, stub, "/watch")
    for start_ms, text in ((1000, "one"), (5000, "three"), (3000, "two")):
        part(stub, text, start_ms, source="backfill")
    await expect_lines(page, "one two three")
    await expect(page.locator(".line.late .source")).to_have_count(1)


async def test_after_a_minute_of_unbroken_speech_a_line_with_a_new_time_begins(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await opened(open_page, stub, "/watch")
    for start_ms in (0, 30_000, 59_000, 60_000, 90_000):
        part(stub, str(start_ms), start_ms)
    await expect_lines(page, "0 30000 59000", "60000 90000")


async def test_scripts_without_spaces_are_joined_without_a_space(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await opened(open_page, stub, "/watch")
    part(stub, "今日は", 1000, language="ja")
    part(stub, "晴れです。", 2000, language="ja")
    await expect_lines(page, "今日は晴れです。")


@pytest.mark.parametrize("path", ["/", "/watch"])
async def test_each_final_of_a_line_can_be_revised_and_withdrawn(
    open_page: OpenPage, stub: StubServer, path: str
) -> None:
    page = await opened(open_page, stub, path)
    for start_ms, text in ((1000, "alfa one"), (2000, "proceed"), (3000, "ofer")):
        part(stub, text, start_ms)
    await expect_lines(page, "alfa one proceed ofer")
    revision = {"channel": "C01", "revision": 1, "by": "glossary"}
    stub.say("segment.revised", segment="g_1000", old_text="alfa one", text="Alpha-1", **revision)
    stub.say("segment.revised", segment="g_3000", old_text="ofer", text="over", **revision)
    await expect_lines(page, "Alpha-1 proceed over")
    await expect(page.locator(".line .revised")).to_have_text(
        ["Revised. Before: “alfa one”", "Revised. Before: “ofer”"]
    )
    await expect(page.locator("#g_1000")).to_have_text("Alpha-1")


async def test_text_is_copied_by_utterance_and_a_subtitle_is_a_final_or_two_short_ones(
    open_page: OpenPage, stub: StubServer, tmp_path: Path
) -> None:
    page = await opened(open_page, stub, "/watch")
    stub.final("And so,", 1000, 1200, utterance="u_long", segment="g_1000")
    stub.final("my fellow Americans", 1700, 3000, utterance="u_long", segment="g_1700")
    stub.final("and women", 3100, 4500, utterance="u_long", segment="g_3100")
    stub.final("ask", 5000, 5200, utterance="u_next", segment="g_5000")
    await expect_lines(page, "And so, my fellow Americans and women", "ask")
    files = {}
    for kind in ("txt", "srt"):
        async with page.expect_download() as started:
            await page.click(f"[data-tool={kind}]")
        await (await started.value).save_as(tmp_path / kind)
        files[kind] = (tmp_path / kind).read_text(encoding="utf-8")
    assert files["txt"] == "[00:01.000] C01 And so, my fellow Americans and women\n[00:05.000] C01 ask\n"
    assert files["srt"] == (
        "1\n00:00:01,000 --> 00:00:03,000\nAnd so, my fellow Americans\n\n"
        "2\n00:00:03,100 --> 00:00:04,500\nand women\n\n"
        "3\n00:00:05,000 --> 00:00:06,000\nask\n\n"
    )


async def test_an_address_that_names_a_final_opens_the_page_there(
    open_page: OpenPage, stub: StubServer
) -> None:
    for i in range(60):
        stub.final(f"line {i}", i * 1000, i * 1000 + 500, segment=f"g_{i}", utterance=f"u_{i // 2}")
    page = await open_page("/watch#g_21")
    await expect(page.locator(".segment")).to_have_count(60)
    await expect(page.locator(".segment:target")).to_have_text("line 21")
    await expect(page.locator("#g_21")).to_be_in_viewport()
    await expect(page.locator("#follow")).not_to_be_checked()
    stub.final("newest", 61_000, 62_000)
    await expect(page.locator(".line", has_text="newest")).to_have_count(1)
    await expect(page.locator("#g_21")).to_be_in_viewport()
    await page.click("#more")
    await expect(page.locator(".line", has_text="newest")).to_be_in_viewport()


@pytest.mark.net
@pytest.mark.model
@pytest.mark.timeout(120)
async def test_each_utterance_of_the_real_server_is_one_line(live_server: LiveServer, tmp_path: Path) -> None:
    phrases = (
        "alpha one proceed to gate seven bravo two hold at bridge five engine four we are at checkpoint two "
    )
    wav = write_capture(tmp_path / "long.wav", [silence(5.0), say(phrases * 2), silence(3.0)])
    async with chromium(*microphone_plays(wav), executable=page_engine()) as browser:
        context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"], locale="en-GB")
        page = await context.new_page()
        await page.goto(live_server.url)
        await page.select_option("#spoken", "en")
        await page.click("#go")
        await expect(page.locator("[data-figure=count]")).not_to_have_text("0", timeout=90_000)
        await page.click("#go")
        await expect(page.locator("#go")).to_have_text("Start")
        script = "rows => rows.map((row) => [...row.querySelectorAll('.segment')].map((span) => span.id))"
        rows: list[list[str]] = await page.eval_on_selector_all(".line", script)
        events = await session_events(page)
    said_in = {event["segment"]: event["utterance"] for event in events if event["type"] == "segment.final"}
    utterances = [{said_in[segment] for segment in row} for row in rows]
    assert [len(one) for one in utterances] == [1] * len(rows), "a line has finals of two utterances"
    assert len(set.union(*utterances)) == len(rows), "an utterance has two lines"
    assert max(map(len, rows)) > 1, "the speech was long enough for early finals"
