"""A page whose network goes away comes back by itself, and what was said meanwhile becomes text, once.

Real engine, real server, real Chromium; the network is `tests.support.relay`. Times are judged as in
test_first_words: by the WAV's own pauses.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.chromium import chromium, give_up_soon, microphone_plays, page_engine, write_capture
from tests.browser.conftest import DESKTOP
from tests.browser.live import LiveServer
from tests.browser.test_first_words import BUSY_BOX_MS, ONSET, lines_of, milliseconds, session_events
from tests.support.relay import Relay
from tests.support.speech import say, silence

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.net,
    pytest.mark.model,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

WAY_S = 14.0  # the page here gives WebRTC 2 s
LEAD_S = 6.0  # the page connects meanwhile, also on a busy machine
PAUSE_S = 6.0  # the first line is read meanwhile, and the cut begins after it
TOLERANCE_MS = 400
THROUGH_THE_RELAY = """
    const { fetch } = window;
    window.fetch = (where, how) => {  // the client's own addresses would be a way around the relay
        if (how?.method === "POST" && String(where).endsWith("/offer")) {
            const body = JSON.parse(how.body);
            body.sdp = body.sdp.replace(/a=candidate:.*\\r\\n/g, "");
            how = { ...how, body: JSON.stringify(body) };
        }
        return fetch(where, how).then(async (answer) => {
            if (how?.method !== "POST" || !answer.ok || !String(where).endsWith("/offer")) return answer;
            const body = await answer.json();
            const lead = /(a=candidate:\\S+ \\d+ (?:udp|tcp) \\d+) \\S+ \\d+/gi;
            body.sdp = body.sdp.replace(lead, `$1 ${location.hostname} ${location.port}`);
            return Response.json(body);
        });
    };
"""

NO_WAY = """
    const { fetch } = window;
    window.fetch = (where, how) => fetch(where, how).then(async (answer) => {
        if (how?.method !== "POST" || !answer.ok || !String(where).endsWith("/offer")) return answer;
        const body = await answer.json();
        body.sdp = body.sdp.replace(/a=candidate:.*\\r\\n/g, "");
        return Response.json(body);
    });
    Object.defineProperty(RTCPeerConnection.prototype, "localDescription", {
        get() {
            const found = this.currentLocalDescription ?? this.pendingLocalDescription;
            return found && { type: found.type, sdp: found.sdp.replace(/a=candidate:.*\\r\\n/g, "") };
        },
    });
"""


class Stage:
    """A page that speaks a WAV through the relay; `said_s`: when each phrase begins in it."""

    def __init__(self, page: Page, relay: Relay, said_s: Sequence[float]) -> None:
        self.page = page
        self.relay = relay
        self.said_s = said_s
        self.began_s = 0.0

    async def start(self, language: str = "en") -> None:
        await self.page.goto(self.relay.url)
        await self.page.select_option("#spoken", language)
        await self.page.click("#go")
        await expect(self.page.locator("#button-text")).to_have_text("Stop", timeout=BUSY_BOX_MS)

    async def first_line(self) -> None:
        """Wait for it; by then the page has heard when the WAV truly began, however busy the box."""
        await expect(self.page.locator(".line")).to_have_count(1, timeout=BUSY_BOX_MS)
        heard = await self.page.evaluate("window.heard")
        began_wall_s = (heard["anchorMs"] + heard["onsets"][0]) / 1000 - self.said_s[0]
        self.began_s = asyncio.get_running_loop().time() - (time.time() - began_wall_s)

    async def at(self, second: float) -> None:
        """Wait for this second of the WAV; after `first_line` alone."""
        wait_s = self.began_s + second - asyncio.get_running_loop().time()
        assert wait_s > -1.0, f"the box was too busy: second {second:.1f} of the WAV is {-wait_s:.1f} s ago"
        await asyncio.sleep(max(0.0, wait_s))

    async def phase_is(self, phase: str, within_ms: int = BUSY_BOX_MS) -> None:
        await expect(self.page.locator("main")).to_have_attribute("data-phase", phase, timeout=within_ms)


@asynccontextmanager
async def speaking(
    server: LiveServer, folder: Path, phrases: Sequence[str], pause_s: float, language: str = "en"
) -> AsyncIterator[Stage]:
    pieces, said_s = [silence(LEAD_S)], []
    for phrase in phrases:
        said_s.append(sum(map(len, pieces)) / 16_000)
        pieces += [say(phrase, language), silence(pause_s)]
    wav = write_capture(folder / "said.wav", pieces)
    with Relay(server.media_port) as relay:
        async with chromium(*microphone_plays(wav), executable=page_engine()) as browser:
            context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"], locale="en-GB")
            page = await context.new_page()
            await page.add_init_script(ONSET)
            await page.add_init_script(THROUGH_THE_RELAY)
            yield Stage(page, relay, said_s)


@pytest.fixture(scope="module")
def relayed_server(tmp_path_factory: pytest.TempPathFactory) -> object:
    folder: Path = tmp_path_factory.mktemp("relayed")
    with LiveServer(folder).running() as server:
        yield server


PHRASES = (
    "alpha one proceed to gate seven over",
    "bravo two hold at bridge five over",
    "engine four we are at checkpoint two",
)


def assert_once_and_in_place(
    lines: list[tuple[str, str]], phrases: Sequence[str], said_s: Sequence[float]
) -> None:
    """Every phrase is one line, nothing besides, and the distances in time are those of the WAV."""
    assert [text.lower().strip(" .") for _, text in lines] == list(phrases)
    starts = [milliseconds(time) for time, _ in lines]
    errors = [
        round((start - starts[0]) - (true - said_s[0]) * 1000)
        for start, true in zip(starts, said_s, strict=True)
    ]
    assert max(map(abs, errors)) <= TOLERANCE_MS, errors


async def test_words_said_while_the_network_was_cut_follow_once_and_in_place(
    relayed_server: LiveServer, tmp_path: Path
) -> None:
    async with speaking(relayed_server, tmp_path, PHRASES, pause_s=PAUSE_S) as stage:
        await stage.start()
        await stage.first_line()
        cut_s = stage.said_s[1] - 1.0
        await stage.at(cut_s)
        with stage.relay.cut():
            await stage.at(cut_s + 5.0)
        await expect(stage.page.locator(".line")).to_have_count(len(PHRASES), timeout=BUSY_BOX_MS)
        await stage.phase_is("live")
        lines = await lines_of(stage.page)
        events = await session_events(stage.page)
        await expect(stage.page.locator(".gap")).to_have_count(0, timeout=BUSY_BOX_MS)
    assert_once_and_in_place(lines, PHRASES, stage.said_s)
    finals = [event for event in events if event["type"] == "segment.final"]
    assert len(finals) == len(PHRASES)
    assert len({event["channel"] for event in finals}) == 1


async def test_where_webrtc_cannot_pass_the_sound_takes_a_websocket_and_the_page_says_so(
    relayed_server: LiveServer, tmp_path: Path
) -> None:
    wav = write_capture(tmp_path / "said.wav", [silence(WAY_S), say(PHRASES[0]), silence(2.0)])
    async with chromium(*microphone_plays(wav), executable=page_engine()) as browser:
        context = await browser.new_context(viewport=DESKTOP, permissions=["microphone"], locale="en-GB")
        page = await context.new_page()
        await page.add_init_script(NO_WAY)
        await give_up_soon(page)
        await page.goto(relayed_server.url)
        await page.select_option("#spoken", "en")
        await page.click("#go")
        await expect(page.locator("#button-text")).to_have_text("Stop", timeout=BUSY_BOX_MS)
        await expect(page.locator("[data-step=connection]")).to_contain_text("over WebSocket")
        await expect(page.locator(".line p")).to_have_text(re.compile(PHRASES[0], re.I), timeout=BUSY_BOX_MS)
        events = await session_events(page)
        await page.click("#go")
        await expect(page.locator("[data-step=text] .detail")).to_have_text(
            "finished, nothing lost", timeout=BUSY_BOX_MS
        )
    opened = [event for event in events if event["type"] == "channel.opened"]
    assert opened[-1]["door"] == "socket"
    said = [event for event in events if event["type"] == "segment.final"]
    assert said[-1]["channel"] == opened[-1]["channel"]
