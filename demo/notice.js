/* What the page says when something is wrong: banners about the server, one explained error, the question for a token. */

import { rememberToken, request, token } from "./api.js";
import { has, language, t } from "./i18n.js";

const ASK_EVERY_MS = 15_000;
const ASK_SOON_MS = 3000; // while something is wrong: the good news should not be late

/** One error at a time, in plain words: what happened, what to do, and the detail for whoever must fix it. */
export class Notice {
  #shown = null;

  /** onShow: called after each error, so that the banner can say soon whether the server is well. */
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
    const [label, words] = this.box.querySelectorAll(".detail span");
    label.textContent = t("error.detail");
    words.textContent = detail; // the server's or the browser's own
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

/** The banner over every page: the model in use when it is only the starter, and a server that is not well. */
export class ServerBanner {
  #last = null;
  #timer = 0;

  constructor(box) {
    this.box = box;
    language.addEventListener("language", () => this.#draw());
  }

  begin() {
    this.ask();
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.ask());
  }

  async ask() {
    clearTimeout(this.#timer);
    this.#last = await readiness();
    this.#draw();
    const isWell = this.#last.isAnswering && this.#last.status === "ready";
    this.#timer = setTimeout(() => this.ask(), isWell ? ASK_EVERY_MS : ASK_SOON_MS);
  }

  #draw() {
    if (!this.#last) return;
    const rows = bannersFor(this.#last);
    const key = JSON.stringify(rows);
    if (this.box.dataset.key === key) return; // the same words again would be read out again
    this.box.dataset.key = key;
    this.box.replaceChildren(...rows.map(bannerRow));
  }
}

function bannersFor({ isAnswering, status, isStarter, reason, modelReason }) {
  if (!isAnswering) return [{ kind: "bad", head: t("banner.unreachable"), body: t("banner.unreachableMore") }];
  const rows = [];
  if (status !== "ready") {
    const head = status === "degraded" ? "banner.degraded" : "banner.notReady";
    rows.push({ kind: "bad", head: t(head), body: "", reason });
  }
  if (isStarter) {
    rows.push({ kind: "starter", head: t("banner.starter"), body: t("banner.starterMore"), reason: modelReason });
  }
  return rows;
}

function bannerRow({ kind, head, body, reason = "" }) {
  const row = document.createElement("div");
  row.className = `banner ${kind}`;
  const strong = document.createElement("strong");
  strong.textContent = head;
  const words = document.createElement("p");
  words.append(strong, ` ${body} `);
  if (reason) {
    const why = document.createElement("span");
    why.lang = "en"; // the server's own words
    why.textContent = reason;
    words.append(`${t("banner.reason")} `, why);
  }
  row.append(icon(), words);
  return row;
}

function icon() {
  const holder = document.createElement("span");
  holder.innerHTML =
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 4.5 21 20H3L12 4.5zM12 10.5v4M12 17.2v.1"/></svg>';
  return holder.firstElementChild;
}

/** GET /ready in one flat shape, whether the answer is 200 or 503. */
async function readiness() {
  let response;
  try {
    const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
    response = await fetch(new URL("ready", document.baseURI), { headers, cache: "no-store" });
  } catch {
    return { isAnswering: false };
  }
  const body = await response.json().catch(() => null);
  if (body === null) return { isAnswering: false }; // a proxy's own page: the server behind it is away
  return {
    isAnswering: true,
    status: response.ok ? "ready" : (body.status ?? "starting"),
    isStarter: body.engine?.is_starter === true,
    reason: body.reason ?? "",
    modelReason: body.engine?.model_reason ?? "",
  };
}

/** Ask for the token. Resolves to true when one was given and the server takes it or has not judged it yet. */
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

/** Does the server want a token that we do not have? One cheap question, asked before anything is started. */
export async function needsToken() {
  try {
    await request("GET", "api/ice");
  } catch (error) {
    return error.code === "bad_token";
  }
  return false;
}
