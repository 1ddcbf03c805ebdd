"""A page that is connected: what it shows while somebody speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import PHONE, OpenPage
from tests.browser.stub import READY, StubServer

pytestmark = [pytest.mark.browser, pytest.mark.peer, pytest.mark.asyncio(loop_scope="session")]


async def begin(page: Page, stub: StubServer) -> None:
    await page.click("#go")
    await expect(page.locator("#button-text")).to_have_text("Stop")
    await stub.data_channel_opened()


def one_utterance(
    stub: StubServer, utterance: str, text: str, start_ms: int, end_ms: int, **fields: Any
) -> None:
    """Speech that ends, with one final."""
    named = {"channel": "C01", "utterance": utterance, "start_ms": start_ms}
    stub.say("speech.started", **named)
    stub.say("speech.ended", **named, end_ms=end_ms, rule="hangover")
    stub.final(text, start_ms, end_ms, utterance=utterance, **fields)


async def test_the_steps_are_shown_with_words_as_they_happen(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await expect(page.locator("[data-step] .word")).to_have_text(["not yet"] * 6)
    await begin(page, stub)
    for step in ("secure", "permission", "device", "connection"):
        await expect(page.locator(f"[data-step={step}] .word")).to_have_text("ready")
    await expect(page.locator("[data-step=device] .detail")).to_contain_text("Fake")
    await expect(page.locator("[data-step=text] .detail")).to_have_text("waiting for speech")
    stub.final("alpha one", 1000, 2000)
    await expect(page.locator("[data-step=text] .detail")).to_have_text("1 line")


async def test_no_word_of_the_steps_is_broken_on_a_phone(open_page: OpenPage) -> None:
    page = await open_page(viewport=PHONE)
    script = """names => names.filter((name) => {
        const text = name.firstChild, range = document.createRange();
        return [...text.data.matchAll(/\\S+/g)].some((word) => {
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            return range.getClientRects().length !== 1; });
    }).map((name) => name.textContent)"""
    assert await page.locator("[data-step] .name").count() == 6
    for width in (320, 360, 390, 414, 720):
        await page.set_viewport_size({"width": width, "height": 844})
        assert await page.eval_on_selector_all("[data-step] .name", script) == [], width


async def test_the_offer_names_the_channel_and_its_language(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await page.select_option("#spoken", "ko")
    await begin(page, stub)
    (offer,) = stub.offers
    assert offer["type"] == "offer" and offer["sdp"].count("m=audio") == 1 and "m=application" in offer["sdp"]
    assert offer["channels"] == [{"mid": "0", "language": "ko"}]


async def test_the_operators_ice_servers_are_used(open_page: OpenPage, stub: StubServer) -> None:
    turn = {"urls": ["turn:127.0.0.1:9"], "username": "desk", "credential": "secret"}
    stub.ice_servers = [turn, {"urls": ["stun:127.0.0.1:9"], "username": "", "credential": ""}]
    page = await open_page()
    await page.evaluate(
        """() => { const Real = RTCPeerConnection;
            window.RTCPeerConnection = class extends Real {
                constructor(wish) { super(wish); window.wished = wish.iceServers; } }; }"""
    )
    await begin(page, stub)
    assert await page.evaluate("window.wished") == [turn, {"urls": ["stun:127.0.0.1:9"]}]


async def test_processing_of_the_browser_is_off_unless_asked_for(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await page.evaluate(
        """() => { const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices);
            window.asked = []; devices.getUserMedia = (c) => (window.asked.push(c.audio), real(c)); }"""
    )
    await begin(page, stub)
    await page.check("#noise")
    await page.wait_for_function("window.asked.length === 2")
    first, second = await page.evaluate("window.asked")
    off = {"echoCancellation": False, "noiseSuppression": False, "autoGainControl": False}
    assert {key: first[key] for key in off} == off
    assert {key: second[key] for key in off} == {**off, "noiseSuppression": True}
    await expect(page.locator("#button-text")).to_have_text("Stop")


async def test_interims_settle_into_finals_without_moving_the_page(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page(viewport=PHONE)
    await begin(page, stub)
    # Against the log's own place: a step above may say something longer meanwhile (the codec, the level).
    places = """() => ["#log", "#interim", ".side"].map((name) => {
        const { height, top } = document.querySelector(name).getBoundingClientRect();
        return [height, top - document.querySelector("#log").getBoundingClientRect().top]; })"""
    before = await page.evaluate(places)
    words = "alpha one proceed to gate seven and wait there for the others until further notice " * 4
    times = {"start_ms": 1000, "end_ms": 9000}
    fields = {"channel": "C01", "utterance": "u_1", "revision": 1, "stable_chars": 20, **times}
    stub.say("segment.interim", text=words, **fields)
    await expect(page.locator("#interim .steady")).to_have_text(words[:20])
    assert await page.evaluate(places) == before
    stub.final(words, 1000, 9000, utterance="u_1")
    await expect(page.locator(".line p")).to_have_text(words.strip())
    await expect(page.locator("#interim .steady")).to_have_text("")
    assert await page.evaluate(places) == before
    await expect(page.locator(".line time")).to_have_text("00:01.000")


async def test_only_finals_are_announced_and_lines_carry_their_language(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    stub.final("알파원 정문으로 이동하라", 1000, 2000, language="ko")
    await expect(page.locator(".line p")).to_have_attribute("lang", "ko")
    await expect(page.locator("#log")).to_have_attribute("aria-live", "polite")
    await expect(page.locator("#interim")).to_have_attribute("aria-hidden", "true")


async def test_glossary_terms_are_marked_and_changed_words_tell_what_was_heard(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await expect(page.locator("#terms")).to_have_value("Alpha-1")
    await begin(page, stub)
    edit = {"from": "gate seven", "to": "Gate-7", "term": "Gate-7", "kind": "alias"}
    unsure = [{"text": "over", "start_ms": 1, "end_ms": 2, "p": 0.2}]
    stub.final("Alpha-1 to Gate-7 not Alpha-12 over", 1000, 2000, edits=[edit], words=unsure)
    await expect(page.locator(".line .term")).to_have_text(["Alpha-1", "Gate-7"])
    await expect(page.locator(".line .edited")).to_have_attribute("title", "transcribed as “gate seven”")
    await expect(page.locator(".line .unsure")).to_have_text("over")


async def test_a_line_read_from_the_recording_says_so_and_counts_for_no_delay(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    one_utterance(stub, "u_one", "one", 1000, 2000)
    one_utterance(stub, "u_three", "three", 9000, 9900)
    talkers = [{"id": 4001, "start_ms": 4000, "label": "Engine 12"}, {"id": 4002, "start_ms": 5500}]
    stub.final("two", 5000, 5900, source="recovery", latency_ms=60_000, talkers=talkers)
    lines = page.locator(".line p")
    await expect(lines).to_have_text(["one", "two", "three"])
    await expect(page.locator(".line.late .source")).to_have_text("Transcribed later from the archive")
    await expect(page.locator(".line.late")).to_have_count(1)
    await expect(page.locator(".line .talkers")).to_have_text(["Talking: Engine 12, radio 4002"])
    await expect(page.locator("[data-figure=count]")).to_have_text("2")


async def test_the_delay_is_shown_with_its_percentiles_and_count(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    for i, latency in enumerate([500, 700, 2000]):
        one_utterance(stub, f"u_{i}", f"line {i}", i * 1000, i * 1000 + 500, latency_ms=latency)
    await expect(page.locator("[data-figure=count]")).to_have_text("3")
    await expect(page.locator("[data-figure=final50]")).to_have_text("0.70 s")
    await expect(page.locator("[data-figure=final95]")).to_have_text("2.00 s")
    await expect(page.locator("[data-figure=first50]")).to_have_text("1.20 s")
    await expect(page.locator("[data-figure=first95]")).to_have_text("2.50 s")
    await expect(page.locator("[data-figure=codec]")).to_have_text("Opus 48 kHz")


async def test_words_still_being_heard_stay_until_their_final(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await begin(page, stub)
    fields = {"channel": "C01", "utterance": "u_1", "start_ms": 1000, "end_ms": 2000}
    stub.say("segment.interim", text="alpha one", revision=1, stable_chars=5, **fields)
    stub.say("speech.ended", **fields)
    stub.say("channel.state", channel="C01", state="idle")
    await page.wait_for_timeout(1000)
    await expect(page.locator("#interim .words")).to_have_text("alpha one …")
    stub.final("Alpha-1", 1000, 2000, raw="alpha one", utterance="u_1")
    await expect(page.locator("#interim .words")).to_have_text("Listening …")


async def test_speech_without_words_is_given_up(open_page: OpenPage) -> None:
    page = await open_page()
    script = """async () => {
        const { PendingText } = await import("/pending-text.js");
        const given = [];
        const pending = new PendingText((one) => given.push([one.channel, one.utterance, one.hasText]), 100);
        const say = (type, utterance) => pending.feed({ type, utterance, channel: "C01" });
        say("speech.ended", "u_cough");
        say("speech.ended", "u_word"); say("segment.final", "u_word");
        say("segment.final", "u_long"); say("speech.ended", "u_long");
        await new Promise((done) => setTimeout(done, 300));
        return given;
    }"""
    assert await page.evaluate(script) == [["C01", "u_cough", False], ["C01", "u_long", True]]


async def test_no_speech_is_said_instead_of_ghosts(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await begin(page, stub)
    await page.click("#go")
    await expect(page.locator("#tip")).to_contain_text("No speech detected")


async def test_a_pause_after_words_is_no_missing_speech(open_page: OpenPage, stub: StubServer) -> None:
    """The advice is for those whose microphone has not worked yet; a listener's pause is none of that."""
    page = await open_page()
    await page.clock.install()
    await begin(page, stub)
    stub.final("one", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    for _ in range(20):
        await page.clock.run_for(1000)
    await expect(page.locator("#tip")).to_have_text("")
    await page.click("#go")
    await expect(page.locator("#interim .words")).to_have_text("Press Start and speak.")


async def test_advice_while_live_does_not_stay_after_the_end(open_page: OpenPage, stub: StubServer) -> None:
    page = await open_page()
    await page.clock.install()
    await begin(page, stub)
    stub.final("one", 1000, 2000)
    await expect(page.locator(".line")).to_have_count(1)
    stub.say("speech.started", channel="C01", utterance="u_cough", start_ms=3000)
    stub.say("speech.ended", channel="C01", utterance="u_cough", start_ms=3000, end_ms=3500)
    # The last event has come when this line is there; the page waits 16 s for the words of the cough.
    stub.final("two", 4000, 5000, utterance="u_two")
    await expect(page.locator(".line")).to_have_count(2)
    await page.clock.run_for(17_000)
    await expect(page.locator("#tip")).to_contain_text("no words")
    await page.click("#go")
    await expect(page.locator("#interim .words")).to_have_text("Press Start and speak.")
    await expect(page.locator("#tip")).to_have_text("")


async def test_the_lines_can_be_taken_away(open_page: OpenPage, stub: StubServer, tmp_path: Path) -> None:
    page = await open_page()
    await expect(page.locator("[data-tool=srt]")).to_be_disabled()
    await begin(page, stub)
    stub.final("알파원 이상", 1500, 2500, language="ko")
    await expect(page.locator(".line")).to_have_count(1)
    files = {}
    for kind in ("txt", "srt", "json"):
        async with page.expect_download() as started:
            await page.click(f"[data-tool={kind}]")
        download = await started.value
        assert download.suggested_filename.endswith(f".{kind}")
        await download.save_as(tmp_path / kind)
        files[kind] = (tmp_path / kind).read_text(encoding="utf-8")
    assert files["txt"] == "[00:01.500] C01 알파원 이상\n"
    assert files["srt"] == "1\n00:00:01,500 --> 00:00:02,500\n알파원 이상\n\n"
    assert json.loads(files["json"])["segments"][0]["end_ms"] == 2500
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.click("[data-tool=copy]")
    await expect(page.locator("[data-tool=copy]")).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == files["txt"]


async def test_the_glossary_is_changed_and_keeps_what_it_does_not_show(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await expect(page.locator("#terms")).to_have_value("Alpha-1")
    await page.fill("#terms", "Alpha-1\n\n 알파원 \nAlpha-1")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#glossary .status")).to_contain_text("version 2")
    assert stub.glossary["terms"] == [{"canonical": "Alpha-1", "channels": ["C01"]}, {"canonical": "알파원"}]


async def test_the_level_is_judged_as_a_person_would(open_page: OpenPage) -> None:
    page = await open_page()
    script = """async (stretches) => {
        const { LevelJudge } = await import("/meter.js");
        const judge = new LevelJudge(), said = [];
        let now = 0;
        for (const [level, seconds] of stretches) {
            for (let i = 0; i < seconds * 20; i += 1) {
                const block = new Float32Array(800).map((_, n) => level * Math.sin(n / 5));
                said.push(judge.feed(block, (now += 50)).verdict);
            }
        }
        return said.filter((verdict, i) => verdict !== said[i - 1]);
    }"""
    judged = [
        ([[0, 5]], ["speak", "silent"]),
        ([[0.0005, 5]], ["speak"]),
        ([[0.006, 12]], ["quiet"]),
        ([[0.1, 2], [0.006, 3], [0.1, 2]], ["good", "speak", "good"]),
        ([[0.1, 2], [0, 10], [0.1, 1]], ["good", "speak", "good"]),
        ([[1, 1], [0.1, 3]], ["clipping", "good"]),
    ]
    for stretches, verdicts in judged:
        assert await page.evaluate(script, stretches) == verdicts, stretches


async def test_the_page_names_the_model_and_links_to_the_list_of_models(
    open_page: OpenPage, stub: StubServer
) -> None:
    stub.ready = {**READY, "engine": {**READY["engine"], "model": "base"}}
    page = await open_page()
    model = page.locator("[data-figure=model]")
    await expect(model).to_have_text("base")
    await expect(model).to_have_attribute("href", "health-page#models")


async def test_an_interim_that_ends_in_dots_gets_no_second_ellipsis(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await open_page()
    await begin(page, stub)
    fields = {"channel": "C01", "utterance": "u_1", "start_ms": 1000, "end_ms": 2000}
    for revision, (text, shown) in enumerate(
        (("to it just being...", "to it just being …"), ("no.", "no. …"))
    ):
        stub.say("segment.interim", text=text, revision=revision, stable_chars=5, **fields)
        await expect(page.locator("#interim .words")).to_have_text(shown)
