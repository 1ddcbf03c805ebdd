/* The button that starts or ends the simulated channels, so that a newcomer sees a busy desk at once. */

import { address, request } from "../api.js";
import { language, t } from "../i18n.js";

export class Simulation {
  #state = null; // the newest response of /api/simulation; null: not known, or not allowed

  /** session(): the id of the session on screen; onError(error). */
  constructor(button, { session, onError }) {
    Object.assign(this, { button, session, onError, note: document.getElementById("simulate-note") });
    button.addEventListener("click", () => this.#press());
    language.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  async check() {
    try {
      this.#state = await request("GET", "api/simulation");
    } catch {
      this.#state = null; // without the right to see it, there is no button
    }
    this.#draw();
  }

  get #isHere() {
    return this.#state?.is_running && this.#state.session === this.session();
  }

  #draw() {
    this.button.hidden = this.#state === null;
    const key = this.#isHere ? "desk.simulation.end" : this.#state?.is_running ? "desk.simulation.show" : "desk.simulation.start";
    this.button.textContent = t(key);
    const spoken = (this.#state?.languages ?? []).map((one) => languageName(one)).join(", ");
    this.note.textContent = this.#isHere && spoken ? t("desk.simulation.speaks", { languages: spoken }) : "";
    this.button.title = this.note.textContent; // where the bar has no room for the note
    this.note.hidden = !this.note.textContent;
  }

  async #press() {
    this.button.disabled = true;
    try {
      if (this.#isHere) {
        await request("DELETE", "api/simulation");
        location.href = address("desk");
      } else {
        const { session } = await request("POST", "api/simulation", {});
        location.href = address("desk", { session });
      }
    } catch (error) {
      this.onError(error);
    }
    this.button.disabled = false;
    await this.check();
  }
}

/** The name of a language in the language of the page. */
function languageName(code) {
  return new Intl.DisplayNames([language.current], { type: "language" }).of(code);
}
