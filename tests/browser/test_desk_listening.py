"""Live audio on the desk: the rules in their pure modules, and the controls with the stand-in server."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import PHONE, OpenPage
from tests.browser.stub import StubServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WALL = {"width": 1920, "height": 1080}

SCANNER = """async () => {
  const { Scanner } = await import("/desk/scanner.js");
  const important = new Set(["C09"]), muted = new Set();
  const make = () => new Scanner({
    priorityOf: (id) => (important.has(id) ? 2 : 1), mayHear: (id) => !muted.has(id), stickyMs: () => 2500 });
  const said = {};
  let one = make();
  one.begin("C01", 0); one.begin("C02", 100);
  said.first = one.current;
  one.end("C01", 1000);
  said.waitMs = one.step(1000);
  said.dialogue = one.current;
  one.begin("C01", 2000); one.step(9000);
  said.answer = one.current;
  one.end("C01", 9000); one.step(11500);
  said.afterDialogue = one.current;
  one.begin("C09", 12000);
  said.important = one.current;
  one.skip("C09", 12500);
  said.skipped = one.current;
  one.end("C09", 13000); one.begin("C09", 14000);
  said.nextCall = one.current;
  muted.add("C09"); one.step(14500);
  said.muted = one.current;
  one.clear();
  said.cleared = one.current;
  return said;
}"""

PLAN = """async () => {
  const { plan, DIM } = await import("/desk/live-plan.js");
  const { LiveSettings } = await import("/desk/live-settings.js");
  const storage = { value: null, getItem: () => storage.value };
  storage.setItem = (key, value) => (storage.value = value);
  const settings = new LiveSettings(storage);
  const state = { isPaused: false, held: "", skipped: new Set(), current: "", isReplaying: false };
  const ids = ["C01", "C02", "C03"];
  const why = (talking = [], more = {}) => Object.fromEntries(
    [...plan(ids, settings, new Set(talking), { ...state, ...more }, 1000)].map(([id, one]) =>
      [id, `${one.why || "heard"}${one.isWanted ? "" : " unwanted"} ${Math.round(one.gain * 1000)}`]));
  const said = { plain: why(), paused: why([], { isPaused: true }), held: why([], { held: "C02" }) };
  settings.set("C01", { isMuted: true });
  settings.avoid("C02", 30, 1000);
  said.muted = why();
  settings.set("C01", { isMuted: false });
  settings.avoid("C02", 0, 1000);
  settings.set("C01", { priority: "high" });
  settings.set("C02", { priority: "low", volume: 0.5 });
  said.ducked = why(["C01"]);
  said.notDucked = why(["C03"]);
  settings.set("C03", { isSolo: true });
  said.solo = why(["C01"]);
  settings.setAll({ soloOthers: "dim" });
  said.dim = why();
  settings.set("C03", { isSolo: false });
  settings.setAll({ mode: "one" });
  said.one = why([], { current: "C03", isReplaying: true });
  const again = new LiveSettings(storage);
  said.remembered = [again.of("C02").volume, again.of("C01").priority, again.all.mode];
  const C01 = { pan: "left", isMuted: true };
  storage.value = JSON.stringify({ volume: 7, mode: "loud", channels: { C01, x: {} } });
  const odd = new LiveSettings(storage);
  said.odd = [odd.all.volume, odd.all.mode, odd.of("C01").pan, odd.of("C01").isMuted];
  storage.value = "{";
  said.damaged = new LiveSettings(storage).all.volume;
  settings.avoid("C02", 30, 1000);
  said.avoided = [-1, 0].map((ms) => settings.isAvoided("C02", 1000 + 30 * 60000 + ms));
  said.dimDb = Math.round(20 * Math.log10(DIM));
  return said;
}"""

REPLAYS = """async () => {
  const { Missed } = await import("/desk/missed.js");
  const { silencesOf } = await import("/desk/silences.js");
  const { nextAvoidance } = await import("/desk/live-keys.js");
  const missed = new Missed();
  const line = (segment, utterance) => ({ segment, utterance });
  missed.note("u_1", false); missed.note("u_2", false); missed.note("u_2", true); missed.note("u_2", false);
  missed.note("u_3", false); missed.forget("u_3");
  const taken = ["u_1", "u_2", "u_3", "u_4"].map((one) => missed.take(line(`g_${one}`, one)));
  for (let n = 0; n < 300; n += 1) missed.take(line(`g_${n}`, "u_1"));
  const most = missed.lines.length;
  missed.remove(line("g_299"));
  const words = [[1000, 1400], [1500, 1900], [4000, 4300], [4900, 5000]];
  const spoken = { start_ms: 1000, words: words.map(([start_ms, end_ms]) => ({ start_ms, end_ms })) };
  const minutes = (from) => nextAvoidance(from === null ? null : from * 60000, 0);
  return {
    taken, most, left: missed.lines.length,
    pauses: silencesOf(spoken).map(({ from, to }) => [from.toFixed(2), to.toFixed(2)]),
    without: silencesOf({ start_ms: 1000 }),
    steps: [minutes(null), minutes(30), minutes(60), minutes(120), nextAvoidance("released", 0)],
  };
}"""

USER_SETTINGS = """async () => {
  const { UserSettings } = await import("/desk/user-settings.js");
  const KEY = "host-stt.desk-keys", SOUND = "host-stt.desk-live-audio";
  const nothing = () => ({ version: 0, settings: {} });
  const server = { kim: nothing(), lee: nothing(), isOff: false, user: "kim" };
  globalThis.fetch = async (url, { method = "GET", headers = {}, body } = {}) => {
    if (server.isOff) throw new TypeError("no network");
    const kept = server[server.user];
    const isPut = method === "PUT";
    if (isPut && headers["If-Match"] !== `"${kept.version}"`) return new Response("{}", { status: 412 });
    if (isPut) Object.assign(kept, { version: kept.version + 1, settings: JSON.parse(body).settings });
    return Response.json({ user: server.user, ...structuredClone(kept) });
  };
  const browser = () => {
    const kept = new Map();
    return { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text),
      removeItem: (key) => kept.delete(key) };
  };
  const opened = async (storage) => {
    const settings = new UserSettings(storage);
    settings.changed = [];
    settings.addEventListener("part", ({ detail }) => settings.changed.push(detail));
    await settings.load();
    await settings.settled();
    return settings;
  };
  const said = {};
  const [left, right] = [browser(), browser()];
  left.setItem(KEY, '{"mute":"q"}');  // chosen before the server stored settings
  const one = await opened(left), two = await opened(right);
  said.second = [right.getItem(KEY), [...two.changed]];
  one.setItem(KEY, '{"mute":"w"}');
  two.setItem(SOUND, '{"volume":0.5}');  // both screens change something at the same version
  await one.settled();
  await two.settled();
  said.both = server.kim.settings;
  server.isOff = true;
  one.setItem(SOUND, '{"volume":0.1}');
  await one.settled();
  server.isOff = false;
  const reloaded = await opened(left);
  said.afterOutage = [server.kim.settings.listening, reloaded.changed];
  reloaded.removeItem(KEY);
  await reloaded.settled();
  await opened(right);
  said.removed = [server.kim.settings.keys ?? null, right.getItem(SOUND)];
  server.user = "lee";
  await opened(left);
  said.otherUser = [left.getItem(SOUND), server.lee.settings];
  return said;
}"""


async def test_the_rules_of_a_scanner(open_page: OpenPage) -> None:
    page = await open_page("/desk")
    said: dict[str, Any] = await page.evaluate(SCANNER)
    assert said == {
        "first": "C01",
        "waitMs": 2500,
        "dialogue": "C01",
        "answer": "C01",
        "afterDialogue": "C02",
        "important": "C09",
        "skipped": "C02",
        "nextCall": "C09",
        "muted": "C02",
        "cleared": "",
    }
    said = await page.evaluate(PLAN)
    assert said == {
        "plain": {"C01": "heard 1000", "C02": "heard 1000", "C03": "heard 1000"},
        "paused": dict.fromkeys(("C01", "C02", "C03"), "paused unwanted 0"),
        "held": {"C01": "held unwanted 0", "C02": "heard 1000", "C03": "held unwanted 0"},
        "muted": {"C01": "muted unwanted 0", "C02": "avoided unwanted 0", "C03": "heard 1000"},
        "ducked": {"C01": "heard 1000", "C02": "ducked 63", "C03": "ducked 126"},
        "notDucked": {"C01": "heard 1000", "C02": "ducked 63", "C03": "heard 1000"},
        "solo": {"C01": "solo unwanted 0", "C02": "solo unwanted 0", "C03": "heard 1000"},
        "dim": {"C01": "beside 126", "C02": "beside 63", "C03": "heard 1000"},
        "one": {"C01": "waiting 0", "C02": "waiting 0", "C03": "replay 126"},
        "remembered": [0.5, "high", "one"],
        "odd": [0.8, "all", 0, True],
        "damaged": 0.8,
        "avoided": [True, False],
        "dimDb": -18,
    }
    said = await page.evaluate(REPLAYS)
    assert said == {
        "taken": [True, False, False, False],
        "most": 200,
        "left": 199,
        "pauses": [["1.40", "3.10"]],
        "without": [],
        "steps": [30, 60, 120, "released", 0],
    }


async def listening(open_page: OpenPage, **options: Any) -> Page:
    page = await open_page("/desk", **options)
    await expect(page.locator("#live")).to_have_attribute("data-state", "live")
    return page


def call(stub: StubServer, channel: str, number: int) -> None:
    """A whole call: it begins, ends, and its text comes."""
    named = {"channel": channel, "utterance": f"u_{number}"}
    stub.say("speech.started", **named, start_ms=0)
    stub.say("speech.ended", **named, start_ms=0, end_ms=900, rule="silence")
    stub.final(f"call {number}", 0, 900, segment=f"g_{number}", **named)


async def test_mute_solo_hold_and_avoid_by_keys_are_shown_and_remembered(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await listening(open_page, viewport=WALL)
    stub.say("channel.opened", channel="C02", connection="c_1", label="Gate", language="en")
    await expect(page.locator("#live-bar")).to_be_hidden()
    await page.keyboard.press("p")
    await expect(page.locator("#live-bar")).to_be_visible()
    tile, other = page.locator("#tile-C01"), page.locator("#tile-C02")
    await page.keyboard.press("m")
    await expect(tile.locator(".ears em")).to_have_text("Muted")
    await page.keyboard.press("m")
    await expect(tile.locator(".ears em")).to_have_text("")
    await page.keyboard.press("s")
    await expect(tile.locator(".ears em")).to_have_text("Solo")
    await expect(other.locator(".ears em")).to_have_text("Silent (solo)")
    await page.keyboard.press("s")
    await page.keyboard.press("h")
    await expect(page.locator("#live-hold")).to_have_text("Holding C01")
    await expect(other.locator(".ears em")).to_have_text("Silent (hold)")
    await page.keyboard.press("h")
    await page.keyboard.press("v")
    await expect(tile.locator(".ears em")).to_have_text("Avoided")
    await other.get_by_role("button", name="Mute C02").click()
    await expect(page.locator("#wall")).to_be_visible()  # the click did not open the channel
    await expect(other.locator(".ears em")).to_have_text("Muted")
    await page.keyboard.press("Shift+M")
    await expect(page.locator("#tile-C16 .ears em")).to_have_text("Muted")
    await page.keyboard.press("Shift+M")
    await page.keyboard.press("[")
    await page.keyboard.press("u")
    await expect(page.get_by_label("C01 Volume")).to_have_value("0.9")
    await page.get_by_label("C03 Priority").select_option("high")
    await page.locator("#sound-close").click()
    await page.reload()
    await page.wait_for_selector("html[data-ready]", state="attached")
    await page.keyboard.press("u")
    await expect(page.get_by_label("C03 Priority")).to_have_value("high")
    await expect(page.get_by_label("C01 Avoid")).to_have_value("30")
    await expect(page.get_by_label("C01 Volume")).to_have_value("0.9")


async def test_calls_that_were_not_heard_are_counted_and_can_be_played(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await listening(open_page, viewport=WALL)
    await page.keyboard.press("p")
    await page.keyboard.press("v")  # C01 is avoided: its calls are not missed
    call(stub, "C01", 1)
    for number in (2, 3):
        call(stub, "C02", number)
    missed = page.locator("#live-missed")
    await expect(missed).to_have_text("2 missed: play")
    played: list[str] = []
    page.on("request", lambda request: played.append(request.url))
    await page.keyboard.press("z")
    # The stand-in has no audio, so the first line fails and the second one follows by itself.
    await expect(page.locator("#playing-text")).to_have_text("call 3")
    await expect(missed).to_be_hidden()
    assert any("/api/segments/g_2/audio" in url for url in played)
    call(stub, "C03", 4)
    await expect(missed).to_have_text("1 missed: play")
    await page.keyboard.press("p")  # pause, or back to live: what was missed is left
    await page.keyboard.press("p")
    await expect(missed).to_be_hidden()
    await page.locator("#listen").click()
    await expect(page.locator("#live-bar")).to_be_hidden()


async def test_the_word_of_a_row_does_not_cover_its_name(open_page: OpenPage, stub: StubServer) -> None:
    page = await listening(open_page, viewport=WALL)
    stub.say("channel.opened", channel="C02", connection="c_1", label="Control room, west wing")
    await page.locator("#listen").click()
    await page.keyboard.press("c")
    await page.keyboard.press("1")
    await page.keyboard.press("s")
    row = page.locator("desk-row").nth(1)
    await expect(row.locator(".ear")).to_have_text("Silent (solo)")
    name, word = await row.locator(".name").bounding_box(), await row.locator(".ear").bounding_box()
    assert name is not None and word is not None
    assert name["width"] > 30
    assert name["x"] + name["width"] <= word["x"], "the end of a long name is an ellipsis, not hidden"


@pytest.mark.parametrize("size", [WALL, PHONE], ids=["wall", "phone"])
async def test_the_bar_and_the_sound_settings_are_axe_clean_in_korean(
    open_page: OpenPage, size: dict[str, int]
) -> None:
    page = await listening(open_page, viewport=size, locale="ko-KR")
    await page.get_by_role("button", name="듣기", exact=True).click()
    for key in ("m", "u"):
        await page.keyboard.press(key)
        await expect_clean(page)
    assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]


async def test_a_phone_plays_the_open_channel_while_a_button_is_held(
    open_page: OpenPage, stub: StubServer
) -> None:
    page = await listening(open_page, viewport=PHONE)
    await page.locator("desk-row").nth(1).click()
    button, state = page.locator("#hold-listen"), page.locator("#live-hold")
    await button.hover()
    await page.mouse.down()
    await expect(button).to_have_text("You hear C02")
    await expect(state).to_have_text("Holding C02")
    await page.mouse.up()
    await expect(button).to_have_text("Hold to listen")
    await expect(state).to_have_text("Hold C02")
    await expect(page.locator("#live-pause")).to_have_attribute("aria-pressed", "true")
    await page.locator("#live-pause").click()  # live again: what is heard stays as it was after the button
    await button.focus()
    await page.keyboard.down("Space")
    await expect(state).to_have_text("Holding C02")
    await page.keyboard.up("Space")
    await expect(state).to_have_text("Hold C02")
    await expect(page.locator("#live-pause")).to_have_attribute("aria-pressed", "false")


async def test_two_desks_of_one_user_agree_and_nothing_is_lost_without_the_network(
    open_page: OpenPage,
) -> None:
    page = await open_page("/desk")
    assert await page.evaluate(USER_SETTINGS) == {
        "second": ['{"mute":"q"}', ["host-stt.desk-keys"]],
        "both": {"keys": {"mute": "w"}, "listening": {"volume": 0.5}},
        "afterOutage": [{"volume": 0.1}, []],
        "removed": [None, '{"volume":0.1}'],
        "otherUser": [None, {}],
    }
