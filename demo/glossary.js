/* The glossary box: shows the server's canonical terms, one on each line, and saves changes. */

import { request } from "./api.js";
import { language, t } from "./i18n.js";
import { canonical } from "./terms.js";

export class Glossary {
  #known = null; // the last glossary of the server; a save sends back unchanged what this box does not show
  #status = ["", {}];

  /** onList(glossary): called after each load and save. */
  constructor(form, onList = () => {}) {
    this.onList = onList;
    this.area = form.querySelector("textarea");
    this.status = form.querySelector(".status");
    this.button = form.querySelector("button");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.area.addEventListener("input", () => this.#showStatus("glossary.unsaved"));
    this.area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.save();
    });
    language.addEventListener("language", () => this.#showStatus(...this.#status));
  }

  async load() {
    try {
      this.#take(await request("GET", "api/glossary"));
      this.#showStatus("");
    } catch (error) {
      this.#known = null;
      this.#showStatus("glossary.unread", { detail: error.message });
    }
  }

  async save() {
    this.#showStatus("glossary.saving");
    this.button.disabled = true;
    try {
      this.#known ??= await request("GET", "api/glossary"); // a save must not delete what was not loaded
      const body = this.#body();
      const saved = await request("PUT", "api/glossary", body);
      this.#take({ ...body, ...saved });
      this.#showStatus("glossary.saved", { version: saved.glossary_version });
    } catch (error) {
      this.#showStatus("glossary.failed", { detail: error.message });
    } finally {
      this.button.disabled = false;
    }
  }

  #take(glossary) {
    this.#known = glossary;
    this.onList(glossary);
    this.area.value = (glossary.terms ?? []).map(canonical).join("\n");
  }

  #body() {
    const before = new Map((this.#known?.terms ?? []).map((term) => [canonical(term), term]));
    return { ...this.#known, terms: lines(this.area.value).map((name) => before.get(name) ?? { canonical: name }) };
  }

  #showStatus(key, values = {}) {
    this.#status = [key, values];
    this.status.textContent = key ? t(key, values) : "";
  }
}

/** The lines of a text, trimmed, without empty and repeated ones. */
function lines(text) {
  return [...new Set(text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean))];
}
