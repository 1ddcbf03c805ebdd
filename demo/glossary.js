/* The glossary box: canonical terms, one on each line. The server owns the list; this is a window onto it. */

import { request } from "./api.js";
import { language, t } from "./i18n.js";
import { canonical } from "./terms.js";

export class Glossary {
  #known = null; // the server's last answer; what this box does not show is sent back as it came
  #status = ["", {}];

  /** onList: told the server's list whenever it was read or written. */
  constructor(form, onList = () => {}) {
    this.onList = onList;
    this.area = form.querySelector("textarea");
    this.status = form.querySelector(".status");
    this.button = form.querySelector("button");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.area.addEventListener("input", () => this.#say("glossary.unsaved"));
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.save();
    });
    language.addEventListener("language", () => this.#say(...this.#status));
  }

  async read() {
    try {
      this.#take(await request("GET", "api/glossary"));
      this.#say("");
    } catch (error) {
      this.#known = null;
      this.#say("glossary.unread", { detail: error.message });
    }
  }

  async save() {
    this.#say("glossary.saving");
    this.button.disabled = true;
    try {
      this.#known ??= await request("GET", "api/glossary"); // never write over what was not read
      const body = this.#body();
      const answer = await request("PUT", "api/glossary", body);
      this.#take({ ...body, ...answer });
      this.#say("glossary.saved", { version: answer.glossary_version });
    } catch (error) {
      this.#say("glossary.failed", { detail: error.message });
    } finally {
      this.button.disabled = false;
    }
  }

  #take(answer) {
    this.#known = answer;
    this.onList(answer);
    this.area.value = (answer.terms ?? []).map(canonical).join("\n");
  }

  #body() {
    const before = new Map((this.#known?.terms ?? []).map((term) => [canonical(term), term]));
    return { ...this.#known, terms: lines(this.area.value).map((name) => before.get(name) ?? { canonical: name }) };
  }

  #say(key, values = {}) {
    this.#status = [key, values];
    this.status.textContent = key ? t(key, values) : "";
  }
}

/** Trimmed, without empty lines and repeats. */
export function lines(text) {
  return [...new Set(text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean))];
}
