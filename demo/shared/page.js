/* The page of a link: shows the text of a range to people who have no token of the server, and plays its audio if the
 * link allows it. The token of the link stands behind "#" in the address; it is sent in a header, never in an address.
 */

import { language, t } from "../i18n.js";
import { $ } from "../page.js";
import { timecode } from "../timecode.js";

const PLAY = "M8 5.5v13l11-6.5z";
const token = location.hash.slice(1);
let shared = null; // the response of the server
let problem = null; // {code, detail}
let audioUrl = "";

async function load() {
  if (!token) return fail("none");
  let response;
  try {
    response = await ask("api/shared");
  } catch {
    return fail("other");
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) return fail(codeOf(response.status, body.error?.code), body.error?.message);
  shared = body;
  draw();
}

function ask(path) {
  const headers = { Authorization: `Bearer ${token}` };
  return fetch(new URL(path, document.baseURI), { headers, cache: "no-store" });
}

function codeOf(status, code) {
  if (status === 404) return "404";
  if (code === "link_expired") return "expired";
  return status === 410 ? "revoked" : "other";
}

function fail(code, detail = "") {
  problem = { code, detail };
  draw();
}

function draw() {
  document.title = shared ? `${shared.name} · host-stt` : t("shared.title");
  $("problem").hidden = problem === null;
  $("about").hidden = problem !== null;
  if (problem) {
    $("problem").querySelector("h2").textContent = t(`shared.error.${problem.code}.title`);
    $("problem").querySelector("p").textContent = t(`shared.error.${problem.code}.way`);
  }
  if (!shared) return;
  $("name").textContent = shared.name;
  $("about").textContent = about();
  $("more").hidden = !shared.is_truncated;
  $("lines").replaceChildren(...shared.lines.map(row));
  $("listen").hidden = !shared.has_audio || shared.lines.length === 0;
  $("listen").replaceChildren(...(shared.has_audio ? spoken() : []).map(listenButton));
}

function about() {
  const { session_name: session, t0_wall: start, from_ms: from, to_ms: to, expires_wall: end, lines } = shared;
  const wall = (ms) => new Date(Date.parse(start) + ms).toLocaleString(language.current, { dateStyle: "medium", timeStyle: "medium" });
  const expires = new Date(end).toLocaleString(language.current, { dateStyle: "medium", timeStyle: "short" });
  const range = t("shared.range", { from: wall(from), to: wall(to) });
  const parts = [session, range, t("shared.valid", { time: expires })];
  if (!lines.length) parts.push(t("shared.empty"));
  if (!shared.has_audio) parts.push(t("shared.noAudio"));
  return parts.join(" · ");
}

/** The channels of which the range has lines. */
function spoken() {
  return shared.channels.filter(({ channel }) => shared.lines.some((line) => line.channel === channel));
}

function listenButton({ channel, label }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.append(icon(), t("shared.listen", { channel: label && label !== channel ? `${channel} ${label}` : channel }));
  button.addEventListener("click", () => play(`api/shared/audio?channel=${encodeURIComponent(channel)}`, null));
  return button;
}

function row(line) {
  const node = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = line.start ?? timecode(line.start_ms);
  const channel = document.createElement("b");
  channel.textContent = line.channel;
  const text = document.createElement("p");
  if (line.is_redacted) {
    const removed = document.createElement("span");
    removed.className = "redacted";
    removed.textContent = t("line.redacted");
    text.append(removed);
  } else {
    if (line.is_not_said) text.append(notSaid(line.text));
    else text.append(line.text);
    if (line.language) text.lang = line.language;
  }
  if (line.is_corrected && !line.is_redacted) {
    const remark = document.createElement("small");
    remark.lang = language.current;
    remark.textContent = t("shared.corrected");
    text.append(remark);
  }
  node.append(time, channel, text);
  if (shared.has_audio && !line.is_redacted) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.setAttribute("aria-label", `${t("shared.play")}: ${time.textContent}`);
    button.append(icon());
    button.addEventListener("click", () => play(`api/shared/audio?segment=${line.segment}`, node));
    node.append(button);
  }
  return node;
}

/** The text of a line that is marked as not said, struck through. */
function notSaid(words) {
  const node = document.createElement("s");
  node.textContent = words;
  node.title = t("line.mark.not_said");
  const read = document.createElement("span");
  read.className = "hidden";
  read.lang = language.current;
  read.textContent = ` (${t("line.mark.not_said")})`;
  const both = document.createDocumentFragment();
  both.append(node, read);
  return both;
}

function icon() {
  const holder = document.createElement("span");
  holder.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${PLAY}"/></svg>`;
  return holder.firstElementChild;
}

async function play(path, node) {
  const audio = $("audio");
  for (const old of document.querySelectorAll(".playing")) old.classList.remove("playing");
  let response;
  try {
    response = await ask(path);
    if (!response.ok) throw new Error((await response.json()).error?.message ?? `HTTP ${response.status}`);
  } catch (error) {
    $("about").textContent = t("shared.audioFailed", { detail: error.message });
    return;
  }
  if (audioUrl) URL.revokeObjectURL(audioUrl);
  audioUrl = URL.createObjectURL(await response.blob());
  audio.src = audioUrl;
  audio.hidden = false;
  node?.classList.add("playing");
  await audio.play().catch(() => {}); // the player shows that it did not begin
}

language.addEventListener("language", draw);
language.begin();
$("language").addEventListener("click", () => language.toggle());
addEventListener("hashchange", () => location.reload());
load().finally(() => (document.documentElement.dataset.ready = ""));
