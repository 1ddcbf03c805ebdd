/* The glossary's canonical terms, so that the text can mark them.
 *
 * Owns a copy of the list. Every final names its glossary version; a new version is loaded once. Emits "terms" when the
 * list was replaced: the lines of that version are on the page already.
 */

import { request } from "./api.js";

export class Terms extends EventTarget {
  list = [];
  #version = -1;

  get version() {
    return this.#version;
  }

  /** version: of a final. Loads the list if its version is newer. */
  async note(version) {
    if (!Number.isInteger(version) || version <= this.#version) return;
    this.#version = version;
    try {
      this.take(await request("GET", "api/glossary"));
    } catch {
      this.#version = -1; // the terms stay unmarked; the next final loads the list again
    }
  }

  /** glossary: a response of /api/glossary. */
  take(glossary) {
    this.#version = glossary.glossary_version ?? this.#version;
    this.list = (glossary.terms ?? []).map(canonical).filter(Boolean);
    this.dispatchEvent(new Event("terms"));
  }
}

export const canonical = (term) => (typeof term === "string" ? term : term.canonical);

/** The places of terms in a text, whole words only: [{from, to}]. Longer terms first: "Gate-12" contains "Gate-1". */
export function placesOf(terms, text) {
  const places = [];
  for (const term of [...terms].sort((a, b) => b.length - a.length)) {
    for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + term.length)) {
      const to = at + term.length;
      const isTaken = places.some((place) => at < place.to && to > place.from);
      // A Korean particle may follow a term without a space. A Latin letter or a digit belongs to another word.
      const isWhole = !/[\p{L}\p{N}]/u.test(text[at - 1] ?? "") && !/[\p{Script=Latin}\p{N}]/u.test(text[to] ?? "");
      if (isWhole && !isTaken) places.push({ from: at, to });
    }
  }
  return places;
}
