/* The button that acknowledges all open alerts. The first press asks, the second one does it. */

import { t } from "../i18n.js";
import { setText } from "./parts.js";

export class AcknowledgeAll {
  #isSure = false;
  #count = 0;

  /** ids(): of the open alerts, in their order; acknowledge(id): a promise; isOpen(id): whether it is still there. */
  constructor(button, { ids, acknowledge, isOpen }) {
    Object.assign(this, { button, ids, acknowledge, isOpen });
    button.addEventListener("click", () => this.#press());
  }

  /** isShown: the list of alerts is open; count: of the alerts. */
  draw(isShown, count) {
    this.#count = count;
    this.#isSure &&= isShown;
    this.button.hidden = !isShown;
    setText(this.button, t(this.#isSure ? "al.allSure" : "al.all", { n: count }));
  }

  /** Stops at the first alert that cannot be acknowledged: the reason is on screen then. */
  async #press() {
    this.#isSure = !this.#isSure;
    this.draw(true, this.#count);
    if (this.#isSure) return;
    for (const id of this.ids()) {
      await this.acknowledge(id);
      if (this.isOpen(id)) return;
    }
  }
}
