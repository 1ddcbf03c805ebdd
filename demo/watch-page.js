/* The watching page: reads the session live, sends nothing. Owns the channel filter and one interim row per channel. */

import { language, t } from "./i18n.js";
import { Log, drawInterim } from "./log.js";
import { $, askToken, beginPage, enableTools, wireTools } from "./page.js";
import { Terms } from "./terms.js";
import { Transcript } from "./transcript.js";
import { Unanswered } from "./unanswered.js";
import { Watcher } from "./watch.js";

const ROWS_MAX = 64; // channels of a session

const notice = beginPage();
const wish = new URLSearchParams(location.search);
const transcript = new Transcript();
const chosen = new Set(); // channels shown; empty means all
const rows = new Map();
const terms = new Terms();
const log = new Log({
  box: $("log"),
  empty: $("empty"),
  more: $("more"),
  showChannel: () => transcript.channels.size > 1,
  terms,
});
const watcher = new Watcher(transcript, {
  session: wish.get("session") ?? "",
  channels: (wish.get("channels") ?? "").split(",").filter(Boolean),
  useSocket: wish.get("transport") !== "sse",
});
let state = "connecting";

const unanswered = new Unanswered((channel, utterance) => transcript.forget(channel, utterance).forEach(draw));

function take(event) {
  unanswered.feed(event);
  for (const change of transcript.feed(event)) draw(change);
}

function draw(change) {
  if (change.type === "line") {
    log.addLine(change.line);
    terms.note(change.line.glossary_version);
    enableTools(true);
    drawChannel(change.line.channel);
  }
  if (change.type === "gap") log.addGap(change.gap);
  if (change.type === "ungap") log.removeGap(change.gap);
  if (change.type === "interim" || change.type === "state") drawChannel(change.channel);
  if (change.type === "session") beginSession(change.isFirst);
  if (chosen.size) log.filter([...chosen]);
}

function beginSession(isFirst) {
  if (!isFirst) log.addNote(t("text.session"));
  rows.clear();
  $("interims").replaceChildren();
  chosen.clear();
  showChannels();
}

function drawChannel(name) {
  if (!rows.has(name)) addRow(name);
  const row = rows.get(name);
  const channel = transcript.channels.get(name);
  row.dataset.state = channel.state;
  row.querySelector("b").textContent = name;
  row.querySelector("em").textContent = t(`channel.${channel.state}`);
  drawInterim(row, transcript.interim(name));
  row.hidden = chosen.size > 0 && !chosen.has(name);
}

function addRow(name) {
  if (rows.size >= ROWS_MAX) return;
  const row = document.createElement("div");
  row.className = "interim";
  row.innerHTML =
    '<span class="who"><i></i><b></b><em></em></span><p><span class="words"><span class="steady"></span><span class="loose"></span></span></p>';
  rows.set(name, row);
  const sorted = [...rows.keys()].sort();
  $("interims").insertBefore(row, rows.get(sorted[sorted.indexOf(name) + 1]) ?? null);
  showChannels();
}

/** One toggle for each channel, once there are several. */
function showChannels() {
  const box = $("channels");
  const names = [...transcript.channels.keys()].sort();
  box.hidden = names.length < 2;
  box.replaceChildren(button("", t("watch.all")), ...names.map((name) => button(name, name)));
}

function button(name, text) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet";
  made.textContent = text;
  made.dataset.channel = name;
  made.setAttribute("aria-pressed", String(name ? chosen.has(name) : chosen.size === 0));
  made.addEventListener("click", () => choose(name));
  return made;
}

function choose(name) {
  if (!name) chosen.clear();
  else if (!chosen.delete(name)) chosen.add(name);
  for (const other of $("channels").children) {
    const is = other.dataset.channel ? chosen.has(other.dataset.channel) : chosen.size === 0;
    other.setAttribute("aria-pressed", String(is));
  }
  log.filter([...chosen]);
  for (const one of rows.keys()) drawChannel(one);
  log.toEnd();
}

function showState(name) {
  state = name;
  $("live").dataset.state = name;
  const via = name === "live" && watcher.transport === "sse" ? ` ${t("watch.sse")}` : "";
  $("live").querySelector("span").textContent = t(`watch.${name}`) + via;
}

wireTools({
  lines: () => transcript.lines.filter((line) => chosen.size === 0 || chosen.has(line.channel)),
  session: () => transcript.session,
  onClear: () => {
    transcript.clear();
    log.clear();
    enableTools(false);
  },
});
enableTools(false);
$("announce").addEventListener("change", (e) => $("log").setAttribute("aria-live", e.target.checked ? "polite" : "off"));
$("follow").addEventListener("change", (e) => (e.target.checked ? log.toEnd() : (log.isFollowing = false)));
$("log").addEventListener("scroll", () => ($("follow").checked = log.isFollowing));
language.addEventListener("language", () => {
  showState(state);
  for (const name of rows.keys()) drawChannel(name);
  showChannels();
});
watcher.addEventListener("event", (e) => take(e.detail));
watcher.addEventListener("state", (e) => showState(e.detail));
watcher.addEventListener("denied", async () => {
  notice.show({ code: "bad_token" });
  if (await askToken()) {
    notice.clear();
    watcher.start();
  }
});
watcher.addEventListener("gone", () => notice.show({ code: "gone", detail: watcher.session }));
showState("connecting");
watcher.start();
document.documentElement.dataset.ready = "";
