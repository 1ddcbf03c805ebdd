/* <desk-row>: one channel in the list beside the focused channel: state, name, meter, last words, number of new lines. */

import { language, t } from "../i18n.js";
import { listFilter } from "./list-filter.js";
import { Meter, drawIcon, setText, stateWord } from "./parts.js";

/** States whose word takes the place of the meter, so that a failure is louder than a success. */
const URGENT = new Set(["lost", "behind", "no_signal", "disconnected"]);

const TEMPLATE = `
  <button type="button">
    <svg viewBox="0 0 24 24" aria-hidden="true"></svg>
    <b></b><span class="name" dir="auto"></span><em class="word hidden"></em>
    <span class="last"></span>
    <span class="meter" aria-hidden="true"></span>
    <span class="unread"></span>
  </button>`;

export class DeskRow extends HTMLElement {
  /** desk: see DeskTile. */
  begin(id, desk) {
    Object.assign(this, { desk, channelId: id });
    this.className = "row";
    this.setAttribute("role", "listitem");
    this.innerHTML = TEMPLATE;
    this.button = this.querySelector("button");
    this.meter = new Meter(this.querySelector(".meter"));
    this.button.addEventListener("click", () => desk.onOpen(id));
    setText(this.querySelector("b"), id);
    listFilter.addRow();
    listFilter.addEventListener("change", () => this.#filter());
    return this;
  }

  #filter() {
    this.hidden = !listFilter.shows(this.desk.model.channel(this.channelId));
  }

  tick(nowMs) {
    const channel = this.desk.model.channel(this.channelId);
    const state = this.desk.model.shownState(channel, nowMs, this.desk.afterMs);
    if (this.dataset.state !== state) this.dataset.state = state;
    drawIcon(this.querySelector("svg"), state);
    const word = this.querySelector(".word");
    setText(word, stateWord(channel, state, nowMs));
    word.classList.toggle("hidden", !URGENT.has(state)); // of the others, the icon is enough for the eye
    this.meter.draw(channel.levelAt(nowMs), nowMs);
  }

  draw() {
    const channel = this.desk.model.channel(this.channelId);
    const isFocused = this.desk.focused === this.channelId;
    this.button.setAttribute("aria-current", String(isFocused));
    setText(this.querySelector(".name"), channel.name);
    this.#filter();
    this.querySelector(".name").title = channel.name;
    const interim = this.desk.model.transcript.interim(this.channelId);
    const last = this.querySelector(".last");
    setText(last, interim?.text || channel.lastSaid?.text || "");
    last.classList.toggle("provisional", Boolean(interim?.text));
    last.lang = interim?.language || channel.lastSaid?.language || language.current;
    const unread = isFocused ? 0 : channel.unread;
    setText(this.querySelector(".unread"), unread ? t("desk.unread", { n: Math.min(unread, 99) }) : "");
  }
}

customElements.define("desk-row", DeskRow);
