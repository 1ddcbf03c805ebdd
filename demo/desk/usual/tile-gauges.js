/* The gauges in the foot of a tile: each figure's band of 24 hours with the value of now, and an arrow outside of it. */

import { t } from "../../i18n.js";
import { setText } from "../parts.js";
import { FIGURES } from "./figures.js";
import { ARROWS, drawGauge, sentence } from "./gauge.js";

export class TileGauges {
  #nodes = new Map();

  /** tile: it has a place for each figure. */
  constructor(tile) {
    this.footer = tile.querySelector("footer");
    for (const name of FIGURES) {
      const node = tile.querySelector(`.us-gauge[data-figure="${name}"]`);
      node.innerHTML = '<b></b><svg aria-hidden="true"></svg><i aria-hidden="true"></i><em class="hidden"></em>';
      this.#nodes.set(name, node);
    }
  }

  /** figures: of the channel, or null. */
  draw(figures) {
    const isKnown = (figure) => Boolean(figure) && figure.now !== null && figure.low !== null;
    this.footer.classList.toggle("has-usual", isKnown(figures?.confidence));
    for (const [name, node] of this.#nodes) {
      const figure = figures?.[name];
      node.hidden = !isKnown(figure);
      if (node.hidden) continue;
      const [label, svg, arrow, word] = node.children;
      setText(label, t(`us.short.${name}`));
      drawGauge(svg, name, figure);
      setText(arrow, ARROWS[figure.verdict] ?? "");
      node.dataset.verdict = figure.verdict;
      node.title = sentence(name, figure);
      setText(word, figure.verdict === "usual" ? "" : node.title);
    }
  }
}
