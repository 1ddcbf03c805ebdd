/* The page of recordings: wires uploads, the list, the text and the playback. Owns which recording is chosen. */

import { address, request, token } from "../api.js";
import { language, t } from "../i18n.js";
import { $, askToken, beginPage } from "../page.js";
import { JobList, about } from "./job-list.js";
import { Playback } from "./playback.js";
import { Summary } from "./summary.js";
import { Transcript } from "./transcript.js";
import { Uploads } from "./upload.js";

const EXPORTS = ["txt", "srt", "vtt", "csv", "jsonl"];

const notice = beginPage();
const uploads = new Uploads($("uploads"), options);
const list = new JobList($("jobs"), $("jobs-note"), $("find"), $("older"));
const text = new Transcript($("text"));
const summary = new Summary($("summary-of"), $("summary"));
const playback = new Playback({
  audio: $("audio"), box: $("player"), play: $("play"), seek: $("seek"), place: $("place"), heard: $("heard"), speed: $("speed"),
});
let chosen = null;

function options() {
  const wanted = { language: $("spoken").value, channels: $("channels").value, glossary: $("glossary").checked };
  return $("summary").value ? { ...wanted, summary: $("summary").value } : wanted;
}

/** Show a job: its text and its audio. */
function open(job, hasFocus = true) {
  chosen = job;
  history.replaceState(null, "", `#${job.job}`);
  list.choose(job.job);
  $("chosen").hidden = false;
  $("nothing").hidden = true;
  playback.open(null, []);
  playback.length = (job.total_s ?? 0) * 1000;
  text.open(job);
  summary.open(hasEnded(job) ? job.session : null);
  draw();
  if (hasFocus) {
    $("detail-heading").focus({ preventScroll: true });
    $("detail").scrollIntoView({ block: "nearest" });
  }
}

const hasEnded = (job) => !["queued", "running"].includes(job.state);

function draw() {
  if (!chosen) return;
  $("detail-heading").textContent = chosen.title;
  $("about").textContent = about(chosen);
  $("warning").textContent = chosen.warning ?? "";
  $("warning").hidden = !chosen.warning;
  const links = EXPORTS.map((kind) => {
    const link = document.createElement("a");
    link.href = address(`api/sessions/${chosen.session}/export.${kind}`, { token: token() });
    link.textContent = kind.toUpperCase();
    link.download = "";
    return link;
  });
  $("exports").replaceChildren(...(chosen.session ? links : []));
}

async function refresh() {
  if (!chosen) return;
  const { job } = chosen;
  const found = await request("GET", `api/jobs/${job}`).catch(() => null);
  if (found && chosen?.job === job) {
    chosen = found;
    draw();
  }
}

async function openFromAddress() {
  const job = location.hash.slice(1);
  if (!/^j_[0-9a-f]+$/.test(job) || job === chosen?.job) return;
  const found = await request("GET", `api/jobs/${job}`).catch((error) => notice.show(error));
  if (found) open(found, false);
}

async function failed(error) {
  if (error.code === "bad_token" && (await askToken())) return list.load();
  if (error.code !== "unreachable") notice.show(error); // the banner says that the server is not reachable
}

list.addEventListener("chosen", ({ detail }) => open(detail));
list.addEventListener("changed", ({ detail }) => detail.job === chosen?.job && ((chosen = detail), draw()));
list.addEventListener("failed", ({ detail }) => detail.code === "bad_token" && failed(detail));
uploads.addEventListener("refused", ({ detail }) => failed(detail));
uploads.addEventListener("accepted", ({ detail }) => {
  list.load();
  if (!chosen) open(detail, false);
});
text.addEventListener("started", ({ detail }) => {
  playback.open(detail.session, detail.channels);
  refresh();
});
text.addEventListener("progress", ({ detail }) => {
  chosen = { ...chosen, state: "running", done_s: detail.done_s, total_s: detail.total_s };
  playback.length = detail.done_s * 1000;
  draw();
});
text.addEventListener("ended", ({ detail }) => {
  chosen = { ...chosen, ...detail, job: chosen.job };
  playback.length = (detail.total_s ?? detail.done_s ?? 0) * 1000;
  summary.open(chosen.session ?? null);
  refresh();
  list.load();
});
summary.addEventListener("jump", ({ detail }) => text.show(detail));
text.addEventListener("play", ({ detail }) => playback.from(detail.channel, detail.ms));
playback.addEventListener("at", ({ detail }) => text.mark(detail.channel, detail.ms));
playback.addEventListener("failed", () => {
  $("about").textContent = t("rec.noAudio");
});
language.addEventListener("language", draw);
window.addEventListener("hashchange", openFromAddress);

const drop = $("drop");
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault(); // a file that misses the field must not replace the page
    drop.classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  uploads.add(event.dataTransfer?.files ?? []);
});
$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => {
  uploads.add($("files").files);
  $("files").value = "";
});
$("by-address").addEventListener("submit", async (event) => {
  event.preventDefault();
  const value = $("address").value.trim();
  if (!value) return;
  notice.clear();
  try {
    await uploads.fetch(value);
    $("address").value = "";
  } catch (error) {
    failed(error);
  }
});

list.load();
summary.begin();
openFromAddress();
document.documentElement.dataset.ready = "";
