"""The delay on the microphone page: what it counts, from the server's events."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def delays(page: Page, events: list[dict[str, Any]]) -> dict[str, list[int]]:
    """What the delays of these events are, in milliseconds."""
    script = """async (events) => {
        const { Delays } = await import("/delays.js");
        const delays = new Delays();
        for (const event of events) delays.feed({ utterance: "u_1", ...event });
        return { first: delays.first, final: delays.final };
    }"""
    found: dict[str, list[int]] = await page.evaluate(script, events)
    return found


STARTED = {"type": "speech.started", "start_ms": 1000}
INTERIM = {"type": "segment.interim", "text": "ask", "end_ms": 1700, "latency_ms": 250}
EARLY = {"type": "segment.final", "text": "ask not", "end_ms": 3000, "latency_ms": 2400}
ENDED = {"type": "speech.ended", "start_ms": 1000, "end_ms": 6000}
LAST = {"type": "segment.final", "text": "for you", "end_ms": 5900, "latency_ms": 700}


CASES: dict[str, tuple[list[dict[str, Any]], list[int], list[int]]] = {
    "speech goes on": ([STARTED, INTERIM, EARLY], [950], []),
    "the last words have no final yet": ([STARTED, INTERIM, EARLY, ENDED], [950], []),
    "the last final counts": ([STARTED, INTERIM, EARLY, ENDED, LAST], [950], [700]),
    "the last final comes before the end is reported": ([STARTED, EARLY, LAST, ENDED], [4400], [700]),
    "a later final replaces the last one": (
        [STARTED, INTERIM, ENDED, LAST, {**LAST, "latency_ms": 900}],
        [950],
        [900],
    ),
    "a final without text": ([STARTED, ENDED, {**LAST, "text": " "}], [], []),
    "a final from the archive": ([STARTED, ENDED, {**LAST, "source": "recovery"}], [], []),
    "speech began before this page was opened": ([INTERIM, ENDED, LAST], [], [700]),
}


async def test_the_delay_counts_the_end_of_an_utterance_and_its_first_text(open_page: OpenPage) -> None:
    page = await open_page()
    for name, (events, first, final) in CASES.items():
        assert await delays(page, events) == {"first": first, "final": final}, name
