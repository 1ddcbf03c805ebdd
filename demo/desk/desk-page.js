/* The desk: all channels of a session on one screen. This module connects the parts and owns the choice of the view.
 *
 * Events come from watch.js, the model is model.js; tiles, rows, the text boxes and the search only draw. Drawing is
 * gathered: however many events arrive, each channel is drawn at most once per frame.
 */

import { language, t } from "../i18n.js";
import { LiveText } from "../live-text.js";
import { $, askToken, beginPage } from "../page.js";
import { Terms } from "../terms.js";
import { Watcher } from "../watch.js";
import { attachAlerts } from "./alerts-desk.js";
import { drawCounts } from "./counts.js";
import { Display } from "./display/display.js";
import { LOAD_EVERY_MS, noteEngineLoad } from "./engine-load.js";
import { Finder } from "./finder.js";
import { FocusPanel, withReading } from "./focus-panel.js";
import { Keys } from "./keys.js";
import { Listening } from "./listening.js";
import { beginLive } from "./live.js";
import { MergedChoices } from "./merged-choices.js";
import { DeskModel } from "./model.js";
import { MoreMenu } from "./more-menu.js";
import { setText } from "./parts.js";
import { beginPeople, takeWallLink } from "./people/hook.js";
import "./row.js";
import { ServerClock } from "./server-clock.js";
import { Simulation } from "./simulation.js";
import "./strip/strip.js";
import { beginSummary, jump } from "./summary-hook.js";
import "./tile.js";
import { beginTimeline } from "./timeline/hook.js";
import { beginUsual } from "./usual/hook.js";

const TICK_MS = 250;
const WALL_FROM_PX = 1500; // narrower screens begin with the list and one channel
const VIEWS = ["wall", "channels", "log", "timeline", "search"];
const VIEW_KEY = "host-stt.desk-view";

const isWallLink = takeWallLink();
const notice = beginPage(noteEngineLoad, LOAD_EVERY_MS);
const query = new URLSearchParams(location.search);
const model = new DeskModel();
const clock = new ServerClock();
const terms = new Terms();
const tiles = new Map(); // channel id -> its tile
const rows = new Map(); // channel id -> its row in the list
const toDraw = new Set(); // channels that changed since the last frame
const desk = { model, terms, afterMs: 0, focused: "C01", onOpen: (id) => open(id), onLine: (line) => listening.play(line) };

const focus = new FocusPanel(desk);
const choices = new MergedChoices({ box: $("merged-channels"), onChange: () => (merged.reload(), merged.toEnd()) });
const merged = new LiveText({
  box: $("merged-log"),
  empty: $("merged-empty"),
  more: $("merged-more"),
  terms,
  showsChannel: () => true,
  transcript: model.transcript,
  shows: (entry) => choices.shows(entry.channel),
});
const listening = new Listening({ model, boxes: [$("focus-log"), $("merged-log")], onError: (error) => notice.show(error), onPlay: (line) => people.choose(line) });
const sound = { model, replays: listening, focused: () => desk.focused, onError: (error) => notice.show(error) };
const { live, marks, actions: liveActions } = beginLive(sound);
const watcher = new Watcher(model.transcript, { session: query.get("session") ?? "", hasLevels: true });
const simulation = new Simulation($("simulate"), { session: () => model.transcript.session, onError: (error) => notice.show(error) });
const finder = new Finder({
  form: $("search"),
  found: $("found"),
  hits: $("hits"),
  earlier: $("earlier"),
  session: () => model.transcript.session,
  onPlay: (hit) => listening.play(hit),
  onSummary: (hit) => summary.openStored(hit.session, hit.summary),
  onError: (error) => notice.show(error),
});
const summary = beginSummary({ model, chosen: () => (view === "channels" ? desk.focused : ""), open: (id) => open(id), play: (line) => listening.play(line) });
const alerts = attachAlerts({ desk, clock, watcher, notice, open: (id) => open(id) });
const usual = beginUsual(desk);
const strip = $("strip").begin({ desk, onOpen: (id) => open(id), onLine: (line) => jump(line, open, (one) => listening.play(one)) });
const people = beginPeople({ model, focused: () => desk.focused, view: () => view, open: (id) => open(id), onError: (error) => notice.show(error) });
const past = { desk, replays: listening, view: () => view, open: (id) => open(id), play: (line) => listening.play(line), onError: (error) => notice.show(error) };
const { timeline, keys: withTimeline } = beginTimeline(past);
const keys = new Keys({ dialog: $("keys"), rows: $("key-rows"), act: withReading(withTimeline(actions()), () => ({ channels: focus.text, log: merged })[view] ?? null), open });
people.useKeys(keys);
let view = "";
let liveState = "connecting";

/* ---- events ------------------------------------------------------------------------------------------------ */

function feed(event) {
  const pageMs = Date.now();
  clock.note(event.wall, pageMs);
  const changes = model.feed(event, clock.at(pageMs));
  for (const change of changes) {
    if (change.type === "session") beginSession();
    const id = change.channel ?? change.line?.channel ?? change.gap?.channel;
    if (id) toDraw.add(id);
    if (view === "wall") for (const tile of id ? [tiles.get(id)] : tiles.values()) tile?.text.apply(change);
    if (view === "log") merged.apply(change);
    if (view === "channels") focus.text.apply(change);
    people.take(change);
  }
  live.feed(event, changes);
  timeline.feed(event);
  strip.feed(event);
  if (event.type === "channel.opened") drawChoices();
  if (event.type === "summary.updated") summary.note(event);
  if (toDraw.size) requestAnimationFrame(drawChanged);
}

function beginSession() {
  makePlaces();
  for (const lanes of [timeline, strip]) lanes.reset();
  for (const id of model.channels.keys()) toDraw.add(id);
  simulation.check();
}

/** A tile and a row for every channel of the model, in the order of their ids. */
function makePlaces() {
  for (const id of model.channels.keys()) {
    if (tiles.has(id)) continue;
    tiles.set(id, document.createElement("desk-tile").begin(id, desk));
    rows.set(id, document.createElement("desk-row").begin(id, desk));
    marks.add(id, tiles.get(id), rows.get(id));
    usual.add(id, tiles.get(id));
  }
  const ids = [...model.channels.keys()];
  for (const [box, nodes] of [[$("wall"), tiles], [$("list"), rows]]) {
    ids.forEach((id, at) => box.children[at] !== nodes.get(id) && box.insertBefore(nodes.get(id), box.children[at] ?? null));
  }
  $("wall").style.setProperty("--rows", Math.ceil(ids.length / 4));
  tiles.get(desk.focused)?.setAttribute("tabindex", "0");
}

function drawChanged() {
  if (toDraw.size === 0) return;
  if ([...toDraw].some((id) => !tiles.has(id))) {
    makePlaces();
    drawChoices();
  }
  const nowMs = clock.at(Date.now());
  for (const id of toDraw) {
    const node = view === "wall" ? tiles.get(id) : view === "channels" ? rows.get(id) : null;
    node?.draw();
    node?.tick(nowMs); // what does not depend on this event waits for the next tick of all
    if (view === "channels" && id === desk.focused) focus.draw(), focus.tick(nowMs);
  }
  toDraw.clear();
}

/* ---- what changes with time ---------------------------------------------------------------------------------- */

function tick() {
  const nowMs = clock.at(Date.now());
  const shown = view === "wall" ? tiles : view === "channels" ? rows : new Map();
  for (const node of shown.values()) node.tick(nowMs);
  if (view === "channels") focus.tick(nowMs);
  timeline.tick(nowMs);
  usual.tick(view);
  strip.tick(nowMs);
  drawCounts(model, nowMs, desk.afterMs);
  people.tick();
  setText($("clock"), new Date(nowMs).toLocaleTimeString("en-GB"));
}

/* ---- views ------------------------------------------------------------------------------------------------- */

function show(name, { isRemembered = true } = {}) {
  view = VIEWS.includes(name) ? name : "wall";
  $("desk").dataset.view = view;
  if (isRemembered && view !== "search") localStorage.setItem(VIEW_KEY, view);
  for (const button of document.querySelectorAll(".tabs button")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
  }
  // Only the visible text has rows: a line must not be on the page twice.
  for (const tile of tiles.values()) view === "wall" ? tile.text.reload() : tile.text.removeRows();
  view === "log" ? merged.reload() : merged.removeRows();
  view === "channels" ? focus.open() : focus.text.removeRows();
  if (view === "search") $("query").focus();
  if (view === "timeline") timeline.show();
  for (const id of model.channels.keys()) toDraw.add(id);
  drawChanged();
}

/** Show one channel with its whole text, beside the list of all channels. */
function open(id) {
  if (!model.channels.has(id)) return;
  tiles.get(desk.focused)?.setAttribute("tabindex", "-1");
  desk.focused = id;
  tiles.get(id)?.setAttribute("tabindex", "0");
  live.update();
  $("desk").classList.add("opened"); // on a phone, the channel takes the place of the list
  show("channels", { isRemembered: false });
}

/** The channels to choose from, in the merged text and in the search. */
function drawChoices() {
  const used = [...model.channels.values()].filter((channel) => channel.state !== "unused" || channel.lastLine);
  finder.setChannels(used);
  choices.draw(used);
}

/* ---- keys -------------------------------------------------------------------------------------------------- */

function actions() {
  return {
    ...people.actions,
    left: () => move(-1),
    right: () => move(1),
    up: () => move(view === "wall" ? -columns() : -1),
    down: () => move(view === "wall" ? columns() : 1),
    open: () => open(document.activeElement.closest?.("desk-tile")?.channelId ?? desk.focused),
    back: () => ($("desk").classList.remove("opened"), show(preferredView(), { isRemembered: false })),
    ...liveActions,
    play: () => listening.toggle(),
    nextLine: () => listening.step(desk.focused, 1),
    previousLine: () => listening.step(desk.focused, -1),
    search: () => show("search"),
    acknowledge: () => alerts.acknowledgeFirst(),
    wall: () => show("wall"),
    timeline: () => show("timeline"),
    channels: () => show("channels"),
    log: () => show("log"),
    fullScreen: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
    language: () => language.toggle(),
    keys: () => $("keys").showModal(),
    display: () => $("display").showModal(),
  };
}

function columns() {
  return getComputedStyle($("wall")).gridTemplateColumns.split(" ").length;
}

/** Move to another channel: to its tile on the wall, or to its text beside the list. */
function move(step) {
  if (view !== "wall" && view !== "channels") return false;
  const ids = [...model.channels.keys()];
  const at = ids.indexOf(desk.focused) + step;
  if (at < 0 || at >= ids.length) return true;
  if (view === "channels") return open(ids[at]);
  tiles.get(desk.focused)?.setAttribute("tabindex", "-1");
  desk.focused = ids[at];
  tiles.get(desk.focused).setAttribute("tabindex", "0");
  tiles.get(desk.focused).focus();
  live.update();
  return true;
}

function preferredView() {
  const kept = localStorage.getItem(VIEW_KEY);
  return kept ?? (innerWidth >= WALL_FROM_PX ? "wall" : "channels");
}

/* ---- the page ---------------------------------------------------------------------------------------------- */

function showState(name) {
  liveState = name;
  $("live").dataset.state = name;
  const transport = name === "live" && watcher.transport === "sse" ? ` ${t("watch.sse")}` : "";
  $("live").querySelector("span").textContent = t(`watch.${name}`) + transport;
}

for (const button of document.querySelectorAll(".tabs button")) {
  button.addEventListener("click", () => {
    $("desk").classList.remove("opened");
    show(button.dataset.view);
  });
}
$("back").addEventListener("click", () => $("desk").classList.remove("opened"));
new MoreMenu($("more"), $("more-menu"));
new Display({ dialog: $("display"), button: $("display-button"), desk, logs: [$("focus-log")], onColours: () => (timeline.recolour(), strip.recolour()) });
language.addEventListener("language", () => {
  showState(liveState);
  drawChoices();
  for (const id of model.channels.keys()) toDraw.add(id);
  drawChanged();
});
watcher.addEventListener("event", ({ detail }) => feed(detail));
watcher.addEventListener("state", ({ detail }) => showState(detail));
watcher.addEventListener("denied", async () => {
  if ((await people.explainDenial(notice)) && (await askToken())) {
    notice.clear();
    watcher.start();
    simulation.check();
    people.askAgain();
  }
});
watcher.addEventListener("gone", () => notice.show({ code: "gone", detail: watcher.session }));

makePlaces();
drawChoices();
show(isWallLink ? "wall" : preferredView(), { isRemembered: false });
showState("connecting");
watcher.start();
simulation.check();
setInterval(tick, TICK_MS);
document.documentElement.dataset.ready = "";
