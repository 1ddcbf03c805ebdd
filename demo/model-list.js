/* The health page's list of models on the engine's machine: what each costs, and a button that changes the model.
 *
 * Owns the table and the request; what is known of the models comes from /ready. The table is drawn again only when
 * something in it changed, so that a button under the pointer stays where it is. */

import { request } from "./api.js";
import { make, shown } from "./plots.js";

const HEADS = ["Model", "", "A window", "Final text, p95", ""];

export class ModelList {
  #drawn = "";
  #isChanging = false;

  constructor(section) {
    this.section = section;
    this.about = section.querySelector("#models-about");
    this.list = section.querySelector("#models-list");
    this.said = section.querySelector("#models-said");
  }

  /** engine: the object `engine` of /ready; without `models` (while the engine starts) the last list stays. */
  show(engine) {
    const models = engine.models ?? [];
    if (!models.length) return;
    const isAuto = (engine.model_reason ?? "").startsWith("auto:");
    const key = JSON.stringify([models, engine.channels_expected, isAuto]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.section.hidden = false;
    this.about.textContent =
      `The cost was measured on the engine's machine. The estimate is for ${engine.channels_expected} channels ` +
      "(engine.channels_expected), after the silence that ends an utterance. Another model needs the role admin; the " +
      "engine restarts, channels keep their audio, and their text waits for some seconds.";
    this.#draw(models, isAuto);
  }

  #draw(models, isAuto) {
    this.list.replaceChildren();
    const whole = make("table", null, make("div", null, this.list, "wide"));
    const top = make("tr", null, make("thead", null, whole));
    for (const head of HEADS) head ? (make("th", head, top).scope = "col") : make("td", null, top);
    const inside = make("tbody", null, whole);
    for (const model of models) {
      const note = model.note || (model.keeps_limit === false ? "too slow for these channels" : "");
      const place = row(inside, [model.name, shown(model.final_ms, "ms"), estimate(model), note]);
      if (model.is_chosen) make("strong", isAuto ? "in use, by auto" : "in use", place);
      else this.#button(model.name, place);
    }
    if (!isAuto) this.#button("auto", row(inside, ["auto", "", "", "the most accurate model that is fast enough"]));
  }

  #button(name, parent) {
    const button = make("button", "Use", parent);
    button.type = "button";
    button.setAttribute("aria-label", `Use ${name}`);
    button.addEventListener("click", () => this.#change(name));
  }

  async #change(name) {
    if (this.#isChanging) return;
    this.#isChanging = true;
    this.said.textContent = `Changing to ${name} …`;
    try {
      this.said.textContent = (await request("PUT", "api/model", { model: name })).message;
    } catch (error) {
      this.said.textContent = `The model was not changed: ${error.detail || error.message}`;
    } finally {
      this.#isChanging = false;
    }
  }
}

/** A row of the table; returns its second cell, which is empty: near the name, so that a phone shows it. */
function row(inside, [name, ...cells]) {
  const line = make("tr", null, inside);
  make("th", name, line).scope = "row";
  const place = make("td", null, line);
  for (const cell of cells) make("td", cell, line);
  return place;
}

function estimate(model) {
  if (model.final_ms === null) return "not measured";
  return model.final_p95_ms === null ? "falls behind" : shown(model.final_p95_ms, "ms");
}
