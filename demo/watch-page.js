/* The Watch page: shows the events of a session live and sends no audio.
 *
 * Owns the choice of channels and one interim row for each channel. The text itself is live-text.js.
 */

import { language, t } from "./i18n.js";
import { LiveText, drawInterim } from "./live-text.js";
import { $, askToken, beginPage, enableTools, wireTools } from "./page.js";
import { Terms } from "./terms.js";
import { Watcher } from "./watch.js";

const ROWS_MAX = 64; // channels of a session

const notice = beginPage();
const query = new URLSearchParams(location.search);
const chosen = new Set(); // channels that are shown; empty means all
const rows = new Map(); // channel -> its interim row
const text = new LiveText({
  box: $("log"),
  empty: $("empty"),
  more: $("more"),
  terms: new Terms(),
  showsChannel: () => transcript.channels.size > 1,
});
const { transcript } = text;
const watcher = new Watcher(transcript, {
  session: query.get("session") ?? "",
  channels: (query.get("channels") ?? "").split(",").filter(Boolean),
  useSocket: query.get("transport") !== "sse",
});
let state = "connecting";

text.addEventListener("line", ({ detail }) => {
  enableTools(true);
  drawChannel(detail.line.channel);
});
text.addEventListener("interim", ({ detail }) => drawChannel(detail.channel));
text.addEventListener("state", ({ detail }) => drawChannel(detail.channel));
text.addEventListener("session", beginSession);

function beginSession() {
  rows.clear();
  $("interims").replaceChildren();
  chosen.clear();
  showChannels();
}

function drawChannel(name) {
  if (!rows.has(name)) addRow(name);
  const row = rows.get(name);
  if (!row) return;
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
    '<span class="who"><i></i><b></b><em></em></span>' +
    '<p><span class="words"><span class="steady"></span><span class="loose"></span></span></p>';
  rows.set(name, row);
  const sorted = [...rows.keys()].sort();
  $("interims").insertBefore(row, rows.get(sorted[sorted.indexOf(name) + 1]) ?? null);
  showChannels();
}

/** One button for each channel, if there are several. */
function showChannels() {
  const box = $("channels");
  const names = [...transcript.channels.keys()].sort();
  box.hidden = names.length < 2;
  box.replaceChildren(channelButton("", t("watch.all")), ...names.map((name) => channelButton(name, name)));
}

/** name: a channel, or "" for the button that shows all. */
function channelButton(name, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = label;
  button.dataset.channel = name;
  button.setAttribute("aria-pressed", String(isPressed(name)));
  button.addEventListener("click", () => choose(name));
  return button;
}

function isPressed(name) {
  return name ? chosen.has(name) : chosen.size === 0;
}

function choose(name) {
  if (!name) chosen.clear();
  else if (!chosen.delete(name)) chosen.add(name);
  for (const button of $("channels").children) {
    button.setAttribute("aria-pressed", String(isPressed(button.dataset.channel)));
  }
  text.filter([...chosen]);
  for (const one of rows.keys()) drawChannel(one);
  text.toEnd();
}

function showState(name) {
  state = name;
  $("live").dataset.state = name;
  const transport = name === "live" && watcher.transport === "sse" ? ` ${t("watch.sse")}` : "";
  $("live").querySelector("span").textContent = t(`watch.${name}`) + transport;
}

wireTools({
  lines: () => transcript.lines.filter((line) => chosen.size === 0 || chosen.has(line.channel)),
  session: () => transcript.session,
  onClear: () => {
    text.clear();
    enableTools(false);
  },
});
enableTools(false);
$("announce").addEventListener("change", (e) => $("log").setAttribute("aria-live", e.target.checked ? "polite" : "off"));
$("follow").addEventListener("change", (e) => (e.target.checked ? text.toEnd() : (text.isFollowing = false)));
$("log").addEventListener("scroll", () => ($("follow").checked = text.isFollowing));
language.addEventListener("language", () => {
  showState(state);
  for (const name of rows.keys()) drawChannel(name);
  showChannels();
});
watcher.addEventListener("event", ({ detail }) => {
  text.feed(detail);
  if (chosen.size) text.filter([...chosen]);
});
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
