/* The glossary's terms, so that the text can mark them.
 *
 * Owns a copy of the list, with the patterns expanded. Every final names its glossary version; a new version is loaded
 * once. Emits "terms" when the list was replaced: the lines of that version are on the page already.
 */

import { request } from "./api.js";

export class Terms extends EventTarget {
  list = []; // [{text, alert}]: every form in which a term is written, longer ones first
  #version = -1;

  get version() {
    return this.#version;
  }

  /** version: of a final or of a saved list. Loads the terms if the version is newer. */
  async note(version) {
    if (!Number.isInteger(version) || version <= this.#version) return;
    this.#version = version;
    try {
      this.#take(await request("GET", "api/glossary/terms"));
    } catch {
      this.#version = -1; // the terms stay unmarked; the next final loads the list again
    }
  }

  /** found: a response of /api/glossary/terms. */
  #take({ terms, glossary_version: version }) {
    this.#version = version ?? this.#version;
    const forms = new Map(); // text -> alert
    for (const term of terms) {
      for (const text of [term.canonical, ...Object.values(term.display ?? {})]) forms.set(text, term.alert ?? null);
    }
    // Longer terms first: "Gate-12" contains "Gate-1".
    this.list = [...forms].map(([text, alert]) => ({ text, alert })).sort((a, b) => b.text.length - a.text.length);
    this.dispatchEvent(new Event("terms"));
  }
}

export const canonical = (term) => (typeof term === "string" ? term : term.canonical);

/** The places of terms in a text, whole words only: [{from, to, alert}]. terms: the list of a Terms. */
export function placesOf(terms, text) {
  const places = [];
  for (const { text: term, alert } of terms) {
    for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + term.length)) {
      const to = at + term.length;
      const isTaken = places.some((place) => at < place.to && to > place.from);
      // A Korean particle may follow a term without a space. A Latin letter or a digit belongs to another word.
      const isWhole = !/[\p{L}\p{N}]/u.test(text[at - 1] ?? "") && !/[\p{Script=Latin}\p{N}]/u.test(text[to] ?? "");
      if (isWhole && !isTaken) places.push({ from: at, to, alert });
    }
  }
  return places;
}
