/* Draws the timeline on its canvas: the scale, the lanes, the selection, the cursor and the moments "now" and "heard".
 *
 * Draws only what is visible, and knows nothing of input. Every state has its own shape, so that no state is told by its
 * colour alone: speech is a bar as high as its share, silence a thin line, a loss a hatched block over the whole lane.
 */

import { isNotSaid } from "../../events.js";
import { marks } from "./range.js";

export const SCALE_PX = 26;
const NAMES = ["ground", "card", "raised", "line", "control", "text", "dim", "accent", "warn", "bad"];
const LINES_FROM_PX = 8; // for each second; with less, lines have no room for their words
const TEXT_FROM_PX = 26; // narrower lines have no room for a word
const TEXT_PX_MAX = 240;
const FONT = '13px Inter, system-ui, "Noto Sans KR", "Malgun Gothic", sans-serif';

/** A small picture that is repeated: diagonal lines in one or two directions, or dots. */
function pattern(context, colour, kind) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  if (kind !== "dots") pen.moveTo(-2, 10), pen.lineTo(10, -2), pen.moveTo(-2, 2), pen.lineTo(2, -2), pen.moveTo(6, 10), pen.lineTo(10, 6);
  if (kind === "cross") pen.moveTo(-2, -2), pen.lineTo(10, 10), pen.moveTo(-2, 6), pen.lineTo(2, 10), pen.moveTo(6, -2), pen.lineTo(10, 2);
  pen.stroke();
  if (kind === "dots") pen.fillRect(1, 1, 3, 3), pen.fillRect(5, 5, 3, 3);
  return context.createPattern(tile, "repeat");
}

export class Painter {
  #colours = null;
  #patterns = null;

  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  /** The colours of the page are others: read them before the next drawing. */
  recolour() {
    this.#colours = null;
  }

  /** scene: {range, lanes: Lanes, channels: [DeskChannel], laneHeight, scrollTop, width, height, nowMs, cursor, selection,
   *  heard, shownState(channel)}. cursor: {lane, ms} or null. selection: {first, last, fromMs, toMs} or null. */
  draw(scene) {
    this.#prepare(scene);
    const { pen } = this;
    const colours = this.#colours;
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, scene.width, scene.height);
    const ticks = marks(scene.range, scene.width, scene.lanes.t0);
    this.#drawLines(scene, ticks);
    pen.save();
    pen.beginPath();
    pen.rect(0, SCALE_PX, scene.width, scene.height - SCALE_PX);
    pen.clip();
    const first = scene.lanes.isLoaded ? Math.floor(scene.scrollTop / scene.laneHeight) : scene.channels.length;
    const last = Math.min(scene.channels.length - 1, Math.floor((scene.scrollTop + scene.height - SCALE_PX) / scene.laneHeight));
    for (let n = first; n <= last; n += 1) this.#drawLane(scene, scene.channels[n], SCALE_PX + n * scene.laneHeight - scene.scrollTop);
    this.#drawSelection(scene);
    pen.restore();
    this.#drawScale(scene, ticks);
    this.#drawMoments(scene);
  }

  #prepare({ width, height }) {
    const ratio = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.font = FONT;
    this.pen.textBaseline = "middle";
    if (this.#colours) return;
    const style = getComputedStyle(this.canvas);
    this.#colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const { bad, warn, dim } = this.#colours;
    this.#patterns = {
      l: pattern(this.pen, bad, "lines"), h: pattern(this.pen, warn, "dots"), f: pattern(this.pen, bad, "cross"),
      d: pattern(this.pen, bad, "lines"), r: pattern(this.pen, dim, "cross"),
    };
  }

  #x({ range, width }, ms) {
    return ((ms - range.fromMs) / range.lengthMs) * width;
  }

  #drawLines(scene, ticks) {
    const { pen } = this;
    pen.fillStyle = this.#colours.line;
    for (const { ms } of ticks) pen.fillRect(Math.round(this.#x(scene, ms)), SCALE_PX - 5, 1, scene.height);
  }

  #drawScale(scene, ticks) {
    const { pen } = this;
    pen.fillStyle = this.#colours.dim;
    pen.textAlign = "start";
    for (const { ms, label } of ticks) {
      const left = Math.round(this.#x(scene, ms)) + 4;
      if (left + pen.measureText(label).width <= scene.width) pen.fillText(label, left, SCALE_PX / 2);
    }
  }

  #drawLane(scene, channel, top) {
    const { pen } = this;
    pen.fillStyle = this.#colours.line;
    pen.fillRect(0, top + scene.laneHeight - 1, scene.width, 1);
    const lines = this.#lines(scene, channel);
    this.#drawColumns(scene, channel, top, lines !== null);
    for (const run of scene.lanes.newerRuns(channel.id)) {
      this.#clear(scene, run, top);
      this.#block(scene, run.letter, run.from_ms, run.to_ms, 9, top, lines !== null);
    }
    const speech = scene.lanes.speechOf(channel.id);
    if (speech) this.#drawSpeech(scene, speech, top);
    lines?.forEach((line, n) => this.#drawLine(scene, line, lines[n + 1], top));
  }

  /** The lines of a channel, where they have room; null: the picture shows only how much was said. */
  #lines({ lanes, range, width }, channel) {
    if (!lanes.data.lines || (width * 1000) / range.lengthMs < LINES_FROM_PX) return null;
    const known = new Map((lanes.data.linesOf.get(channel.id) ?? []).map((line) => [line.segment, line]));
    for (const line of channel.lines) if (line.end_ms > range.fromMs) known.set(line.segment, line);
    return [...known.values()].sort((a, b) => a.start_ms - b.start_ms);
  }

  #drawColumns(scene, channel, top, hasLines) {
    const { data } = scene.lanes;
    const lane = data.byChannel.get(channel.id);
    if (!lane) return;
    const { from_ms, step_ms } = data;
    const first = Math.max(0, Math.floor((scene.range.fromMs - from_ms) / step_ms));
    const last = Math.min(lane.states.length, Math.ceil((scene.range.toMs - from_ms) / step_ms));
    for (let n = first; n < last; ) {
      let end = n + 1; // columns that look alike are one block
      while (end < last && lane.states[end] === lane.states[n] && lane.speech[end] === lane.speech[n]) end += 1;
      const until = Math.min(from_ms + end * step_ms, data.now_ms);
      this.#block(scene, lane.states[n], from_ms + n * step_ms, until, Number(lane.speech[n]), top, hasLines);
      n = end;
    }
  }

  /** A newer state replaces what the columns show. */
  #clear(scene, { from_ms, to_ms }, top) {
    const left = Math.max(0, this.#x(scene, from_ms));
    const right = Math.min(scene.width, this.#x(scene, to_ms));
    this.pen.fillStyle = this.#colours.ground;
    if (right > left) this.pen.fillRect(left, top, right - left, scene.laneHeight - 1);
  }

  /** share: of speech, 0 to 9. */
  #block(scene, letter, fromMs, toMs, share, top, hasLines) {
    const { pen } = this;
    const left = this.#x(scene, fromMs);
    const width = this.#x(scene, toMs) - left;
    if (letter === "." || left > scene.width || left + width < 0 || width <= 0) return;
    const height = scene.laneHeight - 1;
    if (letter === "s" || letter === "c") {
      pen.fillStyle = letter === "s" ? this.#colours.control : this.#colours.line;
      return pen.fillRect(left, top + height - 4, width, letter === "s" ? 2 : 1);
    }
    if (letter === "t") {
      const full = hasLines ? 4 : (height - 6) * (0.25 + (0.75 * share) / 9);
      pen.fillStyle = this.#colours.accent;
      return pen.fillRect(left, top + height - 2 - full, Math.max(width, 1), full);
    }
    const isQuiet = letter === "d"; // no connection is no loss: half as high
    pen.fillStyle = this.#patterns[letter];
    pen.fillRect(left, isQuiet ? top + height - 9 : top + 1, Math.max(width, 2), isQuiet ? 7 : height - 2);
  }

  /** Speech whose text has not come: an empty frame. */
  #drawSpeech(scene, { from_ms, to_ms }, top) {
    const left = this.#x(scene, from_ms);
    const right = Math.min(this.#x(scene, to_ms ?? scene.nowMs), scene.width);
    if (right < 0) return;
    this.pen.strokeStyle = this.#colours.accent;
    this.pen.lineWidth = 1.5;
    this.pen.setLineDash([4, 3]);
    this.pen.strokeRect(left + 0.5, top + 3.5, Math.max(2, right - left), scene.laneHeight - 8);
    this.pen.setLineDash([]);
  }

  /** Draws the text of a line. The text of a short line may use the space up to the next line. A line that is marked as not said is struck through. */
  #drawLine(scene, line, next, top) {
    const { pen } = this;
    const left = this.#x(scene, line.start_ms);
    const width = Math.max(2, this.#x(scene, line.end_ms) - left - 1);
    if (left > scene.width || left + width < 0) return;
    const height = scene.laneHeight - 10;
    pen.fillStyle = this.#colours.raised;
    pen.fillRect(left, top + 3, width, height);
    pen.fillStyle = isNotSaid(line) ? this.#colours.dim : this.#colours.accent;
    pen.fillRect(left, top + 3, 2, height);
    const from = Math.max(left + 6, 4);
    const room = Math.max(width, Math.min(next ? this.#x(scene, next.start_ms) - left : Infinity, TEXT_PX_MAX)) - (from - left) - 3;
    if (room < TEXT_FROM_PX) return;
    pen.save();
    pen.beginPath();
    pen.rect(from, top, room, scene.laneHeight);
    pen.clip();
    pen.fillStyle = isNotSaid(line) ? this.#colours.dim : this.#colours.text;
    pen.textAlign = "start";
    const middle = top + 3 + height / 2 + 1;
    pen.fillText(line.text, from, middle);
    if (isNotSaid(line)) pen.fillRect(from, middle - 1, Math.min(room, pen.measureText(line.text).width), 2);
    pen.restore();
  }

  #drawSelection(scene) {
    const { selection, cursor } = scene;
    const { pen } = this;
    if (selection) {
      const left = this.#x(scene, selection.fromMs);
      const top = SCALE_PX + selection.first * scene.laneHeight - scene.scrollTop;
      const box = [left, top, this.#x(scene, selection.toMs) - left, (selection.last - selection.first + 1) * scene.laneHeight - 1];
      pen.globalAlpha = 0.22;
      pen.fillStyle = this.#colours.text;
      pen.fillRect(...box);
      pen.globalAlpha = 1;
      pen.strokeStyle = this.#colours.text;
      pen.lineWidth = 2;
      pen.strokeRect(...box);
    }
    if (!cursor) return;
    pen.fillStyle = this.#colours.text;
    pen.fillRect(Math.round(this.#x(scene, cursor.ms)), SCALE_PX + cursor.lane * scene.laneHeight - scene.scrollTop, 2, scene.laneHeight - 1);
  }

  #drawMoments(scene) {
    const { pen } = this;
    const { heard, nowMs } = scene;
    pen.fillStyle = this.#colours.dim;
    const now = this.#x(scene, nowMs);
    if (now <= scene.width + 1) pen.fillRect(Math.min(now, scene.width - 2), SCALE_PX - 6, 2, scene.height);
    if (!heard) return;
    const x = this.#x(scene, heard.ms);
    const lane = scene.channels.findIndex((channel) => channel.id === heard.channel);
    pen.fillStyle = this.#colours.warn;
    pen.fillRect(x - 1, SCALE_PX - 6, 2, lane < 0 ? scene.height : 6); // several channels are heard together
    if (lane >= 0) pen.fillRect(x - 1, SCALE_PX + lane * scene.laneHeight - scene.scrollTop, 2, scene.laneHeight - 1);
  }
}
