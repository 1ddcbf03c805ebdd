/* Asks for a summary again and again until it is made, with longer and longer pauses. */

import { request } from "../api.js";

const PAUSES_MS = [150, 300, 600, 1000, 2000, 5000];

export class Polling {
  #timer = 0;
  #generation = 0;

  /** onState(summary): each state of the summary; onError(error): the last try failed, and no other follows. */
  constructor(onState, onError) {
    Object.assign(this, { onState, onError });
  }

  start(session, summary) {
    this.stop();
    this.#ask(`api/sessions/${session}/summaries/${summary}`, this.#generation, 0);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#generation += 1;
  }

  async #ask(path, generation, tries) {
    try {
      const found = await request("GET", path);
      if (generation !== this.#generation) return;
      this.onState(found);
      if (!["queued", "running"].includes(found.status)) return;
      const pauseMs = PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)];
      this.#timer = setTimeout(() => this.#ask(path, generation, tries + 1), pauseMs);
    } catch (error) {
      if (generation === this.#generation) this.onError(error);
    }
  }
}
