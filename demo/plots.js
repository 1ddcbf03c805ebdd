/* Plots (as SVG) and tables of figures, with the styles of figures.css.
 *
 * Used by the Health page and by the load test's report, which contains a copy of this file. Owns shapes and scales;
 * knows nothing of what is measured.
 */

const COLOURS = ["#0a7ac2", "#c2570c", "#2e8540", "#8250df", "#6e7781"];
/** The words of the drawings; a page in another language replaces them. states: by the state of the coverage. */
export const WORDS = { noData: "No data yet.", noAudio: "No audio has arrived yet.", states: {} };
const WIDTH = 460, HEIGHT = 220, LEFT = 58, LOW = 26;

export function make(tag, text, parent, name) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (name) node.className = name;
  if (parent) parent.append(node);
  return node;
}

/** A number as text: spaces between thousands, about three significant digits, no exponent. */
export function shown(value, unit = "") {
  if (value === undefined || value === null || Number.isNaN(value)) return "–";
  if (typeof value !== "number") return String(value);
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = value.toLocaleString("en", { maximumFractionDigits: digits }).replaceAll(",", "\u202f");
  return unit ? `${text}\u00a0${unit}` : text;
}

/** Draw a table; the first cell of each row is its head. Returns the row elements. */
export function table(parent, heads, rows) {
  const box = make("div", null, parent, "wide"), whole = make("table", null, box);
  if (heads.some(Boolean)) {
    const top = make("tr", null, make("thead", null, whole));
    for (const head of heads) head ? (make("th", head, top).scope = "col") : make("td", null, top);
  }
  const inside = make("tbody", null, whole);
  return rows.map(([name, ...cells]) => {
    const line = make("tr", null, inside);
    make("th", name, line).scope = "row";
    for (const cell of cells) make("td", shown(cell), line);
    return line;
  });
}

function svg(tag, values, parent) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

/** About five round numbers, from 0 to `most` or a little more. */
function ticks(most) {
  const rough = (most || 1) / 4, ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * ten).find((n) => n >= rough * 0.999);
  const count = Math.ceil((most || 1) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, n) => Number((n * step).toPrecision(12)));
}

/** The unit for an axis of `most` seconds: [seconds in it, its name]. */
function clock(most) {
  if (most > 3 * 3600) return [3600, "h"];
  return most > 300 ? [60, "min"] : [1, "s"];
}

/** A figure with horizontal lines and labels on both axes. The returned x() and y() convert values to positions. */
function grid(parent, title, last, most, { across, scale = 1, up = "" }) {
  const figure = make("figure", null, parent);
  make("figcaption", title, figure);
  const area = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title }, figure);
  const rows = ticks(most), columns = ticks(last / scale).filter((value) => value * scale <= last * 1.001);
  const top = rows.at(-1);
  const x = (value) => LEFT + (value / (last || 1)) * (WIDTH - LEFT - 12);
  const y = (value) => HEIGHT - LOW - (value / top) * (HEIGHT - LOW - 12);
  for (const value of rows) {
    svg("line", { x1: LEFT, x2: WIDTH - 12, y1: y(value), y2: y(value), class: "axis" }, area);
    label(area, shown(value, value === top ? up : ""), LEFT - 5, y(value) + 4, "end");
  }
  columns.forEach((value, n) => {
    const at = x(value * scale), isLast = n === columns.length - 1;
    label(area, shown(value, isLast ? across : ""), at, HEIGHT - 6, isLast && at > WIDTH - 40 ? "end" : "middle");
  });
  return { figure, area, x, y };
}

function label(area, text, x, y, anchor) {
  svg("text", { x, y, "text-anchor": anchor }, area).textContent = text;
}

function bounds(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** series: {name: [[seconds, value], ...]}, drawn as lines; those named in `points` are drawn as dots.
 *  limit: a value that is drawn as a line. along: the unit of the first values if they are not seconds.
 *  Without values it shows "No data yet." */
export function plot(parent, title, series, { unit = "", points = [], limit = null, along = "" } = {}) {
  const names = Object.keys(series).filter((name) => series[name]?.length);
  if (!names.length) return empty(parent, title);
  const all = names.flatMap((name) => series[name]);
  const [, last] = bounds(all.map((p) => p[0])), [, most] = bounds(all.map((p) => p[1]));
  const [scale, across] = along ? [1, along] : clock(last);
  const high = limit !== null && limit < 4 * most ? Math.max(most, limit) : most;
  const { figure, area, x, y } = grid(parent, title, last, high, { across, scale, up: unit });
  if (high === limit || (limit !== null && limit < high)) {
    svg("line", { x1: LEFT, x2: WIDTH - 12, y1: y(limit), y2: y(limit), class: "limit" }, area);
    label(area, `limit ${shown(limit, unit)}`, WIDTH - 14, y(limit) - 4, "end");
  }
  names.forEach((name, index) => {
    const colour = COLOURS[index % COLOURS.length];
    const places = series[name].map(([at, value]) => [x(Math.max(0, at)).toFixed(1), y(value).toFixed(1)]);
    if (points.includes(name) || places.length === 1) {
      for (const [cx, cy] of places) svg("circle", { cx, cy, r: 2, fill: colour, "fill-opacity": 0.5 }, area);
    } else {
      svg("polyline", { points: places.map((p) => p.join(",")).join(" "), stroke: colour, class: "curve" }, area);
    }
  });
  if (names.length > 1) legend(figure, names);
}

function legend(figure, names) {
  const list = make("div", null, figure, "legend");
  names.forEach((name, index) => {
    const one = make("span", null, list);
    make("i", null, one).style.background = COLOURS[index % COLOURS.length];
    one.append(name);
  });
}

function empty(parent, title) {
  const figure = make("figure", null, parent);
  make("figcaption", title, figure);
  make("p", WORDS.noData, figure, "none");
}

/** values: at index n the milliseconds that n % of the measured values do not exceed, from 0 to 100 %. */
export function distribution(parent, title, values, limit = null) {
  if (!values?.length) return empty(parent, title);
  const most = Math.max(values.at(-1), limit !== null && limit < 4 * values.at(-1) ? limit : 0);
  const { area, x, y } = grid(parent, title, most, 100, { across: "ms", up: "%" });
  if (limit !== null && limit <= most) {
    svg("line", { x1: x(limit), x2: x(limit), y1: y(0), y2: y(100), class: "limit" }, area);
  }
  const line = values.map((value, share) => `${x(value).toFixed(1)},${y(share).toFixed(1)}`);
  svg("polyline", { points: line.join(" "), stroke: COLOURS[0], class: "curve" }, area);
}

const STATE_COLOURS = {
  transcribed: "#2e8540",
  silence: "#9aa5b1",
  shed: "#c2570c",
  lost: "#b42318",
  failed: "#8250df",
  closed: "#d0d7de",
};

/** seconds: {state: seconds}, drawn as one bar, and below it as text. */
export function coverageBar(parent, seconds) {
  const states = Object.entries(seconds).filter(([, value]) => value >= 0.05);
  if (!states.length) return void make("p", WORDS.noAudio, parent, "dim");
  const total = states.reduce((sum, [, value]) => sum + value, 0);
  const bar = make("div", null, parent, "cover"), list = make("div", null, parent, "legend");
  for (const [state, value] of states) {
    const colour = STATE_COLOURS[state] ?? "#57606a", share = (100 * value) / total;
    Object.assign(make("span", null, bar).style, { width: `${share}%`, background: colour });
    const one = make("span", null, list);
    make("i", null, one).style.background = colour;
    one.append(`${WORDS.states[state] ?? state} ${long(value)} (${shown(Number(share.toFixed(share < 1 ? 2 : 1)), "%")})`);
  }
}

function long(seconds) {
  if (seconds < 600) return shown(seconds, "s");
  return seconds < 7200 ? shown(seconds / 60, "min") : shown(seconds / 3600, "h");
}
