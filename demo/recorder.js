/* The last 30 seconds of the microphone, for what the network loses: kept in memory, 16 kHz, 16 bits.
 *
 * Owns the pieces and their place on the page's own clock (performance.now() when they were captured). Knows nothing of
 * the server: clock.js translates. Emits "piece" (detail: {startMs, samples}).
 */

import { audioContext } from "./capture.js";

export const RATE = 16_000;
export const KEEP_MS = 30_000;
const EPOCH_MS = 10_000; // the promptest message of one to two such spans tells the audio clock's offset

let module = null; // the worklet is loaded once for the page

export class Recorder extends EventTarget {
  #pieces = [];
  #node = null;
  #offset = new Envelope(EPOCH_MS);

  /** node: an audio node of the page's context. Resolves to false where there is no AudioWorklet. */
  async attach(node) {
    const context = await audioContext();
    if (!context.audioWorklet) return false;
    try {
      module ??= context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
      await module;
    } catch {
      module = null;
      return false; // nothing can be sent again later; all else works
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
    this.dispatchEvent(new CustomEvent("piece", { detail: this.#placed(piece) }));
  }

  #placed({ endMs, samples }) {
    return { startMs: endMs - (samples.length * 1000) / RATE + this.#offset.value, samples };
  }

  /** What is kept, oldest first: [{startMs, samples}]. */
  pieces() {
    return this.#pieces.map((piece) => this.#placed(piece));
  }

  /** The microphone is off: nothing more comes, and nothing is kept. */
  stop() {
    this.#node?.port.close();
    this.#node?.disconnect();
    this.#node = null;
    this.#pieces = [];
    this.#offset = new Envelope(EPOCH_MS);
  }
}

/** The smallest of the newest values: messages between threads can be late, never early. */
class Envelope {
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
