/* Sends files to the server one after the other, and shows how much of each has been sent.
 *
 * Owns the rows of the list of uploads. A file that the server has accepted is no longer here: it is a job then. A file
 * whose upload a reload has interrupted has a row, too: when it is chosen again, its upload goes on.
 */

import { request } from "../api.js";
import { language, t } from "../i18n.js";
import { Sending, discard, forget, keyOf, partOf, unfinished } from "./sending.js";

export class Uploads extends EventTarget {
  #waiting = [];
  #current = null; // the row
  #interrupted = new Map(); // key of a file -> row

  /** list: the element of the rows. options(): the fields of a job. Emits "accepted" (detail: the job). */
  constructor(list, options) {
    super();
    this.list = list;
    this.options = options;
    language.addEventListener("language", () => [...list.children].forEach((row) => row.draw()));
    for (const entry of unfinished()) this.#showInterrupted(entry);
  }

  /** Queue files. The options are those of this moment; an interrupted upload keeps its own. */
  add(files) {
    for (const file of files) {
      this.#interrupted.get(keyOf(file))?.remove();
      const row = this.#row(file.name);
      row.show("rec.waiting");
      this.#waiting.push({ file, row, options: this.options() });
    }
    this.#next();
  }

  /** Make a job from an address. Throws ServerError. */
  async fetch(url) {
    const job = await request("POST", "api/jobs", { ...this.options(), url });
    this.dispatchEvent(new CustomEvent("accepted", { detail: job }));
  }

  async #next() {
    if (this.#current || !this.#waiting.length) return;
    const { file, row, options } = this.#waiting.shift();
    this.#current = row;
    try {
      const job = await this.#send(file, row, options);
      row.remove();
      this.dispatchEvent(new CustomEvent("accepted", { detail: job }));
    } catch (error) {
      if (error.name === "AbortError") row.remove();
      else row.fail(error.detail || error.message);
      if (error.code === "bad_token") this.dispatchEvent(new CustomEvent("refused", { detail: error }));
    } finally {
      this.#current = null;
      this.#next();
    }
  }

  #send(file, row, options) {
    let sent = 0;
    const sending = new Sending(file, options, {
      onPart: (part) => {
        sent = part;
        row.show(part < 1 ? "rec.uploading" : "rec.checking", part);
      },
      onWait: () => row.show("rec.paused", sent),
    });
    row.onStop = () => sending.stop();
    return sending.run();
  }

  async #showInterrupted(entry) {
    const part = await partOf(entry).catch(() => 0); // not reachable now: it may be there still
    if (part === null) return forget(entry.key);
    const row = this.#row(entry.name);
    row.show("rec.interrupted", part);
    row.onStop = () => {
      row.remove();
      discard(entry);
    };
    this.#interrupted.set(entry.key, row);
  }

  #row(name) {
    const row = document.createElement("li");
    const text = document.createElement("span");
    const bar = document.createElement("progress");
    const stop = document.createElement("button");
    stop.type = "button";
    stop.className = "quiet";
    bar.max = 1;
    let [key, part, detail] = ["rec.waiting", 0, ""];
    row.draw = () => {
      text.textContent = t(key, { name, percent: Math.floor(part * 100), detail });
      stop.textContent = t(key === "rec.refused" ? "rec.dismiss" : key === "rec.interrupted" ? "rec.discard" : "rec.stop");
      bar.setAttribute("aria-label", name);
    };
    row.show = (nextKey, nextPart = 0) => {
      [key, part] = [nextKey, nextPart];
      bar.value = part;
      row.draw();
    };
    row.fail = (why) => {
      [key, detail] = ["rec.refused", why];
      row.className = "bad";
      row.setAttribute("role", "alert");
      bar.remove();
      row.onStop = () => row.remove();
      row.draw();
    };
    row.onStop = () => {
      this.#waiting = this.#waiting.filter((one) => one.row !== row);
      row.remove();
    };
    stop.addEventListener("click", () => row.onStop());
    row.append(text, bar, stop);
    this.list.append(row);
    return row;
  }
}
