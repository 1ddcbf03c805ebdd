/* The row of the focused channel: each figure now, its band and its curve of the last 24 hours. */

import { t } from "../../i18n.js";
import { setText } from "../parts.js";
import { FIGURES } from "./figures.js";
import { ARROWS, drawCurve, sentence, worded } from "./gauge.js";

const WIDTH = 150; // before the panel is laid out
const HEIGHT = 34;

export class UsualPanel {
  #parts = new Map();

  /** box: a list, empty. */
  constructor(box) {
    this.box = box;
    for (const name of FIGURES) {
      const item = document.createElement("li");
      item.innerHTML = '<p><span></span> <b></b> <i aria-hidden="true"></i></p><svg role="img" preserveAspectRatio="none"></svg><small></small>';
      const [head, svg, band] = item.children;
      const [label, value, arrow] = head.children;
      this.#parts.set(name, { item, label, value, arrow, svg, band });
      box.append(item);
    }
  }

  /** figures: of the channel, or null: the row is not shown. */
  draw(figures) {
    this.box.hidden = figures === null;
    if (!figures) return;
    for (const [name, parts] of this.#parts) {
      const figure = figures[name];
      setText(parts.label, t(`us.${name}`));
      setText(parts.value, worded(name, figure.now));
      setText(parts.arrow, ARROWS[figure.verdict] ?? "");
      parts.item.dataset.verdict = figure.verdict ?? "";
      drawCurve(parts.svg, name, figure, parts.svg.clientWidth || WIDTH, parts.svg.clientHeight || HEIGHT);
      parts.svg.setAttribute("aria-label", sentence(name, figure));
      const band = { low: worded(name, figure.low), high: worded(name, figure.high) };
      setText(parts.band, figure.low === null ? t("us.learningShort") : t("us.band", band));
      parts.item.title = sentence(name, figure);
    }
  }
}
