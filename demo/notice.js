/* Messages about problems: banners about the server, an explained error, and the dialog for the access token. */

import { rememberToken, request, token } from "./api.js";
import { has, language, t } from "./i18n.js";

const CHECK_EVERY_MS = 15_000;
const CHECK_SOON_MS = 3000; // while there is a problem, so that its end shows soon
const CHECK_START_MS = 1000; // while the server starts, so that a download is seen to move
const START_STATES = new Set(["starting", "downloading", "measuring", "loading"]); // of the engine: host_stt/state.py

/** One error at a time: what happened, what to do, and the technical detail. */
export class Notice {
  #shown = null;

  /** onShow: called after each error, so that the banner soon shows the state of the server. */
  constructor(box, onShow = () => {}) {
    this.box = box;
    this.onShow = onShow;
    box.querySelector("button").addEventListener("click", () => this.clear());
    language.addEventListener("language", () => this.#shown && this.#draw(this.#shown));
  }

  show(error) {
    this.#shown = error;
    this.#draw(error);
    this.box.scrollIntoView({ block: "nearest" });
    this.onShow();
  }

  #draw(error) {
    const code = has(`error.${error.code}.title`) ? error.code : "unknown";
    const detail = error.detail || (code === "unknown" ? `${error.name}: ${error.message}` : "");
    const values = { detail, seconds: error.retryAfterS ?? 5, url: secureAddress() };
    this.box.dataset.code = code;
    this.box.querySelector("h2").textContent = t(`error.${code}.title`);
    this.box.querySelector(".way").textContent = t(`error.${code}.way`, values);
    const [label, text] = this.box.querySelectorAll(".detail span");
    label.textContent = t("error.detail");
    text.textContent = detail; // the sentence of the server or of the browser
    this.box.querySelector(".detail").hidden = !detail;
    this.box.hidden = false;
  }

  clear() {
    this.#shown = null;
    this.box.hidden = true;
  }
}

function secureAddress() {
  return `https://${location.host}${location.pathname}`;
}

/** The banner at the top of a page: shows a server that is not ready, and a server that uses the starter model. */
export class ServerBanner {
  #last = null;
  #timer = 0;

  /** onReady: called with each state of the server, see readiness(); everyMs: time between two requests. */
  constructor(box, onReady, everyMs = CHECK_EVERY_MS) {
    Object.assign(this, { box, onReady, everyMs });
    language.addEventListener("language", () => this.#draw());
  }

  begin() {
    this.check();
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.check());
  }

  async check() {
    clearTimeout(this.#timer);
    this.#last = await readiness();
    this.#draw();
    this.onReady(this.#last);
    const isWell = this.#last.isReachable && this.#last.status === "ready" && !this.#last.glossary;
    const soonMs = isStarting(this.#last) ? CHECK_START_MS : CHECK_SOON_MS;
    this.#timer = setTimeout(() => this.check(), isWell ? this.everyMs : soonMs);
  }

  #draw() {
    if (!this.#last) return;
    const rows = bannersFor(this.#last);
    const key = JSON.stringify(rows);
    if (this.box.dataset.key !== key) this.box.replaceChildren(...rows.map(bannerRow));
    this.box.dataset.key = key; // screen readers read every change, also to the same text
    drawProgress(this.box.querySelector(".progress"), this.#last.progress);
  }
}

/** Whether the engine is on its way to its first text. Not after a crash: then `degraded` says more. */
function isStarting({ status, state }) {
  return status === "starting" && START_STATES.has(state);
}

function bannersFor(ready) {
  const { isReachable, status, state, isStarter, reason, modelReason, glossary } = ready;
  if (!isReachable) return [{ kind: "bad", head: t("banner.unreachable"), body: t("banner.unreachableMore") }];
  const rows = [];
  if (isStarting(ready)) {
    rows.push({ kind: "start", head: t(`banner.${startOf(ready)}`), body: t("banner.startMore") });
    rows[0].hasProgress = state === "downloading";
  } else if (status !== "ready") {
    const head = status === "degraded" ? "banner.degraded" : "banner.notReady";
    rows.push({ kind: "bad", head: t(head), body: "", reason });
  }
  if (glossary) rows.push({ kind: "bad", head: t("banner.glossary"), body: "", reason: glossary });
  if (isStarter) {
    rows.push({ kind: "starter", head: t("banner.starter"), body: t("banner.starterMore"), reason: modelReason });
  }
  return rows;
}

/** A download has its last bytes some seconds before it is verified. */
function startOf({ state, progress }) {
  const isComplete = state === "downloading" && progress && progress.done_bytes >= progress.total_bytes;
  return isComplete ? "verifying" : state;
}

function drawProgress(place, progress) {
  if (!place || !progress) return;
  const mb = (bytes) => Math.round(bytes / 1e6);
  const values = { done: mb(progress.done_bytes), total: mb(progress.total_bytes) };
  place.firstElementChild.value = progress.done_bytes / progress.total_bytes;
  place.lastElementChild.textContent = t("banner.progress", values);
}

function bannerRow({ kind, head, body, reason = "", hasProgress = false }) {
  const row = document.createElement("div");
  row.className = `banner ${kind}`;
  const strong = document.createElement("strong");
  strong.textContent = head;
  const text = document.createElement("p");
  text.append(strong, " ");
  if (hasProgress) text.append(progressBar(), " ");
  text.append(`${body} `);
  if (reason) {
    const why = document.createElement("span");
    why.lang = "en"; // a sentence of the server
    why.textContent = reason;
    text.append(`${t("banner.reason")} `, why);
  }
  row.append(icon(kind === "start" ? CLOCK : TRIANGLE), text);
  return row;
}

/** Hidden from screen readers, which would read every step of it. */
function progressBar() {
  const place = document.createElement("span");
  place.className = "progress";
  place.setAttribute("aria-hidden", "true");
  place.append(document.createElement("progress"), document.createElement("b"));
  return place;
}

const TRIANGLE = "M12 4.5 21 20H3L12 4.5zM12 10.5v4M12 17.2v.1";
const CLOCK = "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 8v4.5l3 2";

function icon(path) {
  const holder = document.createElement("span");
  holder.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
  return holder.firstElementChild;
}

/** GET /ready as a flat object, the same for status 200 and 503. */
async function readiness() {
  let response;
  try {
    const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
    response = await fetch(new URL("ready", document.baseURI), { headers, cache: "no-store" });
  } catch {
    return { isReachable: false };
  }
  const body = await response.json().catch(() => null);
  if (body === null) return { isReachable: false }; // a page of a proxy: the server behind it is down
  return {
    isReachable: true,
    status: response.ok ? "ready" : (body.status ?? "starting"),
    model: body.engine?.model ?? "",
    isStarter: body.engine?.is_starter === true,
    state: body.engine?.state ?? "",
    progress: body.engine?.progress ?? null,
    // What the head of the banner says in the language of the page is not said again in English.
    reason: body.status === "degraded" && body.error?.code === "engine_unreachable" ? "" : (body.reason ?? ""),
    modelReason: body.engine?.model_reason ?? "",
    worstWaitMs: body.engine?.queue?.worst_ms ?? null, // of the last minute
    gpuLoads: body.engine?.gpu_loads ?? [], // percent
    glossary: body.troubles?.glossary ?? "",
  };
}

/** Show the dialog for the token. Resolves to true if a token was typed; the server has not checked it yet. */
export function askForToken(dialog) {
  if (dialog.open) return Promise.resolve(false);
  dialog.querySelector("input").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener(
      "close",
      () => {
        const value = dialog.querySelector("input").value.trim();
        const isGiven = dialog.returnValue === "use" && value !== "";
        if (isGiven) rememberToken(value);
        done(isGiven);
      },
      { once: true },
    );
  });
}

/** True if the server needs a token and this tab has no valid one. Costs one small request. */
export async function needsToken() {
  try {
    await request("GET", "api/ice");
  } catch (error) {
    return error.code === "bad_token";
  }
  return false;
}
