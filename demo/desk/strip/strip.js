/* <desk-strip>: a slim lane of the last five minutes for each channel, at the bottom of the desk.
 *
 * The lanes lie as the tiles of the wall do: four in a row, C01 at the top left. Speech is a low bar, lost audio a taller
 * and hatched one, so that no colour alone tells them apart. A picture for the eye and the mouse: a click shows the line
 * that was said there. With keys and for screen readers, the timeline shows the same and more.
 */

import { language, t } from "../../i18n.js";
import { setText } from "../parts.js";
import { clockTime } from "../timeline/range.js";
import { WINDOW_MS, Activity } from "./activity.js";

const COLUMNS = 4;
const LABEL_PX = 34;
const EDGE_PX = 2; // above and below all lanes
const GAP_PX = 14; // between two lanes of a row
const MINUTE_MS = 60_000;
const EVERY_MS = 1000; // a pixel is about 0.7 s
const NEAR_MS = 2500; // so far from a line it is still meant
const COLOURS = ["card", "line", "control", "dim", "text", "accent", "bad"];

export class DeskStrip extends HTMLElement {
  activity = new Activity();
  #colours = null;
  #drawnAtMs = 0;
  #nowMs = 0;
  #pointer = null; // {clientX, clientY} of the pointer above the strip

  /** desk: {model}; onLine(line): a line was pressed; onOpen(id): a place without a line. */
  begin({ desk, onLine, onOpen }) {
    Object.assign(this, { desk, onLine, onOpen });
    this.innerHTML = '<canvas role="img"></canvas><p class="strip-tip" aria-hidden="true" hidden><b></b> <time></time> <span></span></p>';
    [this.canvas, this.tip] = this.children;
    this.pen = this.canvas.getContext("2d");
    this.canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.canvas.addEventListener("pointerleave", () => this.#point(null));
    this.canvas.addEventListener("click", (event) => this.#press(this.#placeOf(event)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#drawAgain());
    new ResizeObserver(() => this.#drawAgain()).observe(this);
    language.addEventListener("language", () => this.#drawWords());
    this.#drawWords();
    return this;
  }

  reset() {
    this.activity.clear();
    this.#drawAgain();
  }

  feed(event) {
    this.activity.feed(event);
  }

  /** nowMs: of the server's clock. */
  tick(nowMs) {
    this.#nowMs = nowMs;
    if (Math.abs(nowMs - this.#drawnAtMs) >= EVERY_MS && this.clientWidth) this.#draw();
  }

  /** The colours of the page are others. */
  recolour() {
    this.#drawAgain();
  }

  #drawAgain() {
    this.#colours = null;
    this.#drawnAtMs = 0;
    if (this.#nowMs) this.tick(this.#nowMs);
  }

  #drawWords() {
    this.canvas.setAttribute("aria-label", t("desk.strip", { minutes: WINDOW_MS / MINUTE_MS }));
  }

  /** The place of each channel: [{channel, x, y, width, height}]; width: of the lane beside its number. */
  #lanes() {
    const channels = [...this.desk.model.channels.values()];
    const columns = Math.min(COLUMNS, channels.length);
    const height = (this.clientHeight - 2 * EDGE_PX) / Math.ceil(channels.length / columns);
    const cell = this.clientWidth / columns;
    const placed = (channel, n) => ({ channel, x: (n % columns) * cell + LABEL_PX, y: EDGE_PX + Math.floor(n / columns) * height, width: cell - LABEL_PX - GAP_PX, height });
    return channels.map(placed);
  }

  #draw() {
    this.#drawnAtMs = this.#nowMs;
    const { pen } = this;
    const colours = this.#prepare();
    const nowMs = this.activity.nowMs(this.#nowMs);
    pen.clearRect(0, 0, this.clientWidth, this.clientHeight);
    for (const lane of this.#lanes()) {
      const middle = lane.y + lane.height / 2;
      const isUsed = lane.channel.state !== "unused";
      pen.fillStyle = isUsed ? colours.text : colours.dim;
      pen.fillText(lane.channel.id, lane.x - LABEL_PX + 8, middle + 0.5);
      pen.fillStyle = colours.line;
      pen.fillRect(lane.x, Math.round(middle), lane.width, 1);
      for (let ms = MINUTE_MS; ms < WINDOW_MS; ms += MINUTE_MS) pen.fillRect(Math.round(lane.x + (lane.width * ms) / WINDOW_MS), Math.round(middle) - 2, 1, 5);
      if (nowMs !== null) this.#drawSpans(lane, nowMs, colours);
    }
    if (this.#pointer) this.#point(this.#pointer); // the lanes move below a pointer that rests
  }

  #drawSpans({ channel, x, y, width, height }, nowMs, colours) {
    const { pen } = this;
    const at = (ms) => x + Math.max(0, Math.min(1, 1 - (nowMs - ms) / WINDOW_MS)) * width;
    for (const { kind, fromMs, toMs } of this.activity.spans(channel.id)) {
      if ((toMs ?? nowMs) < nowMs - WINDOW_MS) continue;
      const left = at(fromMs);
      const length = Math.max(2, at(toMs ?? nowMs) - left);
      pen.fillStyle = kind === "lost" ? colours.bad : colours.accent;
      if (kind === "speech") pen.fillRect(left, y + 3, length, height - 5);
      else for (let dx = 0; dx < Math.max(length, 6); dx += 3) pen.fillRect(left + dx, y, 2, height - 1);
    }
  }

  #prepare() {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(this.clientWidth * ratio), Math.round(this.clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.font = '600 10px Inter, system-ui, "Noto Sans KR", sans-serif';
    this.pen.textBaseline = "middle";
    const style = this.#colours ? null : getComputedStyle(this);
    this.#colours ??= Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    return this.#colours;
  }

  /* ---- the pointer ---- */

  /** {channel, ms, line, x} at a pointer event; line: said there, or null. Null: no lane. */
  #placeOf({ clientX, clientY }) {
    const box = this.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top];
    const lane = this.#lanes().find((one) => y >= one.y && y < one.y + one.height && x >= one.x - LABEL_PX && x < one.x + one.width + GAP_PX);
    const nowMs = this.activity.nowMs(this.#nowMs);
    if (!lane || nowMs === null) return lane ? { channel: lane.channel, ms: null, line: null, x } : null;
    const ms = nowMs - (1 - Math.min(1, (x - lane.x) / lane.width)) * WINDOW_MS;
    return { channel: lane.channel, ms: x < lane.x ? null : ms, line: x < lane.x ? null : lineAt(lane.channel, ms), x };
  }

  #press(place) {
    if (!place) return;
    if (place.line) this.onLine(place.line);
    else this.onOpen(place.channel.id);
  }

  #point(pointer) {
    this.#pointer = pointer;
    const place = pointer && this.#placeOf(pointer);
    this.tip.hidden = !place;
    if (!place) return;
    const [name, time, text] = this.tip.children;
    setText(name, place.channel.name ? `${place.channel.id} ${place.channel.name}` : place.channel.id);
    setText(time, place.ms === null ? "" : clockTime(this.activity.wallOf(place.ms)));
    setText(text, place.line?.text ?? "");
    text.lang = place.line?.language || language.current;
    const left = Math.max(8, Math.min(this.clientWidth - this.tip.offsetWidth - 8, place.x - this.tip.offsetWidth / 2));
    this.tip.style.setProperty("left", `${Math.round(left)}px`);
  }
}

/** The line of a channel at a moment, or the nearest one beside it; null: nothing was said about then. */
function lineAt(channel, ms) {
  const distance = (line) => Math.max(line.start_ms - ms, ms - line.end_ms, 0);
  const near = channel.lines.filter((line) => distance(line) <= NEAR_MS);
  return near.sort((a, b) => distance(a) - distance(b))[0] ?? null;
}

customElements.define("desk-strip", DeskStrip);
