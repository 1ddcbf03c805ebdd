/* The microphone page: a button that starts and stops, the steps to a connection, and the text.
 *
 * Owns the phase of the page and connects the parts; each part draws itself.
 *   idle -> starting -> live <-> reconnecting; from each of them -> stopping -> idle
 * A page that is reloaded while it is live starts again by itself.
 */

import { needsToken } from "./notice.js";
import { CaptureError, audioContext, isSecure, listClips, openClip, openMicrophone } from "./capture.js";
import { DelayFigures, LinkFigures, summary } from "./figures.js";
import { Glossary } from "./glossary.js";
import { language, t } from "./i18n.js";
import { Link } from "./link.js";
import { Meter } from "./meter.js";
import { $, askToken, beginPage } from "./page.js";
import { Recorder } from "./recorder.js";
import { resumeOfTab } from "./resume-token.js";
import { Settings } from "./settings.js";
import { Steps } from "./steps.js";
import { Terms } from "./terms.js";
import { TextPanel } from "./text-panel.js";

const STATS_MS = 1000;
const CLIP_TAIL_MS = 1200; // silence after a clip, so that its last utterance ends as in live speech

const main = document.querySelector("main");
const notice = beginPage((ready) => figures.model(ready.model));
const steps = new Steps($("steps"));
const meter = new Meter($("meter"), $("level-hint"));
const settings = new Settings();
const terms = new Terms();
const glossary = new Glossary($("glossary"), (version) => terms.note(version));
const delays = new DelayFigures($("latency"));
const figures = new LinkFigures($("link"));
const panel = new TextPanel({ steps, delays, terms });
let phase = "idle";
let source = null;
let link = null;
let recorder = null;
let ticker = 0;
let hadGoodLevel = false; // in this run
let isWeak = false; // responses to pings are late
let run = 0; // counts the starts; events and errors of an earlier run are ignored

function enter(next) {
  phase = next;
  main.dataset.phase = next;
  const label = { idle: "start", starting: "cancel", live: "stop", reconnecting: "stop", stopping: "stopping" }[next];
  $("button-text").textContent = t(`button.${label}`);
  $("go").disabled = next === "stopping";
  for (const button of document.querySelectorAll("[data-clip]")) button.disabled = next !== "idle";
  settings.isLive = next !== "idle";
  panel.isLive = next === "live";
}

/** clip: a test clip in place of the microphone, or null; kept: what resumeOfTab.kept() returned, after a reload. */
async function start(clip, kept = null) {
  const mine = ++run;
  const isMine = () => mine === run;
  notice.clear();
  steps.reset();
  hadGoodLevel = false;
  enter("starting");
  audioContext().catch(() => {}); // must begin inside the click, or it stays suspended; its errors show below
  try {
    if ((await needsToken()) && !(await askToken())) throw Object.assign(new Error(), { code: "bad_token" });
    if (!isMine()) return;
    const opened = clip ? await openTestClip(clip) : await openTheMicrophone();
    if (!isMine()) return opened.stop();
    source = opened;
    meter.attach(source.analyser);
    steps.set("level", "working");
    recorder = new Recorder();
    await recorder.attach(source.node);
    await openLink(clip?.language ?? settings.language, kept);
    if (!isMine()) return;
    enter("live");
    panel.begin();
    bringTextIntoView();
    if (clip) await playThrough(isMine);
  } catch (error) {
    if (isMine()) fail(error);
  }
}

async function openTheMicrophone() {
  steps.set("secure", "working");
  if (!isSecure()) throw new CaptureError("insecure");
  steps.set("secure", "done", location.protocol === "https:" ? { text: "https" } : "detail.local");
  steps.set("permission", "working", "detail.asking");
  const microphone = await openMicrophone(settings.capture);
  steps.set("permission", "done", "detail.granted");
  steps.set("device", "done", { text: microphone.label });
  microphone.track.addEventListener("ended", () => source === microphone && stop(new CaptureError("deviceGone")));
  settings.list();
  return microphone;
}

async function openTestClip(clip) {
  for (const name of ["secure", "permission"]) steps.set(name, "done", "detail.notNeeded");
  steps.set("device", "working", "detail.clip");
  const opened = await openClip(clip);
  steps.set("device", "done", "detail.clip");
  $("clip-text").hidden = false;
  $("clip-text").dataset.text = clip.text;
  showClipText();
  return opened;
}

async function playThrough(isMine) {
  await source.play();
  await new Promise((done) => setTimeout(done, CLIP_TAIL_MS));
  if (isMine() && (phase === "live" || phase === "reconnecting")) await stop();
}

async function openLink(spoken, kept) {
  const mine = run;
  link = new Link(source, panel.transcript, { language: spoken, recorder, kept });
  link.addEventListener("event", (e) => panel.feed(e.detail));
  link.addEventListener("repair", (e) => mine === run && onRepair(e.detail));
  link.addEventListener("state", (e) => mine === run && onLinkState(e.detail));
  link.addEventListener("failed", (e) => mine === run && stop({ code: "lost", detail: e.detail.message }));
  await link.open();
}

function onLinkState(state) {
  if (state === "live") {
    if (phase === "live" && !isWeak) return; // a response to a ping
    isWeak = false;
    steps.set("connection", ...connectionStep());
    if (steps.state("text") !== "done") steps.set("text", "working", "detail.listening");
    panel.remember(link.connection);
    figures.channel(link.connection.channels.map((c) => c.channel).join(", "));
    if (phase === "reconnecting") {
      enter("live");
      if (!link.connection.isResumed) panel.note("text.newChannel");
    }
    panel.advise("");
    clearInterval(ticker);
    ticker = setInterval(tick, STATS_MS);
    tick();
    return;
  }
  isWeak = state === "weak";
  steps.set("connection", isWeak ? "warning" : "working", `detail.${state}`);
  if (isWeak && phase === "live") panel.advise("text.weak");
  if (state !== "reconnecting") return;
  enter("reconnecting");
  panel.advise(recorder.isRecording ? "text.reconnecting" : "text.reconnectingUnrecorded");
}

/** State and detail of the connection step while connected. */
function connectionStep() {
  return link.connection?.transport === "socket" ? ["warning", "detail.socket"] : ["done"];
}

function onRepair({ state, seconds }) {
  if (state === "sending") panel.advise("text.repairing");
  if (state === "done") panel.advise("text.repaired", { seconds: seconds.toFixed(1) }, false);
  if (state === "failed") panel.advise("text.unrepaired");
}

async function tick() {
  const facts = summary(await link.connection.stats());
  if (phase !== "live") return;
  figures.show(facts);
  const rtt = facts.rttMs === null ? "" : ` · ${facts.rttMs}\u00a0ms`;
  if (facts.codec && !isWeak) steps.set("connection", "done", { text: facts.codec + rtt });
  panel.tick(performance.now(), meter.verdict);
}

function fail(error) {
  const stepOf = { insecure: "secure", blocked: "permission", inUse: "device", noDevice: "device", clip: "device" };
  steps.fail(stepOf[error.code] ?? (source ? "connection" : undefined));
  close();
  enter("idle");
  notice.show(error);
}

/** On a phone the text is below the visible part: scroll so that the button and the text are both visible. */
function bringTextIntoView() {
  const isVisible = $("interim").getBoundingClientRect().bottom <= innerHeight;
  const isReduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!isVisible) document.querySelector(".stage").scrollIntoView({ behavior: isReduced ? "auto" : "smooth" });
}

function close() {
  run += 1;
  clearInterval(ticker);
  link?.abandon();
  link?.repair.forget();
  resumeOfTab.forget();
  source?.stop();
  recorder?.stop();
  meter.detach();
  panel.pause();
  link = source = recorder = null;
}

/** Stop capture and wait for the last event. error: the reason if the user did not stop. */
async function stop(error = null) {
  if (phase === "stopping" || phase === "idle") return;
  if (phase === "starting") {
    close();
    steps.reset();
    enter("idle");
    return;
  }
  enter("stopping");
  run += 1;
  clearInterval(ticker);
  source.stop();
  meter.detach();
  steps.set("level", "over");
  steps.set("text", "working", "detail.flushing");
  let isComplete = false;
  try {
    isComplete = await link.finish();
  } catch (failure) {
    error ??= failure;
  }
  panel.end();
  steps.set("connection", "over");
  steps.set("text", isComplete ? "done" : "warning", isComplete ? "detail.finished" : "detail.unconfirmed");
  close();
  enter("idle");
  if (error) notice.show(error);
}

/** Another microphone or switch while live: open the new source before the old one stops, so that no audio is lost. */
async function replaceSource() {
  if ((phase !== "live" && phase !== "reconnecting") || source?.kind !== "microphone") return;
  try {
    const before = source;
    const next = await openTheMicrophone();
    if (phase === "stopping" || phase === "idle") return next.stop();
    source = next;
    meter.attach(source.analyser);
    await recorder.attach(source.node);
    await link.changeSource(source);
    before.stop();
  } catch (error) {
    notice.show(error);
  }
}

meter.addEventListener("verdict", (e) => {
  if (phase === "idle" || phase === "stopping") return;
  const isBad = e.detail === "clipping" || e.detail === "silent" || e.detail === "quiet";
  const state = e.detail === "good" ? "done" : isBad ? "warning" : "working";
  if (e.detail === "good") hadGoodLevel = true;
  const isJustPause = e.detail === "speak" && hadGoodLevel;
  if (e.detail !== "off") steps.set("level", isJustPause ? "done" : state);
});

function showClipText() {
  const place = $("clip-text");
  if (!place.hidden) place.textContent = t("clip.text", { text: place.dataset.text });
}

async function startClip(name) {
  try {
    const clip = (await listClips()).find((one) => one.language === name);
    await start(clip);
  } catch (error) {
    fail(error);
  }
}

$("go").addEventListener("click", () => (phase === "idle" ? start(null) : stop()));
for (const button of document.querySelectorAll("[data-clip]"))
  button.addEventListener("click", () => startClip(button.dataset.clip));
settings.addEventListener("source", replaceSource);
addEventListener("pagehide", () => link?.leave());
language.addEventListener("language", () => {
  steps.redraw();
  meter.redraw();
  delays.redraw();
  panel.redraw();
  showClipText();
  enter(phase);
});

/** After a reload while live: the microphone is allowed already, so this needs no click. */
async function continueAfterReload() {
  const kept = resumeOfTab.kept();
  if (!kept) return;
  const permission = await navigator.permissions?.query({ name: "microphone" }).catch(() => null);
  if (permission?.state === "granted" && phase === "idle") await start(null, kept);
}

enter("idle");
if (!isSecure()) notice.show(new CaptureError("insecure"));
glossary.load();
panel.restore();
continueAfterReload();
document.documentElement.dataset.ready = "";
