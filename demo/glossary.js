/* The glossary box: shows the server's canonical terms, one on each line, and saves changes.
 *
 * A change by another person since the list was loaded is kept: the lines that this person added and removed are applied
 * to the new list.
 */

import { request } from "./api.js";
import { language, t } from "./i18n.js";
import { canonical } from "./terms.js";

export class Glossary {
  #known = null; // the last glossary of the server; a save sends back unchanged what this box does not show
  #status = ["", {}];

  /** onVersion(version): called after each load and save. */
  constructor(form, onVersion = () => {}) {
    this.onVersion = onVersion;
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
      const saved = await this.#put().catch(async (error) => {
        if (error.status !== 412) throw error;
        await this.#merge();
        return this.#put();
      });
      this.#take(saved);
      this.#showStatus("glossary.saved", { version: saved.glossary_version });
    } catch (error) {
      this.#showStatus("glossary.failed", { detail: error.message });
    } finally {
      this.button.disabled = false;
    }
  }

  #put() {
    const headers = { "If-Match": `"${this.#known.glossary_version}"` };
    return request("PUT", "api/glossary", this.#body(), { headers });
  }

  /** Apply the lines that were added and removed here to the list that another person has saved. */
  async #merge() {
    const [before, mine] = [(this.#known.terms ?? []).map(canonical), lines(this.area.value)];
    this.#known = await request("GET", "api/glossary");
    const theirs = (this.#known.terms ?? []).map(canonical);
    const kept = theirs.filter((name) => mine.includes(name) || !before.includes(name));
    const added = mine.filter((name) => !before.includes(name) && !theirs.includes(name));
    this.area.value = [...kept, ...added].join("\n");
  }

  #take(glossary) {
    this.#known = glossary;
    this.onVersion(glossary.glossary_version);
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
