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
import { Finder } from "./finder.js";
import { FocusPanel } from "./focus-panel.js";
import { Keys } from "./keys.js";
import { Listening } from "./listening.js";
import { DeskModel } from "./model.js";
import { setText } from "./parts.js";
import "./row.js";
import { ServerClock } from "./server-clock.js";
import { Simulation } from "./simulation.js";
import "./tile.js";

const TICK_MS = 250;
const AFTER_MS = 3000; // a call of one second stays visible for so long
const WALL_FROM_PX = 1500; // narrower screens begin with the list and one channel
const VIEWS = ["wall", "channels", "log", "search"];
const VIEW_KEY = "host-stt.desk-view";

const notice = beginPage();
const query = new URLSearchParams(location.search);
const model = new DeskModel();
const clock = new ServerClock();
const terms = new Terms();
const tiles = new Map(); // channel id -> its tile
const rows = new Map(); // channel id -> its row in the list
const chosen = new Set(); // channels of the merged text; empty means all
const toDraw = new Set(); // channels that changed since the last frame
const desk = { model, terms, afterMs: AFTER_MS, focused: "C01", onOpen: (id) => open(id), onLine: (line) => listening.play(line) };

const focus = new FocusPanel(desk);
const merged = new LiveText({
  box: $("merged-log"),
  empty: $("merged-empty"),
  more: $("merged-more"),
  terms,
  showsChannel: () => true,
  transcript: model.transcript,
  shows: (entry) => chosen.size === 0 || chosen.has(entry.channel),
});
const listening = new Listening({ model, boxes: [$("focus-log"), $("merged-log")], onError: (error) => notice.show(error) });
const watcher = new Watcher(model.transcript, { session: query.get("session") ?? "", hasLevels: true });
const simulation = new Simulation($("simulate"), { session: () => model.transcript.session, onError: (error) => notice.show(error) });
const finder = new Finder({
  form: $("search"),
  found: $("found"),
  hits: $("hits"),
  earlier: $("earlier"),
  session: () => model.transcript.session,
  onPlay: (hit) => listening.play(hit),
  onError: (error) => notice.show(error),
});
const keys = new Keys({ dialog: $("keys"), rows: $("key-rows"), act: actions(), open });
let view = "";
let liveState = "connecting";

/* ---- events ------------------------------------------------------------------------------------------------ */

function feed(event) {
  const pageMs = Date.now();
  clock.note(event.wall, pageMs);
  const changes = model.feed(event, clock.at(pageMs));
  for (const change of changes) {
    if (change.type === "session") beginSession();
    if (change.channel ?? change.line?.channel ?? change.gap?.channel) {
      toDraw.add(change.channel ?? change.line?.channel ?? change.gap?.channel);
    }
    if (view === "wall") for (const tile of tiles.values()) tile.text.apply(change);
    if (view === "log") merged.apply(change);
    if (view === "channels") focus.text.apply(change);
  }
  if (event.type === "channel.opened") drawChoices();
  if (toDraw.size) requestAnimationFrame(drawChanged);
}

function beginSession() {
  makePlaces();
  for (const id of model.channels.keys()) toDraw.add(id);
  simulation.check();
}

/** A tile and a row for every channel of the model, in the order of their ids. */
function makePlaces() {
  for (const id of model.channels.keys()) {
    if (tiles.has(id)) continue;
    tiles.set(id, document.createElement("desk-tile").begin(id, desk));
    rows.set(id, document.createElement("desk-row").begin(id, desk));
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
  for (const id of toDraw) {
    if (view === "wall") tiles.get(id).draw();
    if (view === "channels") rows.get(id).draw();
    if (view === "channels" && id === desk.focused) focus.draw();
  }
  toDraw.clear();
  tick();
}

/* ---- what changes with time ---------------------------------------------------------------------------------- */

function tick() {
  const nowMs = clock.at(Date.now());
  const shown = view === "wall" ? tiles : view === "channels" ? rows : new Map();
  for (const node of shown.values()) node.tick(nowMs);
  if (view === "channels") focus.tick(nowMs);
  drawCounts(nowMs);
  setText($("clock"), new Date(nowMs).toLocaleTimeString("en-GB"));
}

function drawCounts(nowMs) {
  const states = [...model.channels.values()].map((channel) => model.shownState(channel, nowMs, AFTER_MS));
  const count = (...names) => states.filter((state) => names.includes(state)).length;
  const parts = [t("desk.talking", { n: count("talking") })];
  if (count("behind")) parts.push(t("desk.behind", { n: count("behind") }));
  if (count("no_signal", "disconnected")) parts.push(t("desk.noSignal", { n: count("no_signal", "disconnected") }));
  const lostMs = [...model.channels.values()].reduce((sum, channel) => sum + channel.lostMs, 0);
  if (lostMs) parts.push(t("desk.lostAll", { seconds: (lostMs / 1000).toFixed(1) }));
  setText($("counts"), parts.join(" · "));
  $("counts").classList.toggle("bad", lostMs > 0 || count("behind", "no_signal") > 0);
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
  for (const id of model.channels.keys()) toDraw.add(id);
  drawChanged();
}

/** Show one channel with its whole text, beside the list of all channels. */
function open(id) {
  if (!model.channels.has(id)) return;
  tiles.get(desk.focused)?.setAttribute("tabindex", "-1");
  desk.focused = id;
  tiles.get(id)?.setAttribute("tabindex", "0");
  $("desk").classList.add("opened"); // on a phone, the channel takes the place of the list
  show("channels", { isRemembered: false });
}

/** The channels to choose from, in the merged text and in the search. */
function drawChoices() {
  const used = [...model.channels.values()].filter((channel) => channel.state !== "unused" || channel.lastLine);
  finder.setChannels(used);
  const buttons = used.map((channel) => choice(channel.id, channel.name ? `${channel.id} ${channel.name}` : channel.id));
  $("merged-channels").replaceChildren(choice("", t("watch.all")), ...buttons);
  $("merged-channels").hidden = used.length < 2;
}

function choice(id, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = label;
  button.setAttribute("aria-pressed", String(id ? chosen.has(id) : chosen.size === 0));
  button.addEventListener("click", () => {
    if (!id) chosen.clear();
    else if (!chosen.delete(id)) chosen.add(id);
    drawChoices();
    merged.reload();
    merged.toEnd();
  });
  return button;
}

/* ---- keys -------------------------------------------------------------------------------------------------- */

function actions() {
  return {
    left: () => move(-1),
    right: () => move(1),
    up: () => move(view === "wall" ? -columns() : -1),
    down: () => move(view === "wall" ? columns() : 1),
    open: () => open(document.activeElement.closest?.("desk-tile")?.channelId ?? desk.focused),
    back: () => ($("desk").classList.remove("opened"), show(preferredView(), { isRemembered: false })),
    replay: () => listening.step(desk.focused, -1),
    play: () => listening.toggle(),
    nextLine: () => listening.step(desk.focused, 1),
    previousLine: () => listening.step(desk.focused, -1),
    search: () => show("search"),
    wall: () => show("wall"),
    channels: () => show("channels"),
    log: () => show("log"),
    fullScreen: () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen()),
    language: () => language.toggle(),
    keys: () => $("keys").showModal(),
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
$("help").addEventListener("click", () => $("keys").showModal());
$("keys-close").addEventListener("click", () => $("keys").close());
$("keys-reset").addEventListener("click", () => keys.reset());
language.addEventListener("language", () => {
  showState(liveState);
  drawChoices();
  for (const id of model.channels.keys()) toDraw.add(id);
  drawChanged();
});
watcher.addEventListener("event", ({ detail }) => feed(detail));
watcher.addEventListener("state", ({ detail }) => showState(detail));
watcher.addEventListener("denied", async () => {
  notice.show({ code: "bad_token" });
  if (await askToken()) {
    notice.clear();
    watcher.start();
    simulation.check();
  }
});
watcher.addEventListener("gone", () => notice.show({ code: "gone", detail: watcher.session }));

makePlaces();
drawChoices();
show(preferredView(), { isRemembered: false });
showState("connecting");
watcher.start();
simulation.check();
setInterval(tick, TICK_MS);
document.documentElement.dataset.ready = "";
