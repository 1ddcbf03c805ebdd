/* Plots and tables of figures, drawn as SVG. Shared by /health-page and by the load test's report, which carries this
 * file inside itself. Owns shapes and scales; knows nothing of what is measured. */

export const COLOURS = ["#0a7ac2", "#c2570c", "#2e8540", "#8250df", "#6e7781"];
const WIDTH = 460, HEIGHT = 220, LEFT = 46, LOW = 24;

export function make(tag, text, parent, name) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (name) node.className = name;
  if (parent) parent.append(node);
  return node;
}

export function shown(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : value.toPrecision(4);
}

export function table(parent, heads, rows) {
  const box = make("div", null, parent, "wide"), whole = make("table", null, box);
  const top = make("tr", null, make("thead", null, whole));
  for (const head of heads) make("th", head, top).scope = "col";
  const inside = make("tbody", null, whole);
  for (const row of rows) {
    const line = make("tr", null, inside);
    for (const cell of row) make("td", shown(cell), line);
  }
}

function svg(tag, values, parent) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

/** A frame with five lines up and along; x and y turn a value into its place. */
function grid(parent, title, [x0, x1], most, { across = " s", up = "" } = {}) {
  const figure = make("figure", null, parent);
  const area = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title }, figure);
  const x = (value) => LEFT + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - 6);
  const y = (value) => HEIGHT - LOW - (value / (most || 1)) * (HEIGHT - LOW - 8);
  for (let n = 0; n <= 4; n += 1) {
    const value = (most * n) / 4, at = x0 + ((x1 - x0) * n) / 4;
    svg("line", { x1: LEFT, x2: WIDTH - 6, y1: y(value), y2: y(value), class: "axis" }, area);
    const left = svg("text", { x: LEFT - 4, y: y(value) + 4, "text-anchor": "end" }, area);
    left.textContent = (value >= 100 ? Math.round(value) : Number(value.toPrecision(2))) + up;
    const below = svg("text", { x: x(at), y: HEIGHT - 8, "text-anchor": n === 4 ? "end" : "middle" }, area);
    below.textContent = Math.round(at) + across;
  }
  return { figure, area, x, y };
}

function bounds(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** series: {name: [[seconds, value], ...]}; as points, or as lines. Draws nothing where there is nothing. */
export function plot(parent, title, series, points = false) {
  const names = Object.keys(series).filter((name) => series[name]?.length);
  if (!names.length) return;
  const all = names.flatMap((name) => series[name]);
  const [first, last] = bounds(all.map((p) => p[0])), [, most] = bounds(all.map((p) => p[1]));
  const { figure, area, x, y } = grid(parent, title, [Math.min(0, first), last], most * 1.05 || 1);
  names.forEach((name, index) => {
    const colour = COLOURS[index % COLOURS.length];
    if (points) {
      for (const [at, value] of series[name]) {
        svg("circle", { cx: x(at), cy: y(value), r: 2, fill: colour, "fill-opacity": 0.55 }, area);
      }
    } else {
      const line = series[name].map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
      svg("polyline", { points: line, fill: "none", stroke: colour, "stroke-width": 1.5 }, area);
    }
  });
  const caption = make("figcaption", `${title} `, figure);
  if (names.length > 1) {
    names.forEach((name, index) => {
      make("span", ` ■ ${name}`, caption).style.color = COLOURS[index % COLOURS.length];
    });
  }
}

/** Which share of the values lies at or under each: values in milliseconds. */
export function distribution(parent, title, values) {
  if (!values?.length) return;
  const sorted = [...values].sort((a, b) => a - b), most = sorted[sorted.length - 1] || 1;
  const { figure, area, x, y } = grid(parent, title, [0, most], 100, { across: " ms", up: " %" });
  const line = sorted.map((v, n) => `${x(v).toFixed(1)},${y((100 * (n + 1)) / sorted.length).toFixed(1)}`);
  svg("polyline", { points: line.join(" "), fill: "none", stroke: COLOURS[0], "stroke-width": 2 }, area);
  make("figcaption", title, figure);
}

const SHADES = { transcribed: "#2e8540", silence: "#9aa5b1", shed: "#c2570c", lost: "#b42318", failed: "#8250df" };

/** Seconds by state as one bar, with the same in words under it. */
export function coverageBar(parent, seconds) {
  const states = Object.entries(seconds).filter(([, value]) => value > 0);
  const total = states.reduce((sum, [, value]) => sum + value, 0) || 1;
  const bar = make("div", null, parent, "cover");
  for (const [state, value] of states) {
    const part = make("span", null, bar);
    part.style.width = `${(100 * value) / total}%`;
    part.style.background = SHADES[state] ?? "#57606a";
    part.title = state;
  }
  const said = states.map(([s, v]) => `${s} ${v.toFixed(1)} s (${((100 * v) / total).toFixed(1)} %)`);
  make("p", said.join(", "), parent, "dim");
}
