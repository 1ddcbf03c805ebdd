/* The figures of the channels beside their usual ones, from the server, every half minute while the page is visible.
 *
 * Owns the request and the newest answer. A tile and the focused channel draw from it: gauge.js, usual-panel.js.
 * Emits "changed".
 */

import { request } from "../../api.js";

const EVERY_MS = 30_000;
export const FIGURES = ["words", "delay_ms", "confidence", "level_db"];

export class UsualFigures extends EventTarget {
  #channels = new Map(); // channel id -> {words, delay_ms, confidence, level_db}
  #session = null;
  #askedMs = -Infinity;

  /** session(): id of the session on screen, or null. */
  constructor(session) {
    super();
    this.session = session;
  }

  /** The figures of a channel, or null: nothing is known. */
  of(channel) {
    return this.#channels.get(channel) ?? null;
  }

  /** Called several times a second; asks the server now and then. */
  tick() {
    const session = this.session();
    const isNew = session !== this.#session;
    if (!session || document.hidden || (!isNew && performance.now() - this.#askedMs < EVERY_MS)) return;
    this.#session = session;
    this.#askedMs = performance.now();
    this.#ask(session);
  }

  /** A failed request leaves the old figures until the next one: the page says elsewhere that the server is away. */
  async #ask(session) {
    const answer = await request("GET", `api/sessions/${encodeURIComponent(session)}/usual`).catch(() => null);
    if (!answer || session !== this.#session) return;
    this.#channels = new Map(answer.channels.map((one) => [one.channel, one]));
    this.dispatchEvent(new Event("changed"));
  }
}
