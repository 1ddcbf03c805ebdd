/* Keeps the last 30 seconds of the microphone in memory (16 kHz, 16 bits) for a backfill after a network gap.
 *
 * Owns the pieces and their capture times in milliseconds of performance.now(); clock.js converts them to session time.
 * Emits "piece" (detail: {startMs, samples}).
 */

import { audioContext } from "./capture.js";

export const RATE = 16_000;
export const KEEP_MS = 30_000;
const EPOCH_MS = 10_000; // the audio clock's offset is measured over one to two such spans

let module = null; // the promise of the worklet, which is loaded once for the page

export class Recorder extends EventTarget {
  #pieces = [];
  #node = null;
  #offset = new MovingMinimum(EPOCH_MS);

  /** node: an audio node of the page's context. Resolves to false where there is no AudioWorklet. */
  async attach(node) {
    const context = await audioContext();
    if (!context.audioWorklet) return false;
    try {
      module ??= context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
      await module;
    } catch {
      module = null;
      return false; // only the backfill is missing then
    }
    this.#node ??= this.#make(context);
    node.connect(this.#node);
    return true;
  }

  #make(context) {
    const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.#take(data.samples, data.endS * 1000);
    return node;
  }

  get isRecording() {
    return this.#pieces.length > 0;
  }

  #take(samples, endMs) {
    const now = performance.now();
    this.#offset.add(now - endMs, now);
    const piece = { endMs, samples };
    this.#pieces.push(piece);
    while (endMs - this.#pieces[0].endMs > KEEP_MS) this.#pieces.shift();
    this.dispatchEvent(new CustomEvent("piece", { detail: this.#onPageClock(piece) }));
  }

  #onPageClock({ endMs, samples }) {
    return { startMs: endMs - (samples.length * 1000) / RATE + this.#offset.value, samples };
  }

  /** The kept pieces, oldest first: [{startMs, samples}]. */
  pieces() {
    return this.#pieces.map((piece) => this.#onPageClock(piece));
  }

  /** Stop recording and remove all pieces. */
  stop() {
    this.#node?.port.close();
    this.#node?.disconnect();
    this.#node = null;
    this.#pieces = [];
    this.#offset = new MovingMinimum(EPOCH_MS);
  }
}

/** The smallest value of the last one to two spans. Messages between threads can be late but not early, so the
 *  smallest difference of two clocks is the true one. */
class MovingMinimum {
  #older = Infinity;
  #newer = Infinity;
  #since = -Infinity;

  constructor(spanMs) {
    this.spanMs = spanMs;
  }

  get value() {
    return Math.min(this.#older, this.#newer);
  }

  add(value, nowMs) {
    if (nowMs - this.#since >= this.spanMs) {
      this.#older = this.#newer;
      this.#newer = value;
      this.#since = nowMs;
    } else this.#newer = Math.min(this.#newer, value);
  }
}
