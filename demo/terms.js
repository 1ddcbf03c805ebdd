/* The canonical terms that the server uses now, so that the text can show them as such.
 *
 * Owns a copy of the list; every final names the glossary version it was made with, and a new one is fetched once.
 * Emits "terms" when the list is another one: the lines that asked for it are on the page already.
 */

import { request } from "./api.js";

export class Terms extends EventTarget {
  list = [];
  #version = -1;

  get version() {
    return this.#version;
  }

  /** A final came: look at the list again when it changed since. */
  async note(version) {
    if (!Number.isInteger(version) || version <= this.#version) return;
    this.#version = version;
    try {
      this.take(await request("GET", "api/glossary"));
    } catch {
      this.#version = -1; // the text is right without the tint; the next final asks again
    }
  }

  take(answer) {
    this.#version = answer.glossary_version ?? this.#version;
    this.list = (answer.terms ?? []).map(canonical).filter(Boolean);
    this.dispatchEvent(new Event("terms"));
  }
}

export const canonical = (term) => (typeof term === "string" ? term : term.canonical);

/** Where the terms stand in a text, whole words only: [{from, to}]. Longer terms first, so "Gate-12" is not "Gate-1". */
export function placesOf(terms, text) {
  const places = [];
  for (const term of [...terms].sort((a, b) => b.length - a.length)) {
    for (let at = text.indexOf(term); at >= 0; at = text.indexOf(term, at + term.length)) {
      const to = at + term.length;
      const isTaken = places.some((place) => at < place.to && to > place.from);
      // A Korean particle may follow a term at once; letters of Latin script and digits may not.
      const isWhole = !/[\p{L}\p{N}]/u.test(text[at - 1] ?? "") && !/[\p{Script=Latin}\p{N}]/u.test(text[to] ?? "");
      if (isWhole && !isTaken) places.push({ from: at, to });
    }
  }
  return places;
}
