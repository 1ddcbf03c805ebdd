/* The six steps to the first text. Each step has an icon, a word for its state and a detail, so colour is not needed.
 *
 * Owns only the drawing. States: idle, working, done, warning, failed, over. After a failed step the later ones are idle.
 */

import { t } from "./i18n.js";

const STEPS = ["secure", "permission", "device", "level", "connection", "text"];
// One SVG path for each state, in a square of 24 units: ring, arc, tick, exclamation mark, dash, cross.
const ICONS = {
  idle: "M12 4a8 8 0 1 0 0 16a8 8 0 0 0 0-16z",
  working: "M12 4a8 8 0 0 1 8 8",
  done: "M5 12.5l4.5 4.5L19 7.5",
  warning: "M12 5v9M12 18.4v.2",
  over: "M6 12h12",
  failed: "M6.5 6.5l11 11M17.5 6.5l-11 11",
};

export class Steps {
  #rows = new Map();
  #state = new Map(); // name -> {state, detail key, values}

  constructor(list) {
    for (const name of STEPS) this.#rows.set(name, this.#build(list, name));
    this.reset();
  }

  #build(list, name) {
    const row = document.createElement("li");
    row.dataset.step = name;
    row.innerHTML =
      '<svg viewBox="0 0 24 24" aria-hidden="true"><path></path></svg>' +
      '<span class="name"></span><span class="word"></span><span class="detail"></span>';
    list.append(row);
    return row;
  }

  reset() {
    for (const name of STEPS) this.set(name, "idle");
  }

  /** detail: a key of the strings, or {text} for other text, such as the name of a device. */
  set(name, state, detail = "", values = {}) {
    this.#state.set(name, { state, detail, values });
    this.#draw(name);
  }

  state(name) {
    return this.#state.get(name).state;
  }

  /** name: the step that failed; without it, the step that is "working". */
  fail(name) {
    const at = name ?? STEPS.find((step) => this.state(step) === "working") ?? "connection";
    this.set(at, "failed");
    const isOver = (step, i) => i > STEPS.indexOf(at) || (step !== at && this.state(step) !== "done");
    for (const step of STEPS.filter(isOver)) this.set(step, "idle");
  }

  redraw() {
    for (const name of STEPS) this.#draw(name);
  }

  #draw(name) {
    const row = this.#rows.get(name);
    const { state, detail, values } = this.#state.get(name);
    row.dataset.state = state;
    row.querySelector("path").setAttribute("d", ICONS[state]);
    row.querySelector(".name").textContent = t(`step.${name}`);
    row.querySelector(".word").textContent = t(`state.${state}`);
    row.querySelector(".detail").textContent = typeof detail === "string" ? detail && t(detail, values) : detail.text;
  }
}
