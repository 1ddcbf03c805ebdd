/* Connects the usual figures with the desk: its tiles and its focused channel. */

import { language } from "../../i18n.js";
import { $ } from "../../page.js";
import { UsualFigures } from "./figures.js";
import { TileGauges } from "./tile-gauges.js";
import { UsualPanel } from "./usual-panel.js";

/** desk: {model, focused}. Returns {add(id, tile), tick(view)}; view: name of the view that is shown. */
export function beginUsual(desk) {
  const figures = new UsualFigures(() => desk.model.transcript.session);
  const panel = new UsualPanel($("focus-usual"));
  const gauges = new Map(); // channel id -> TileGauges
  let drawn = ""; // what the panel shows: drawn again when the channel is another one
  const drawPanel = () => {
    drawn = desk.focused;
    panel.draw(figures.of(desk.focused));
  };
  const drawAll = () => {
    for (const [id, one] of gauges) one.draw(figures.of(id));
    drawPanel();
  };
  figures.addEventListener("changed", drawAll);
  language.addEventListener("language", drawAll);
  return {
    add: (id, tile) => gauges.set(id, new TileGauges(tile)),
    tick(view) {
      if (view === "wall" || view === "channels") figures.tick();
      if (view === "channels" && drawn !== desk.focused) drawPanel();
    },
  };
}
