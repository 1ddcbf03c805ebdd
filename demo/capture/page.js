/* The page /capture: sends the inputs of this machine, each as a channel, for as long as it is open.
 *
 * Owns the list of cards, their setup in the browser's storage, and the lock that lets only one tab send.
 */

import { CaptureError, audioContext, isSecure, openMicrophone } from "../capture.js";
import { language, t } from "../i18n.js";
import { needsToken } from "../notice.js";
import { $, askToken, beginPage } from "../page.js";
import "./card.js";
import { CARDS_MAX, loadSetup, newCard, saveSetup } from "./setup.js";
import { WakeLock } from "./wake.js";

const LOCK = "host-stt.capture";

const notice = beginPage();
const setup = loadSetup();
const cards = new Map(); // setup of a card -> its element
const wake = new WakeLock();
let isAlone = false; // no other tab of this browser sends

const all = () => [...cards.values()];
const running = () => all().filter((card) => card.isRunning);

function add(one) {
  const card = document.createElement("capture-card").begin(one, { taken, mayStart: isAllowed });
  cards.set(one, card);
  $("cards").append(card);
  card.addEventListener("setup", () => saveSetup(setup));
  card.addEventListener("change", draw);
  card.addEventListener("opened", listDevices);
  card.addEventListener("removed", () => remove(one));
  card.listDevices();
}

function taken(card) {
  return new Set(all().filter((other) => other !== card && other.isRunning).map((other) => other.deviceId));
}

function remove(one) {
  cards.get(one).remove();
  cards.delete(one);
  setup.splice(setup.indexOf(one), 1);
  saveSetup(setup);
  draw();
  $("add").focus();
}

function listDevices() {
  for (const card of all()) card.listDevices();
}

async function isAllowed() {
  notice.clear();
  if (!isSecure()) notice.show(new CaptureError("insecure"));
  else if ((await needsToken()) && !(await askToken())) notice.show({ code: "bad_token" });
  else return true;
  return false;
}

async function startAll() {
  audioContext().catch(() => {}); // must begin inside the click, or it stays suspended
  if (await isAllowed()) for (const card of all()) card.start();
}

/** Names of devices are empty until the user has allowed the page to use one of them. */
async function showDevices() {
  try {
    (await openMicrophone()).stop();
    listDevices();
  } catch (error) {
    notice.show(error);
  }
}

function draw() {
  const [count, strips] = [running().length, running().flatMap((card) => card.shown)];
  const live = strips.filter((strip) => strip.isLive).length;
  const isTrouble = count > 0 && (live < strips.length || running().some((card) => card.state === "gone"));
  put($("summary"), count ? t("cap.summary", { live, n: strips.length }) : t("cap.idle"));
  $("summary").dataset.state = count ? (isTrouble ? "trouble" : "live") : "off";
  put($("wake"), count ? t(`cap.wake.${wake.state}`) : "");
  put($("all"), t(count ? "cap.stopAll" : "cap.startAll"));
  $("all").disabled = !isAlone || cards.size === 0;
  $("add").disabled = cards.size >= CARDS_MAX;
  for (const card of all()) card.querySelector(".run").disabled = !isAlone || card.state === "stopping";
  wake.isWanted = count > 0;
}

/** Screen readers read every change of a status, also to the same text. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** After a restart of the browser or of the machine: what was sending begins again, without a click. */
async function continueAfterReload() {
  const waiting = all().filter((card) => card.setup.isOn);
  if (waiting.length === 0) return;
  const permission = await navigator.permissions?.query({ name: "microphone" }).catch(() => null);
  if (permission?.state === "granted" && (await isAllowed())) for (const card of waiting) card.start();
  else notice.show({ code: "capturePaused" });
}

$("add").addEventListener("click", () => {
  const one = newCard(setup);
  setup.push(one);
  add(one);
  saveSetup(setup);
  draw();
  cards.get(one).querySelector("select").focus();
});
$("all").addEventListener("click", () => (running().length ? running().forEach((card) => card.stop()) : startAll()));
$("devices").addEventListener("click", showDevices);
navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
wake.addEventListener("change", draw);
addEventListener("pagehide", () => all().forEach((card) => card.leave()));
language.addEventListener("language", () => {
  for (const card of all()) card.draw();
  draw();
});

/** Waits while another tab sends; goes on when that tab is closed. */
function begin() {
  isAlone = true;
  draw();
  continueAfterReload();
  return new Promise(() => {}); // the lock lasts as long as the page
}

for (const one of setup) add(one);
if (!isSecure()) notice.show(new CaptureError("insecure"));
draw();
if ("locks" in navigator) {
  const { held } = await navigator.locks.query();
  $("other").hidden = !held.some((lock) => lock.name === LOCK);
  navigator.locks.request(LOCK, () => (($("other").hidden = true), begin()));
} else begin();
document.documentElement.dataset.ready = "";
