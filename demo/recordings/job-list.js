/* The list of recordings: newest first, with their progress, a search and older pages.
 *
 * Owns the rows. While a job is open, the list is loaded again every two seconds; a page in the background waits.
 */

import { request } from "../api.js";
import { language, t } from "../i18n.js";
import { shortTime } from "./times.js";

const EVERY_MS = 2000;
const QUIET_EVERY_MS = 15_000; // other people add recordings, too
const OPEN = ["queued", "running"];

export class JobList extends EventTarget {
  #rows = new Map(); // job -> row
  #jobs = [];
  #pages = 1;
  #timer = 0;
  #loads = 0;

  /** Emits "chosen" (detail: the job), "changed" (detail: a job) and "failed" (detail: the error). */
  constructor(list, note, find, older) {
    super();
    Object.assign(this, { list, note, find, older });
    find.addEventListener("input", () => ((this.#pages = 1), this.load()));
    older.addEventListener("click", () => ((this.#pages += 1), this.load()));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.load());
    language.addEventListener("language", () => this.#draw());
  }

  chosen = "";

  choose(job) {
    this.chosen = job;
    this.#draw();
  }

  async load() {
    clearTimeout(this.#timer);
    const load = (this.#loads += 1);
    try {
      const { jobs, hasMore } = await this.#read();
      if (load !== this.#loads) return; // a later one is under way
      this.#jobs = jobs;
      this.older.hidden = !hasMore;
      this.#problem = "";
      this.#draw();
    } catch (error) {
      if (load !== this.#loads) return;
      this.#problem = error.message;
      this.#draw();
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    }
    const wait = this.#jobs.some((job) => OPEN.includes(job.state)) ? EVERY_MS : QUIET_EVERY_MS;
    this.#timer = setTimeout(() => document.visibilityState === "visible" && this.load(), wait);
  }

  #problem = "";

  async #read() {
    const words = encodeURIComponent(this.find.value.trim());
    let [jobs, before] = [[], null];
    for (let page = 0; page < this.#pages; page += 1) {
      const more = before === null ? "" : `&before=${before}`;
      const body = await request("GET", `api/jobs?limit=30&q=${words}${more}`);
      jobs = [...jobs, ...body.jobs];
      before = body.next_before;
      if (before === null) break;
    }
    return { jobs, hasMore: before !== null };
  }

  #draw() {
    const known = new Set(this.#jobs.map((job) => job.job));
    for (const [id, row] of this.#rows) if (!known.has(id)) (row.remove(), this.#rows.delete(id));
    this.#jobs.forEach((job, at) => {
      const row = this.#rows.get(job.job) ?? this.#made(job);
      if (this.list.children[at] !== row) this.list.insertBefore(row, this.list.children[at] ?? null);
      this.#fill(row, job);
    });
    const empty = this.find.value.trim() ? "rec.noneFound" : "rec.none";
    const text = this.#problem ? t("rec.unread", { detail: this.#problem }) : this.#jobs.length ? "" : t(empty);
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  #made(job) {
    const row = document.createElement("li");
    row.innerHTML = `<button type="button" class="open"><b></b><span></span></button><progress max="1"></progress>
      <button type="button" class="quiet cancel"></button>`;
    row.querySelector(".open").addEventListener("click", () => this.dispatchEvent(new CustomEvent("chosen", { detail: row.job })));
    row.querySelector(".cancel").addEventListener("click", () => this.#cancel(row.job));
    this.#rows.set(job.job, row);
    return row;
  }

  #fill(row, job) {
    const before = row.job;
    row.job = job;
    const isOpen = OPEN.includes(job.state);
    row.dataset.state = job.state;
    row.classList.toggle("chosen", job.job === this.chosen);
    row.querySelector("b").textContent = job.title;
    row.querySelector(".open span").textContent = about(job);
    row.querySelector(".open").setAttribute("aria-pressed", String(job.job === this.chosen));
    const bar = row.querySelector("progress");
    bar.hidden = !isOpen;
    bar.setAttribute("aria-label", t("rec.progress", { title: job.title }));
    if (job.state === "running" && job.total_s) bar.value = Math.min(1, job.done_s / job.total_s);
    else if (job.state === "queued") bar.value = 0;
    else bar.removeAttribute("value");
    const cancel = row.querySelector(".cancel");
    cancel.hidden = !isOpen;
    cancel.textContent = t("rec.cancel");
    cancel.setAttribute("aria-label", t("rec.cancelOf", { title: job.title }));
    if (before && before.state !== job.state) this.dispatchEvent(new CustomEvent("changed", { detail: job }));
  }

  async #cancel(job) {
    try {
      await request("DELETE", `api/jobs/${job.job}`);
      this.list.focus(); // the button disappears
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
    }
    this.load();
  }
}

/** The state of a job in one line: "being transcribed · 03:10 of 58:00 · 30 Nov, 06:10". */
export function about(job) {
  const parts = [t(`rec.state.${job.state}`)];
  const total = job.total_s === null ? "" : shortTime(job.total_s * 1000);
  if (job.state === "running" && total) parts.push(t("rec.of", { done: shortTime(job.done_s * 1000), total }));
  else if (total) parts.push(total);
  if (job.state === "failed") parts.push(job.error?.message ?? "");
  const made = new Date(job.created_wall);
  parts.push(made.toLocaleString(language.current, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }));
  return parts.filter(Boolean).join(" · ");
}
