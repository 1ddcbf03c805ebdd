/* How this user wants the desk to look: size, weight and line gap of the text, colours, after-glow, and reading aloud.
 *
 * Owns the choices and their dialog. The text follows custom properties of the page, and the colours follow
 * `data-theme` of the root element (style.css).
 */

import { language, t } from "../../i18n.js";
import { userSettings } from "../user-settings.js";

const KEY = "host-stt.desk-display";
/** Name -> [original value, least, most, step] of the sliders. size: percent; gap: of the text's height; after: seconds. */
const SLIDERS = { size: [100, 100, 250, 10], gap: [1.5, 1.2, 2.4, 0.1], after: [3, 0, 30, 1] };
const CHOICES = { theme: ["auto", "dark", "light", "black"], weight: ["400", "600", "700"] };
const GAP_OF_TILE = 0.88; // the wall has no space to spare between its lines

export class Display {
  #chosen = {};

  /** dialog: with a form; button: opens it; desk: its `afterMs` is set; logs: elements that may be read aloud;
   *  onColours(): they are others, which a canvas must be told. */
  constructor({ dialog, button, desk, logs, onColours }) {
    Object.assign(this, { dialog, desk, logs, onColours, form: dialog.querySelector("form") });
    for (const [name, [value, min, max, step]] of Object.entries(SLIDERS)) Object.assign(this.form[name], { min, max, step, value });
    this.#restore();
    button.addEventListener("click", () => dialog.showModal());
    this.form.addEventListener("input", () => this.#take());
    dialog.querySelector("#display-reset").addEventListener("click", () => this.reset());
    language.addEventListener("language", () => this.#draw());
    userSettings.addEventListener("part", ({ detail }) => detail === KEY && this.#restore());
  }

  reset() {
    userSettings.removeItem(KEY);
    this.#restore();
  }

  #take() {
    const { form } = this;
    for (const name of Object.keys(SLIDERS)) this.#chosen[name] = Number(form[name].value);
    for (const name of Object.keys(CHOICES)) this.#chosen[name] = form[name].value;
    this.#chosen.aloud = form.aloud.checked;
    userSettings.setItem(KEY, JSON.stringify(this.#chosen));
    this.#apply();
  }

  #restore() {
    let kept = {};
    try {
      kept = JSON.parse(userSettings.getItem(KEY) ?? "{}") ?? {};
    } catch {
      kept = {}; // not JSON: the original look
    }
    this.#chosen = { aloud: kept.aloud === true };
    for (const [name, [value, min, max]] of Object.entries(SLIDERS)) {
      this.#chosen[name] = Number.isFinite(kept[name]) ? Math.max(min, Math.min(max, kept[name])) : value;
    }
    for (const [name, values] of Object.entries(CHOICES)) this.#chosen[name] = values.includes(kept[name]) ? kept[name] : values[0];
    this.#apply();
  }

  #apply() {
    const { size, gap, after, theme, weight, aloud } = this.#chosen;
    const root = document.documentElement;
    const values = { "--reading": size / 100, "--reading-gap": gap, "--tile-gap": (gap * GAP_OF_TILE).toFixed(2), "--reading-weight": weight };
    for (const [name, value] of Object.entries(values)) root.style.setProperty(name, String(value));
    const isOther = (root.dataset.theme ?? "auto") !== theme;
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    this.desk.afterMs = after * 1000;
    for (const log of this.logs) log.setAttribute("aria-live", aloud ? "polite" : "off");
    this.#draw();
    if (isOther) this.onColours();
  }

  #draw() {
    const { form } = this;
    for (const name of Object.keys(CHOICES)) {
      form[name].replaceChildren(...CHOICES[name].map((value) => new Option(t(`display.${name}.${value}`), value)));
      form[name].value = this.#chosen[name];
    }
    const shown = { size: `${this.#chosen.size} %`, gap: this.#chosen.gap.toFixed(1), after: t("display.seconds", { n: this.#chosen.after }) };
    for (const name of Object.keys(SLIDERS)) {
      form[name].value = this.#chosen[name];
      form.querySelector(`output[for="display-${name}"]`).textContent = shown[name];
    }
    form.aloud.checked = this.#chosen.aloud;
  }
}
