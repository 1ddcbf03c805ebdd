/* One strip on the page: the name and the place of a channel, its level, its state, and its newest line. */

import { has, t } from "../i18n.js";
import { Meter } from "../meter.js";
import { NAME_MAX, PLACES } from "./setup.js";
import { Strip } from "./strip.js";

const TEMPLATE = `
  <div class="place"><b></b><span class="state"></span></div>
  <div class="field"><label class="name-label"></label><input type="text" class="name" autocomplete="off" spellcheck="false"></div>
  <div class="field"><label class="wish-label"></label><select class="wish"></select></div>
  <div class="level"><div class="meter" role="meter" aria-valuemin="-60" aria-valuemax="0" aria-valuenow="-60"></div><p class="hint"></p></div>
  <p class="newest"></p>`;

export class StripView {
  /** card: the setup of the card; side: 0 or 1; onSetup(): a choice changed; onChange(): the state changed. */
  constructor({ card, side, onSetup, onChange }) {
    Object.assign(this, { card, side, onSetup, onChange });
    this.strip = new Strip(`host-stt.capture-claim-${card.id}-${side}`);
    this.element = document.createElement("section");
    this.element.className = "strip";
    this.element.innerHTML = TEMPLATE;
    this.name = this.element.querySelector(".name");
    this.name.maxLength = NAME_MAX;
    this.wish = this.element.querySelector(".wish");
    for (const control of ["name", "wish"]) {
      this[control].id = `${control}-${card.id}-${side}`;
      this.element.querySelector(`.${control}-label`).htmlFor = this[control].id;
    }
    this.meter = new Meter(this.element.querySelector(".meter"), this.element.querySelector(".hint"));
    this.element.addEventListener("change", () => this.#choose());
    this.strip.addEventListener("change", () => this.#onStrip());
  }

  get setup() {
    return this.card.strips[this.side];
  }

  get isLive() {
    return this.strip.state === "live" || this.strip.state === "weak";
  }

  start(source) {
    this.meter.attach(source.analyser);
    this.strip.start(source, { ...this.setup, name: this.#label, language: this.card.language });
  }

  get #label() {
    return this.setup.name.trim() || this.card.label;
  }

  changeSource(source) {
    this.meter.attach(source.analyser);
    return this.strip.changeSource(source);
  }

  /** The device is gone; the connection stays. */
  mute() {
    this.meter.detach();
  }

  async stop() {
    this.meter.detach();
    await this.strip.stop();
  }

  leave() {
    this.strip.leave();
  }

  #choose() {
    const place = this.wish.value;
    Object.assign(this.setup, { name: this.name.value, place, last: place ? "" : this.setup.last });
    this.onSetup();
  }

  #onStrip() {
    const { channel } = this.strip;
    if (channel && channel !== this.setup.last) {
      this.setup.last = channel;
      this.onSetup();
    }
    this.#drawState();
    this.onChange();
  }

  /** isLocked: the choices cannot be changed now. */
  draw(isLocked) {
    const side = this.card.isSplit ? t(this.side ? "cap.right" : "cap.left") : t("cap.channel");
    this.element.setAttribute("aria-label", side);
    this.element.querySelector(".name-label").textContent = this.card.isSplit ? t("cap.nameOf", { side }) : t("cap.name");
    this.element.querySelector(".wish-label").textContent = t("cap.place");
    this.element.querySelector(".meter").setAttribute("aria-label", t("level.label"));
    this.name.value = this.setup.name;
    this.name.placeholder = this.card.label || t("cap.namePlaceholder");
    const any = t("cap.anyPlace") + (this.setup.last && !this.setup.place ? ` (${this.setup.last})` : "");
    this.wish.replaceChildren(new Option(any, ""), ...PLACES.map((id) => new Option(id, id)));
    this.wish.value = this.setup.place;
    this.name.disabled = this.wish.disabled = isLocked;
    this.meter.redraw();
    this.#drawState();
  }

  #drawState() {
    const { state, channel, error, text } = this.strip;
    this.element.dataset.state = state;
    this.element.querySelector("b").textContent = channel || this.setup.place || "–";
    const why = error ? ` ${reason(error)}` : "";
    this.element.querySelector(".state").textContent = t(`cap.link.${state}`) + why;
    this.element.querySelector(".newest").textContent = text;
  }
}

function reason({ code, detail, name, message }) {
  if (code === "refused" && detail) return detail; // the server's own sentence says more
  return has(`error.${code}.title`) ? t(`error.${code}.title`) : `${name}: ${message}`;
}
