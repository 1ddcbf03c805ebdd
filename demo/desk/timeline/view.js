/* <desk-timeline>: the lanes of all channels under one scale, with a cursor and a selection.
 *
 * Owns the visible range, the cursor, the selection and the input. paint.js draws, lanes.js has the data, tools.js plays
 * and exports. The picture is drawn at most once per frame, and only when something changed. The picture is a slider for
 * screen readers: its value is the moment under the cursor, and its text says what is there.
 * Emits "open" (detail: a line) and "selected" (detail: the selection or null).
 */

import { isNotSaid } from "../../events.js";
import { language, t, translate } from "../../i18n.js";
import { Lanes } from "./lanes.js";
import { LaneNames } from "./names.js";
import { Painter, SCALE_PX } from "./paint.js";
import { Pointing } from "./pointing.js";
import { LENGTHS_MS, Range, clockTime } from "./range.js";
import { TEMPLATE, legend } from "./template.js";

const LANE_PX_MIN = 28;
const LANE_PX_MAX = 56;
const LINES_UP_TO_MS = 30 * 60_000;
const STEPS = 40; // presses of an arrow key from one side to the other
const NEAR_PX = 5; // so far from a line it is still meant
const LENGTH_KEY = "host-stt.timeline-length";

export class DeskTimeline extends HTMLElement {
  range = new Range();
  cursor = null; // {lane, ms}
  selection = null; // {first, last, fromMs, toMs}: numbers of lanes, and milliseconds
  #anchor = null; // {lane, ms}: where the selection began
  #isDirty = false;

  /** desk: {model, afterMs, focused}; heard(): {channel, ms} or null; onOpen(id): a name was pressed; onError(error). */
  begin({ desk, heard, onOpen, onError }) {
    Object.assign(this, { desk, heard });
    this.innerHTML = TEMPLATE;
    translate(this);
    for (const name of ["box", "names", "picture", "tip", "length", "now"]) this[name] = this.querySelector(`.tl-${name}`);
    this.lanes = new Lanes(() => desk.model.transcript.session);
    this.lanes.addEventListener("loaded", () => this.#onLoaded());
    this.lanes.addEventListener("failed", ({ detail }) => this.isShown && onError(detail));
    this.painter = new Painter(this.picture.querySelector("canvas"));
    this.laneNames = new LaneNames(this.names, { desk, onOpen });
    this.pointing = new Pointing(this);
    this.range.lengthMs = LENGTHS_MS.find((one) => one === Number(localStorage.getItem(LENGTH_KEY))) ?? this.range.lengthMs;
    new ResizeObserver(() => this.#resize()).observe(this.box);
    this.box.addEventListener("scroll", () => this.redraw());
    this.length.addEventListener("change", () => this.zoomTo(Number(this.length.value)));
    for (const [name, act] of Object.entries({ in: () => this.zoom(-1), out: () => this.zoom(1), earlier: () => this.page(-1), later: () => this.page(1), now: () => this.toNow() })) {
      this.querySelector(`button.tl-${name}`).addEventListener("click", act);
    }
    language.addEventListener("language", () => this.#drawWords());
    this.#drawWords();
    return this;
  }

  get isShown() {
    return this.offsetParent !== null;
  }

  get channels() {
    return [...this.desk.model.channels.values()];
  }

  get nowMs() {
    return this.lanes.nowMs ?? 0;
  }

  /* ---- what changes the picture ---- */

  /** The view was opened. */
  show() {
    this.#makeNames();
    this.#resize();
    this.picture.focus({ preventScroll: true });
    this.tick(0);
  }

  #onLoaded() {
    const lane = Math.max(0, this.channels.findIndex(({ id }) => id === this.desk.focused));
    this.cursor ??= { lane, ms: this.nowMs };
    this.redraw();
  }

  recolour() {
    this.painter.recolour();
    this.redraw();
  }

  /** The session on screen is another one. */
  reset() {
    this.lanes.clear();
    this.range.follows = true;
    this.cursor = null;
    this.select(null);
  }

  feed(event) {
    if (event.type === "segment.marked") this.pointing.onMarked(event);
    if (this.lanes.feed(event)) this.redraw();
  }

  /** nowMs: of the page's clock, for the states beside the lanes. */
  tick(nowMs) {
    if (!this.isShown) return;
    if (this.laneNames.count !== this.channels.length) this.#makeNames();
    if (this.range.tick(this.nowMs) || this.heard()) this.redraw();
    this.#want();
    if (nowMs) this.laneNames.draw(this.channels, nowMs);
  }

  /** Over a long range, a column of two pixels shows more clearly how much was said. */
  #want() {
    this.lanes.want(this.range, this.pictureWidth / (this.range.lengthMs > LINES_UP_TO_MS ? 2 : 1));
  }

  redraw() {
    if (this.#isDirty) return;
    this.#isDirty = true;
    requestAnimationFrame(() => {
      this.#isDirty = false;
      if (this.isShown) this.#draw();
    });
  }

  #draw() {
    this.range.tick(this.nowMs);
    this.#want();
    const scene = { range: this.range, lanes: this.lanes, channels: this.channels, laneHeight: this.laneHeight, scrollTop: this.box.scrollTop };
    const size = { width: this.pictureWidth, height: this.box.clientHeight, nowMs: this.nowMs };
    if (this.lanes.data) this.painter.draw({ ...scene, ...size, cursor: this.cursor, selection: this.selection, heard: this.heard() });
    this.length.value = String(this.range.nearestLengthMs);
    this.now.setAttribute("aria-pressed", String(this.range.follows));
    this.#drawValue();
    this.pointing.drawTip();
  }

  #resize() {
    if (!this.isShown) return;
    const height = (this.box.clientHeight - SCALE_PX) / Math.max(1, this.channels.length);
    this.laneHeight = Math.max(LANE_PX_MIN, Math.min(LANE_PX_MAX, Math.floor(height)));
    this.style.setProperty("--lane", `${this.laneHeight}px`);
    this.style.setProperty("--lanes", this.channels.length);
    this.style.setProperty("--box", `${this.box.clientHeight}px`);
    this.pictureWidth = this.picture.clientWidth;
    this.redraw();
  }

  #makeNames() {
    this.laneNames.make(this.channels);
    this.#resize();
  }

  #drawWords() {
    const option = (ms) => new Option(ms < 3_600_000 ? t("tl.minutes", { n: ms / 60_000 }) : t(ms === 3_600_000 ? "tl.hour" : "tl.hours", { n: ms / 3_600_000 }), ms);
    this.length.replaceChildren(...LENGTHS_MS.map(option));
    this.querySelector(".tl-legend").replaceChildren(...legend());
    this.redraw();
  }

  /* ---- the range ---- */

  /** Longer (1) or shorter (-1), about a moment; without one, about the cursor if it is visible. */
  zoom(steps, atMs = this.#centre()) {
    this.range.zoom(steps, atMs, this.nowMs);
    this.#keepLength();
  }

  zoomTo(lengthMs) {
    this.range.resize(lengthMs, this.#centre(), this.nowMs);
    this.#keepLength();
  }

  #keepLength() {
    localStorage.setItem(LENGTH_KEY, String(this.range.nearestLengthMs));
    this.redraw();
  }

  /** A length of any size, with this moment at this share of the width. */
  showAround(ms, share, lengthMs) {
    this.range.place(ms, share, lengthMs, this.nowMs);
    this.#keepLength();
  }

  #centre() {
    const { fromMs, toMs } = this.range;
    const ms = this.cursor?.ms ?? -Infinity;
    return ms > fromMs && ms < toMs ? ms : (fromMs + toMs) / 2;
  }

  /** To later (1) or earlier (-1) time, by most of the visible length. */
  page(steps) {
    this.panTo(this.range.fromMs + steps * this.range.lengthMs * 0.8);
  }

  panTo(fromMs) {
    this.range.moveTo(fromMs, this.nowMs);
    this.redraw();
  }

  toNow() {
    this.range.newest(this.nowMs);
    if (this.cursor) this.cursor = { ...this.cursor, ms: this.nowMs };
    this.redraw();
  }

  /* ---- the cursor and the selection ---- */

  /** Move the cursor with keys. isExtending: the selection grows with it. */
  move(steps, lanes, isExtending = false) {
    const from = this.cursor ?? { lane: 0, ms: this.nowMs };
    const lane = Math.max(0, Math.min(this.channels.length - 1, from.lane + lanes));
    this.pointing.byKey();
    const ms = Math.max(0, Math.min(this.nowMs, from.ms + (steps * this.range.lengthMs) / STEPS));
    if (steps) this.range.reveal(ms, this.nowMs);
    this.moveTo({ lane, ms }, isExtending ? this.#anchor ?? from : null);
    this.#revealLane(lane);
  }

  /** anchor: the selection reaches from here to the cursor; null: what is selected stays. */
  moveTo(cursor, anchor = null) {
    this.cursor = cursor;
    if (anchor) {
      this.#anchor = anchor;
      const [first, last] = [anchor.lane, cursor.lane].sort((a, b) => a - b);
      const [fromMs, toMs] = [anchor.ms, cursor.ms].sort((a, b) => a - b);
      this.select({ first, last, fromMs: Math.max(0, Math.round(fromMs)), toMs: Math.min(this.nowMs, Math.round(toMs)) });
    }
    this.redraw();
  }

  /** The first press begins a selection at the cursor, the second one ends it there. */
  mark() {
    if (!this.cursor) return;
    if (this.#anchor && !this.selection) return this.moveTo(this.cursor, this.#anchor);
    this.select(null);
    this.#anchor = { ...this.cursor };
    this.redraw();
  }

  /** selection: as the property, or null: nothing is selected. */
  select(selection) {
    this.selection = selection && selection.toMs > selection.fromMs ? selection : null;
    if (!selection) this.#anchor = null;
    this.dispatchEvent(new CustomEvent("selected", { detail: this.selection }));
    this.redraw();
  }

  /** Close the tip or drop the selection. False: there was neither. */
  escape() {
    const had = this.pointing.closeTip() || this.selection !== null || this.#anchor !== null;
    this.select(null);
    return had;
  }

  /** The line at a place, or one a few pixels beside it; null: there is none, or it is not loaded. */
  lineAt({ lane, ms }) {
    const channel = this.channels[lane];
    if (!channel) return null;
    const near = (NEAR_PX * this.range.lengthMs) / (this.pictureWidth || 1);
    const all = [...channel.lines, ...(this.lanes.data?.linesOf.get(channel.id) ?? []), ...this.pointing.foundIn(channel.id)];
    const touching = all.filter((line) => line.start_ms - near <= ms && ms <= line.end_ms + near);
    const distance = (line) => Math.max(line.start_ms - ms, ms - line.end_ms, 0);
    return touching.sort((a, b) => distance(a) - distance(b))[0] ?? null;
  }

  openAt(place) {
    const line = place && this.lineAt(place);
    if (line) this.dispatchEvent(new CustomEvent("open", { detail: line }));
    return Boolean(line);
  }

  /** What is at a place, in words. */
  describe(place) {
    const channel = this.channels[place.lane];
    const time = clockTime(this.lanes.t0 + place.ms);
    const line = this.lineAt(place);
    const state = t(`tl.state.${this.lanes.stateAt(channel.id, place.ms)}`);
    return { channel: channel.name ? `${channel.id} ${channel.name}` : channel.id, time, state, line };
  }

  #revealLane(lane) {
    const top = lane * this.laneHeight;
    const room = this.box.clientHeight - SCALE_PX - this.laneHeight;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    if (top > this.box.scrollTop + room) this.box.scrollTop = top - room;
  }

  #drawValue() {
    if (!this.cursor || !this.lanes.data) return;
    const { channel, time, state, line } = this.describe(this.cursor);
    const values = { valuemin: Math.round(this.range.fromMs), valuemax: Math.round(this.range.toMs), valuenow: Math.round(this.cursor.ms) };
    for (const [name, value] of Object.entries(values)) this.picture.setAttribute(`aria-${name}`, String(value));
    this.picture.setAttribute("aria-valuetext", [channel, time, line ? line.text : state, ...(isNotSaid(line) ? [t("line.mark.not_said")] : [])].join(", "));
  }
}

customElements.define("desk-timeline", DeskTimeline);
