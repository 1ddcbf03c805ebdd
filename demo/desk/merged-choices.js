/* The buttons above the text of all channels, which choose channels. Owns the choice; none chosen means all. */

import { t } from "../i18n.js";

export class MergedChoices {
  #chosen = new Set();

  /** box: of the buttons; onChange(): another choice. */
  constructor({ box, onChange }) {
    Object.assign(this, { box, onChange });
  }

  shows(channel) {
    return this.#chosen.size === 0 || this.#chosen.has(channel);
  }

  /** channels: [DeskChannel] that can be chosen. */
  draw(channels) {
    const buttons = channels.map(({ id, name }) => this.#button(id, name ? `${id} ${name}` : id, channels));
    this.box.replaceChildren(this.#button("", t("watch.all"), channels), ...buttons);
    this.box.hidden = channels.length < 2;
  }

  #button(id, label, channels) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = label;
    button.setAttribute("aria-pressed", String(id ? this.#chosen.has(id) : this.#chosen.size === 0));
    button.addEventListener("click", () => {
      if (!id) this.#chosen.clear();
      else if (!this.#chosen.delete(id)) this.#chosen.add(id);
      this.draw(channels);
      this.onChange();
    });
    return button;
  }
}
