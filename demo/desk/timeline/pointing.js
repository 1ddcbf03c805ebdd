/* The pointer on the timeline: hover shows what is there, a click opens the line, a drag selects, the wheel zooms, and so
 * do two fingers (pinch.js).
 *
 * A drag on the scale moves the range. Owns the tip, and the lines that it had to ask the server for: a long range has no
 * lines, so those around the pointer are requested once it rests. The newest FOUND_MAX of them are kept.
 */

import { address, request } from "../../api.js";
import { isNotSaid, withMark } from "../../events.js";
import { t } from "../../i18n.js";
import { setText } from "../parts.js";
import { SCALE_PX } from "./paint.js";
import { Pinch } from "./pinch.js";

const DRAG_PX = 5; // a smaller movement is a click
const WHEEL_PX = 60; // of one step of the zoom
const REST_MS = 150;
const AROUND_MS = 4000;
const FOUND_MAX = 300;

export class Pointing {
  #drag = null; // {x, place, fromMs, isScale, hasMoved}
  #place = null; // what the pointer is over
  #isByKey = false; // the newest movement was one of the cursor
  #wheel = 0;
  #timer = 0;
  #found = []; // lines from the server, newest request last
  #asked = "";

  constructor(view) {
    this.view = view;
    const { picture } = view;
    this.pinch = new Pinch(view, () => this.#dropDrag()); // first, so that it sees each finger before this does
    picture.addEventListener("pointerdown", (event) => this.#onDown(event));
    picture.addEventListener("pointermove", (event) => this.#onMove(event));
    picture.addEventListener("pointerup", (event) => this.#onUp(event));
    picture.addEventListener("pointercancel", () => (this.#drag = null));
    picture.addEventListener("pointerleave", () => this.closeTip());
    picture.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    picture.addEventListener("blur", () => this.closeTip());
  }

  /** The lines of a channel that were requested for the tip. */
  foundIn(channel) {
    return this.#found.filter((line) => line.channel === channel);
  }

  /** event: a `segment.marked`. */
  onMarked(event) {
    const line = this.#found.find((one) => one.segment === event.segment);
    if (line) line.marks = withMark(line.marks, event);
  }

  /** Returns false if there was no tip. */
  closeTip() {
    const had = !this.view.tip.hidden;
    this.#place = null;
    this.#isByKey = false;
    this.view.tip.hidden = true;
    return had;
  }

  /** The cursor was moved with a key, so the tip is there. */
  byKey() {
    this.#isByKey = true;
    this.#place = null;
  }

  /** lane, ms of a pointer event; isScale: it is above the lanes. */
  #placeOf({ clientX, clientY }) {
    const { view } = this;
    const box = view.picture.getBoundingClientRect();
    const ms = view.range.fromMs + ((clientX - box.left) / box.width) * view.range.lengthMs;
    const y = clientY - view.box.getBoundingClientRect().top;
    const lane = Math.floor((y - SCALE_PX + view.box.scrollTop) / view.laneHeight);
    const within = Math.max(0, Math.min(view.channels.length - 1, lane));
    return { lane: within, ms: Math.max(0, Math.min(view.nowMs, ms)), isScale: y < SCALE_PX, isLane: lane === within };
  }

  /** A second finger came: the first one did not mean to select. */
  #dropDrag() {
    if (this.#drag?.hasMoved && !this.#drag.isScale) this.view.select(null);
    this.#drag = null;
    this.closeTip();
  }

  #onDown(event) {
    if (event.button !== 0 || this.pinch.isOn) return;
    const place = this.#placeOf(event);
    this.#drag = { x: event.clientX, place, fromMs: this.view.range.fromMs, isScale: place.isScale, hasMoved: false };
    if (event.pointerType !== "touch" || place.isScale) this.view.picture.setPointerCapture(event.pointerId);
  }

  #onMove(event) {
    if (this.pinch.isOn) return;
    const { view } = this;
    const place = this.#placeOf(event);
    const drag = this.#drag;
    if (!drag) return this.#hover(place.isScale || !place.isLane ? null : place);
    if (Math.abs(event.clientX - drag.x) > DRAG_PX) drag.hasMoved = true;
    if (!drag.hasMoved) return;
    if (drag.isScale) return view.panTo(drag.fromMs - ((event.clientX - drag.x) / view.pictureWidth) * view.range.lengthMs);
    this.#hover(null);
    view.moveTo(place, drag.place);
  }

  #onUp(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag || drag.hasMoved || drag.isScale) return;
    const { view } = this;
    const place = this.#placeOf(event);
    if (event.shiftKey && view.cursor) return view.moveTo(place, view.cursor);
    const wasThere = view.cursor && view.lineAt(view.cursor) && view.lineAt(view.cursor) === view.lineAt(place);
    view.select(null);
    view.moveTo(place);
    // A finger cannot hover: its first tap shows the line, the second one opens it.
    if (event.pointerType === "touch" && !wasThere) this.#hover(place);
    else view.openAt(place);
  }

  #onWheel(event) {
    event.preventDefault();
    const { view } = this;
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (isSideways) {
      const px = event.deltaX || event.deltaY;
      return view.panTo(view.range.fromMs + (px / view.pictureWidth) * view.range.lengthMs);
    }
    this.#wheel += event.deltaMode === 1 ? event.deltaY * 20 : event.deltaY;
    const steps = Math.trunc(this.#wheel / WHEEL_PX);
    if (steps) view.zoom(Math.sign(steps), this.#placeOf(event).ms);
    if (steps) this.#wheel = 0;
  }

  #hover(place) {
    this.#isByKey = false;
    this.#place = place;
    this.view.tip.hidden = true;
    this.drawTip();
  }

  /** The tip is at the pointer; without one, at the cursor while the picture has the focus. */
  drawTip() {
    const { view } = this;
    const place = this.#place ?? (this.#isByKey ? view.cursor : null);
    if (!place || !view.lanes.isLoaded || this.#drag?.hasMoved) return void (view.tip.hidden = true);
    const { channel, time, state, line } = view.describe(place);
    const [head, text] = view.tip.children;
    const [name, moment, word] = head.children;
    setText(name, channel);
    setText(moment, time);
    setText(word, line ? (isNotSaid(line) ? t("line.mark.not_said") : "") : state);
    setText(text, line?.text ?? "");
    text.classList.toggle("not-said", isNotSaid(line));
    if (line?.language) text.lang = line.language;
    text.hidden = !line;
    view.tip.hidden = false;
    this.#put(place);
    if (!line) this.#askSoon(place);
  }

  /** Beside the place, inside of the view, and never over it. */
  #put({ lane, ms }) {
    const { view } = this;
    const box = view.getBoundingClientRect();
    const picture = view.picture.getBoundingClientRect();
    const tip = view.tip.getBoundingClientRect();
    const x = picture.left - box.left + ((ms - view.range.fromMs) / view.range.lengthMs) * picture.width;
    const laneTop = view.box.getBoundingClientRect().top - box.top + SCALE_PX + lane * view.laneHeight - view.box.scrollTop;
    const above = laneTop - tip.height - 6;
    const top = above < 0 ? laneTop + view.laneHeight + 6 : above;
    const left = Math.max(4, Math.min(box.width - tip.width - 4, x - tip.width / 2));
    Object.assign(view.tip.style, { left: `${Math.round(left)}px`, top: `${Math.round(top)}px` });
  }

  /** Request the lines around a place, when the pointer or the cursor rests there. */
  #askSoon(place) {
    const { lanes, channels } = this.view;
    const { id } = channels[place.lane];
    if (lanes.data.lines !== null || lanes.stateAt(id, place.ms) !== "t") return;
    const around = Math.max(AROUND_MS, lanes.data.step_ms);
    const query = { channel: id, from_ms: Math.max(0, Math.floor(place.ms - around)), to_ms: Math.ceil(place.ms + around), columns: 1 };
    const asked = `${lanes.data.session} ${id} ${Math.floor(place.ms / 1000)}`;
    if (asked === this.#asked) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      this.#asked = asked;
      const path = address(`api/sessions/${encodeURIComponent(lanes.data.session)}/timeline`, query);
      const { lines } = await request("GET", path).catch(() => ({ lines: null })); // the tip then shows the state alone
      if (!lines?.length) return;
      this.#found = [...this.#found, ...lines].slice(-FOUND_MAX);
      this.view.redraw();
    }, REST_MS);
  }
}
