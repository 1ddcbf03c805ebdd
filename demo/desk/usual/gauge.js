/* Small drawings of a figure and its band: the gauge of a tile, and the curve of the focused channel. Drawn as SVG. */

import { t } from "../../i18n.js";

const SPANS = { words: 20, delay_ms: 1000, confidence: 0.15, level_db: 20 }; // a scale is at least so long
const NS = "http://www.w3.org/2000/svg";
export const ARROWS = { low: "▼", high: "▲" };

/** A figure as text, with its unit. */
export function worded(name, value) {
  if (value === null) return "–";
  const shown = { words: Math.round(value), delay_ms: (value / 1000).toFixed(1), confidence: Math.round(value * 100), level_db: Math.round(value) };
  return t(`us.value.${name}`, { n: shown[name] });
}

/** What a figure says, in one sentence. */
export function sentence(name, figure) {
  const values = { now: worded(name, figure.now), low: worded(name, figure.low), high: worded(name, figure.high) };
  if (figure.now === null) return t("us.noNow", { name: t(`us.${name}`) });
  if (figure.low === null) return t("us.learning", { name: t(`us.${name}`), ...values });
  return t(`us.is.${figure.verdict}`, { name: t(`us.${name}`), ...values });
}

/** The ends of the scale: from the smallest to the largest value, and not so short that small changes look large. */
function scaleOf(name, figure) {
  const values = [figure.now, figure.low, figure.high, ...figure.recent].filter((value) => value !== null);
  const [from, to] = [Math.min(...values), Math.max(...values)];
  const more = Math.max(0, SPANS[name] - (to - from)) / 2;
  return [from - more, to + more];
}

function make(tag, values, parent) {
  const node = document.createElementNS(NS, tag);
  for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

/** Draw into an svg: the band as an area, the half hours as a curve, and now as a point at the right. */
export function drawCurve(svg, name, figure, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const [from, to] = scaleOf(name, figure);
  const y = (value) => height - 4 - ((value - from) / (to - from || 1)) * (height - 8);
  const x = (n) => 2 + (n / figure.recent.length) * (width - 12);
  if (figure.low !== null) make("rect", { class: "band", x: 0, width, y: y(figure.high), height: Math.max(2, y(figure.low) - y(figure.high)) }, svg);
  let part = [];
  const end = () => {
    if (part.length > 1) make("polyline", { class: "curve", points: part.join(" ") }, svg);
    part = [];
  };
  figure.recent.forEach((value, n) => (value === null ? end() : part.push(`${x(n + 0.5).toFixed(1)},${y(value).toFixed(1)}`)));
  end();
  if (figure.now !== null) make("circle", { class: "now", cx: width - 6, cy: y(figure.now), r: 4 }, svg);
}

/** Draw the gauge of a tile: the band as a bar, and now as a mark, both from left to right. */
export function drawGauge(svg, name, figure) {
  const [from, to] = scaleOf(name, figure);
  const x = (value) => 1 + ((value - from) / (to - from || 1)) * 38;
  if (svg.childElementCount === 0) {
    svg.setAttribute("viewBox", "0 0 40 10");
    make("path", { class: "rail", d: "M0 5h40" }, svg);
    make("rect", { class: "band", y: 2, height: 6, rx: 1 }, svg);
    make("rect", { class: "now", y: 0, height: 10, width: 3, rx: 1 }, svg);
  }
  const [, band, now] = svg.children;
  band.setAttribute("x", x(figure.low).toFixed(1));
  band.setAttribute("width", Math.max(2, x(figure.high) - x(figure.low)).toFixed(1));
  now.setAttribute("x", (x(figure.now) - 1.5).toFixed(1));
}
