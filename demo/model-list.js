/* The health page's list of models on the engine's machine: the cost of each, and a button that changes the model.
 *
 * The models and their costs come from /ready. The table is drawn again only when something in it has changed, so
 * that a button under the pointer stays where it is. */

import { request } from "./api.js";
import { language, t } from "./i18n.js";
import { make, shown, table } from "./plots.js";

export class ModelList {
  #drawn = "";
  #isChanging = false;

  constructor(section) {
    this.section = section;
    this.about = section.querySelector("#models-about");
    this.list = section.querySelector("#models-list");
    this.message = section.querySelector("#models-said");
  }

  /** engine: the object `engine` of /ready; without `models` (while the engine starts) the last list stays. */
  show(engine) {
    const models = engine.models ?? [];
    if (!models.length) return;
    const isAuto = (engine.model_reason ?? "").startsWith("auto:");
    const key = JSON.stringify([models, engine.channels_expected, isAuto, language.current]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    this.section.hidden = false;
    this.about.textContent = t("models.about", { channels: engine.channels_expected });
    this.#draw(models, isAuto);
  }

  #draw(models, isAuto) {
    this.list.replaceChildren();
    // The second cell, near the name so that a phone shows it, gets the state or the button.
    const rows = models.map((model) => [model.name, "", shown(model.final_ms, "ms"), estimate(model), noteOf(model)]);
    if (!isAuto) rows.push(["auto", "", "", "", t("models.auto")]);
    const heads = [t("models.model"), "", t("models.window"), t("models.final"), ""];
    for (const [n, line] of table(this.list, heads, rows).entries()) {
      const place = line.children[1];
      if (models[n]?.is_chosen) make("strong", t(isAuto ? "models.inUseByAuto" : "models.inUse"), place);
      else this.#button(rows[n][0], place);
    }
  }

  #button(name, parent) {
    const button = make("button", t("models.use"), parent);
    button.type = "button";
    button.setAttribute("aria-label", t("models.useName", { name }));
    button.addEventListener("click", () => this.#change(name));
  }

  async #change(name) {
    if (this.#isChanging) return;
    this.#isChanging = true;
    this.message.textContent = t("models.changing", { name });
    try {
      this.message.textContent = (await request("PUT", "api/model", { model: name })).message;
    } catch (error) {
      this.message.textContent = t("models.unchanged", { why: error.detail || error.message });
    } finally {
      this.#isChanging = false;
    }
  }
}

function noteOf(model) {
  return model.note || (model.keeps_limit === false ? t("models.tooSlow") : "");
}

function estimate(model) {
  if (model.final_ms === null) return t("models.notMeasured");
  return model.final_p95_ms === null ? t("models.fallsBehind") : shown(model.final_p95_ms, "ms");
}
