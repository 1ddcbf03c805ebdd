/* The names beside the lanes of the timeline, each with the state of its channel. A click opens the channel.
 *
 * Lanes of a selection that can be played together also have a button that mutes them.
 */

import { t } from "../../i18n.js";
import { drawIcon, setText, stateWord } from "../parts.js";

const SPEAKER = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z"/><path class="waves" d="M15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11"/><path class="cross" d="M16 9.5l5 5M21 9.5l-5 5"/></svg>`;

export class LaneNames {
  onMute = () => {}; // (id): the button of a lane was pressed
  #mutes = [[], new Set()]; // what drawMutes() got last
  #parts = new Map(); // channel id -> its elements

  /** desk: {model, afterMs}; onOpen(id). */
  constructor(box, { desk, onOpen }) {
    Object.assign(this, { box, desk, onOpen });
  }

  get count() {
    return this.#parts.size;
  }

  /** channels: [DeskChannel], in the order of the lanes. */
  make(channels) {
    this.#parts.clear();
    this.box.replaceChildren(...channels.map(({ id }) => this.#row(id)));
    this.drawMutes(...this.#mutes);
  }

  /** ids: the channels whose lanes have the button; muted: Set of those that are muted. */
  drawMutes(ids, muted) {
    this.#mutes = [ids, muted];
    for (const [id, { mute }] of this.#parts) {
      mute.hidden = !ids.includes(id);
      if (mute.hidden) continue;
      mute.setAttribute("aria-pressed", String(muted.has(id)));
      mute.setAttribute("aria-label", t("live.mute", { channel: id }));
    }
  }

  #row(id) {
    const row = document.createElement("div");
    row.className = "tl-row";
    const mute = document.createElement("button");
    Object.assign(mute, { type: "button", className: "quiet tl-mute", hidden: true, innerHTML: SPEAKER });
    mute.addEventListener("click", () => this.onMute(id));
    row.append(this.#button(id), mute);
    this.#parts.get(id).mute = mute;
    return row;
  }

  #button(id) {
    const node = document.createElement("button");
    node.type = "button";
    node.className = "tl-name";
    node.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"></svg><b></b><span></span><em class="hidden"></em>';
    const [icon, number, name, word] = node.children;
    number.textContent = id;
    node.addEventListener("click", () => this.onOpen(id));
    this.#parts.set(id, { node, icon, name, word });
    return node;
  }

  /** nowMs: of the server's clock. */
  draw(channels, nowMs) {
    for (const channel of channels) {
      const state = this.desk.model.shownState(channel, nowMs, this.desk.afterMs);
      const { node, icon, name, word } = this.#parts.get(channel.id);
      if (node.dataset.state !== state) node.dataset.state = state;
      drawIcon(icon, state);
      setText(word, stateWord(channel, state, nowMs));
      setText(name, channel.name);
    }
  }
}
