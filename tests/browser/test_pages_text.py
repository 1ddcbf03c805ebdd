"""The model of the text, driven in a real browser: events in, lines and interims out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.browser.stub import StubServer
from tests.support.page_constants import page_list
from webrtc_host.seams import Source

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(started_browser: Browser) -> AsyncIterator[Page]:
    """One page for all tests of this file: they call the page's modules and change nothing in the page."""
    async with StubServer().running() as server:
        context = await started_browser.new_context()
        opened = await context.new_page()
        await opened.goto(server.url)
        yield opened
        await context.close()


async def fed(page: Page, events: list[dict[str, Any]]) -> dict[str, Any]:
    """What the model holds after these events."""
    script = """async (events) => {
        const { Transcript } = await import("/transcript.js");
        const model = new Transcript();
        const changes = events.flatMap((event) => model.feed({ session: "s_1", channel: "C01", ...event }));
        const interim = model.interim("C01");
        const { lines, gaps, lastSeq } = model;
        return { lines: lines.map((l) => l.text), originals: lines.map((l) => l.original ?? null), gaps,
                 interim: interim && interim.text, lastSeq, changes: changes.map((c) => c.type) };
    }"""
    result: dict[str, Any] = await page.evaluate(script, events)
    return result


def interim(text: str, revision: int, **fields: Any) -> dict[str, Any]:
    times = {"start_ms": 1000, "end_ms": 3000}
    return {
        "type": "segment.interim",
        "utterance": "u_1",
        "revision": revision,
        "text": text,
        **times,
        **fields,
    }


def final(text: str, seq: int, **fields: Any) -> dict[str, Any]:
    times = {"start_ms": 1000, "end_ms": 2000, "segment": f"g_{seq}", "utterance": "u_1"}
    return {"type": "segment.final", "seq": seq, "text": text, **times, **fields}


async def test_a_newer_interim_replaces_the_older_and_an_older_one_is_ignored(page: Page) -> None:
    result = await fed(page, [interim("alpha", 1), interim("alpha one", 3), interim("alfa", 2)])
    assert result["interim"] == "alpha one"
    assert result["lines"] == []


async def test_a_final_takes_its_words_off_the_interim(page: Page) -> None:
    result = await fed(page, [interim("alpha one proceed to gate", 1), final("Alpha one, proceed", 1)])
    assert result["lines"] == ["Alpha one, proceed"]
    assert result["interim"] == "to gate"


async def test_a_corrected_final_is_matched_by_its_raw_text(page: Page) -> None:
    events = [interim("alpha one proceed now", 1), final("Alpha-1 proceed", 1, raw="alpha one proceed")]
    assert (await fed(page, events))["interim"] == "now"


async def test_a_final_that_differs_from_the_interim_drops_it(page: Page) -> None:
    result = await fed(page, [interim("bravo two proceed", 1), final("alpha one proceed", 1)])
    assert result["interim"] is None


async def test_an_interim_that_came_late_does_not_bring_back_final_words(page: Page) -> None:
    result = await fed(page, [final("alpha one", 1, end_ms=3000), interim("alpha one", 9, end_ms=2900)])
    assert result["interim"] is None


async def test_an_event_that_comes_twice_counts_once(page: Page) -> None:
    result = await fed(page, [final("one", 1), final("two", 2), final("one", 1), final("two", 2)])
    assert result["lines"] == ["one", "two"]
    assert result["lastSeq"] == 2


async def test_unknown_and_malformed_events_change_nothing(page: Page) -> None:
    odd: list[Any] = [{"type": "from.tomorrow"}, {"type": 7}, {}, {"type": "toString"}]
    assert (await fed(page, odd))["changes"] in (["session"], [])


async def test_a_new_session_begins_its_own_numbers(page: Page) -> None:
    events = [final("one", 40), {**final("two", 1), "session": "s_2"}]
    assert (await fed(page, events))["lines"] == ["one", "two"]


async def test_lost_audio_is_kept_joined_and_taken_back_when_it_is_filled(page: Page) -> None:

    def cover(seq: int, from_ms: int, to_ms: int, state: str) -> dict[str, Any]:
        return {"type": "coverage", "seq": seq, "from_ms": from_ms, "to_ms": to_ms, "state": state}

    lost = [cover(1, 0, 1000, "lost"), cover(2, 1000, 2400, "lost"), cover(3, 3000, 3020, "lost")]
    result = await fed(page, lost)
    assert [(gap["from_ms"], gap["to_ms"]) for gap in result["gaps"]] == [(0, 2400)]
    assert (await fed(page, [*lost, cover(4, 0, 2400, "transcribed")]))["gaps"] == []


async def test_an_earlier_gap_that_is_reported_later_is_a_gap_of_its_own(page: Page) -> None:
    gaps = [
        {"type": "coverage", "seq": 1, "from_ms": 5000, "to_ms": 6000, "state": "lost"},
        {"type": "coverage", "seq": 2, "from_ms": 1000, "to_ms": 2000, "state": "lost"},
    ]
    result = await fed(page, gaps)
    assert [(gap["from_ms"], gap["to_ms"]) for gap in result["gaps"]] == [(1000, 2000), (5000, 6000)]


async def test_the_middle_of_a_gap_can_be_filled(page: Page) -> None:
    events = [
        {"type": "coverage", "seq": 1, "from_ms": 0, "to_ms": 9000, "state": "lost"},
        {"type": "coverage", "seq": 2, "from_ms": 3000, "to_ms": 5000, "state": "transcribed"},
    ]
    result = await fed(page, events)
    assert [(gap["from_ms"], gap["to_ms"]) for gap in result["gaps"]] == [(0, 3000), (5000, 9000)]


async def test_a_final_without_text_makes_no_line_and_removes_its_interim(page: Page) -> None:
    result = await fed(page, [interim("alpha", 1), final("", 1)])
    assert (result["lines"], result["interim"]) == ([], None)


async def test_a_revision_replaces_the_text_and_keeps_the_first_one(page: Page) -> None:
    lines = [final("alfa one", 1), final("over", 2)]
    revisions = [
        {"type": "segment.revised", "seq": seq, "segment": segment, "revision": number, "text": text}
        for seq, segment, number, text in (
            (3, "g_1", 1, "alpha one"),
            (4, "g_1", 3, "Alpha-1"),
            (5, "g_1", 2, "alpha won"),
            (6, "g_unknown", 1, "nothing"),
        )
    ]
    result = await fed(page, [*lines, *revisions])
    assert result["lines"] == ["Alpha-1", "over"]
    assert result["originals"] == ["alfa one", None]
    assert result["changes"].count("revised") == 2


async def test_every_event_type_of_the_pages_list_has_a_handler(page: Page) -> None:
    script = """async () => [[...(await import("/transcript.js")).HANDLERS.keys()],
                             (await import("/events.js")).EVENT_TYPES]"""
    handled, listed = await page.evaluate(script)
    assert handled == listed == page_list("EVENT_TYPES")


@pytest.mark.parametrize("source", list(Source))
async def test_a_line_that_was_not_read_live_stands_where_it_was_said(page: Page, source: Source) -> None:
    live = [final("one", 1), final("three", 2, start_ms=9000, end_ms=9900)]
    result = await fed(page, [*live, final("two", 3, start_ms=5000, end_ms=5900, source=source.value)])
    assert result["lines"] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "00:00.000"), (61234, "01:01.234"), (3599999, "59:59.999"), (3600000, "01:00:00.000")],
)
async def test_timecodes_read_as_the_wire_writes_them(page: Page, ms: int, text: str) -> None:
    script = "async (ms) => (await import('/timecode.js')).timecode(ms)"
    assert await page.evaluate(script, ms) == text


async def test_files_are_made_from_the_lines(page: Page) -> None:
    script = """async () => {
        const { make } = await import("/export.js");
        const line = { channel: "C01", segment: "g_1", start_ms: 3_723_004, end_ms: 3_725_120,
                       text: "알파원 이동", language: "ko", seq: 4, secret: 1 };
        const earlier = { ...line, start_ms: 500, end_ms: 900, text: "first", segment: "g_0" };
        return ["txt", "srt", "json"].map((kind) => make(kind, [line, earlier], "s_1"));
    }"""
    txt, srt, made = await page.evaluate(script)
    assert txt == "[01:02:03.004] C01 알파원 이동\n[00:00.500] C01 first\n"
    assert srt.startswith("1\n00:00:00,500 --> 00:00:01,500\nfirst\n\n2\n01:02:03,004 --> 01:02:05,120\n")
    assert '"session": "s_1"' in made and '"secret"' not in made
