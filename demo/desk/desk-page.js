/* The desk: all channels of a session on one screen. This module connects the parts and owns the choice of the view.
 *
 * Events come from watch.js, the model is model.js; tiles, rows, the text boxes and the search only draw. Drawing is
 * gathered: however many events arrive, each channel is drawn at most once per frame.
 */

import { language, t } from "../i18n.js";
import { LiveText, drawInterim } from "../live-text.js";
import { $, askToken, beginPage } from "../page.js";
import { Terms } from "../terms.js";
import { timecode } from "../timecode.js";
import { Watcher } from "../watch.js";
import { Finder } from "./finder.js";
import { Keys } from "./keys.js";
import { DeskModel } from "./model.js";
import { Meter, drawIcon, elapsed, seconds, setText, stateWord } from "./parts.js";
import { Player } from "./player.js";
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
const desk = { model, terms, afterMs: AFTER_MS, focused: "C01", onOpen: (id) => open(id), onLine: (line) => player.play(line) };

const focus = textBox("focus", (entry) => entry.channel === desk.focused, false);
const merged = textBox("merged", (entry) => chosen.size === 0 || chosen.has(entry.channel), true);
const player = new Player($("audio"));
const focusMeter = new Meter($("focus-meter"));
const watcher = new Watcher(model.transcript, { session: query.get("session") ?? "", hasLevels: true });
const simulation = new Simulation($("simulate"), { session: () => model.transcript.session, onError: (error) => notice.show(error) });
const finder = new Finder({
  form: $("search"),
  found: $("found"),
  hits: $("hits"),
  earlier: $("earlier"),
  session: () => model.transcript.session,
  onPlay: (hit) => player.play(hit),
  onError: (error) => notice.show(error),
});
const keys = new Keys({ dialog: $("keys"), rows: $("key-rows"), act: actions(), open });
let view = "";
let replayed = -1; // index of the line that `replay` played last, in the focused channel
let liveState = "connecting";

function textBox(name, shows, showsChannel) {
  return new LiveText({
    box: $(`${name}-log`),
    empty: $(`${name}-empty`),
    more: $(`${name}-more`),
    terms,
    showsChannel: () => showsChannel,
    transcript: model.transcript,
    shows,
  });
}

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
    if (change.type === "line") terms.note(change.line.glossary_version);
    if (view === "log") merged.apply(change);
    if (view === "channels") focus.apply(change);
  }
  if (event.type === "channel.opened") drawChoices();
  if (toDraw.size) requestAnimationFrame(drawChanged);
}

function beginSession() {
  makePlaces();
  for (const id of model.channels.keys()) toDraw.add(id);
  replayed = -1;
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
    if (view === "channels" && id === desk.focused) drawFocus();
  }
  toDraw.clear();
  tick();
}

/* ---- what changes with time ---------------------------------------------------------------------------------- */

function tick() {
  const nowMs = clock.at(Date.now());
  const shown = view === "wall" ? tiles : view === "channels" ? rows : new Map();
  for (const node of shown.values()) node.tick(nowMs);
  if (view === "channels") tickFocus(nowMs);
  drawCounts(nowMs);
  setText($("clock"), new Date(nowMs).toLocaleTimeString("en-GB"));
}

function tickFocus(nowMs) {
  const channel = model.channel(desk.focused);
  const state = model.shownState(channel, nowMs, AFTER_MS);
  $("focus-state").dataset.state = state;
  drawIcon($("focus-state").querySelector("svg"), state);
  setText($("focus-state").querySelector("em"), stateWord(channel, state));
  focusMeter.draw(channel.levelAt(nowMs), nowMs);
  const words = channel.wordsPerMinute(nowMs);
  const figures = [
    words ? t("desk.wpm", { n: words }) : "",
    channel.delayMs === null ? "" : t("desk.delay", { delay: seconds(channel.delayMs) }),
    channel.spokeAtMs ? t("desk.ago", { time: elapsed(nowMs - channel.spokeAtMs) }) : "",
  ];
  setText($("focus-figures"), figures.filter(Boolean).join(" · "));
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
  if (view === "log") merged.reload();
  if (view === "channels") openFocus(desk.focused);
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

function openFocus(id) {
  const channel = model.channel(id);
  channel.unread = 0;
  replayed = -1;
  $("focus-name").textContent = channel.name ? `${id} ${channel.name}` : id;
  $("focus-state").dataset.state = "";
  focus.reload();
  focus.toEnd();
}

function drawFocus() {
  const channel = model.channel(desk.focused);
  channel.unread = 0;
  setText($("focus-name"), channel.name ? `${channel.id} ${channel.name}` : channel.id);
  drawInterim($("focus-interim"), model.transcript.interim(desk.focused));
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

/* ---- listening --------------------------------------------------------------------------------------------- */

player.addEventListener("playing", ({ detail: line }) => {
  $("player").hidden = line === null;
  if (!line) return;
  const channel = model.channels.get(line.channel);
  setText($("playing-channel"), channel?.name ? `${line.channel} ${channel.name}` : line.channel);
  setText($("playing-time"), line.start ?? timecode(line.start_ms));
  setText($("playing-text"), line.text);
  $("play").textContent = t(player.isPlaying ? "desk.pause" : "desk.play");
});
player.addEventListener("failed", ({ detail }) => notice.show({ code: detail }));
$("play").addEventListener("click", () => player.toggle());
$("close-player").addEventListener("click", () => player.stop());
$("speed").addEventListener("change", (event) => (player.speed = Number(event.target.value)));
for (const name of ["focus-log", "merged-log"]) {
  $(name).addEventListener("click", (event) => {
    const { segment } = event.target.closest("[data-segment]")?.dataset ?? {};
    const line = segment && !getSelection().toString() && model.transcript.lines.find((one) => one.segment === segment);
    if (line) player.play(line);
  });
}

/** Play a line of the focused channel: the newest one, or `step` lines from the line that plays. */
function playLine(step) {
  const { lines } = model.channel(desk.focused);
  if (lines.length === 0) return false;
  const at = replayed < 0 ? lines.length - 1 : replayed + step;
  replayed = Math.max(0, Math.min(lines.length - 1, at));
  player.play(lines[replayed]);
  return true;
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
    replay: () => playLine(-1),
    play: () => player.toggle(),
    nextLine: () => playLine(1),
    previousLine: () => playLine(-1),
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
terms.addEventListener("terms", () => tiles.forEach((tile) => view === "wall" && tile.drawLines()));

makePlaces();
drawChoices();
show(preferredView(), { isRemembered: false });
showState("connecting");
watcher.start();
simulation.check();
setInterval(tick, TICK_MS);
document.documentElement.dataset.ready = "";
