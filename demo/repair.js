/* Making up for losses: keeps the sound of the last half minute, and sends what the server says it misses.
 *
 * Owns when that is done. The sound is the recorder's, over a reload the browser's store's; the sending is backfill.js's.
 * Emits "repair" (detail: {state: "sending" | "done" | "failed", seconds}).
 */

import { backfill } from "./backfill.js";
import { SessionClock } from "./clock.js";
import { KeptAudio } from "./kept-audio.js";

const SETTLE_MS = 1500; // a connection that just came back lets its first packets arrive
const AGAIN_MS = 3000; // after a try that failed
const TRIES_MAX = 5; // for the same gaps: what could not be filled by then is not here any more

export class Repair extends EventTarget {
  #clock = new SessionClock();
  #kept = new KeptAudio();
  #connection = null;
  #running = null;
  #notBeforeMs = 0;
  #tried = new Map(); // gaps, as the server names them -> how often
  #onPiece = ({ detail }) => this.#keep(detail);

  constructor(recorder, signal) {
    super();
    this.recorder = recorder;
    this.signal = signal;
    recorder?.addEventListener("piece", this.#onPiece);
  }

  /** A connection stands: its channel is where the sound belongs from now on. */
  follow(connection) {
    this.#connection = connection;
    this.#notBeforeMs = performance.now() + SETTLE_MS;
    if (connection.transport === "socket") setTimeout(() => this.#repair("socket"), SETTLE_MS); // it has no pings
  }

  onPong(connection, { now_ms, sentMs, answeredMs, channels }) {
    this.#clock.add(connection.session, now_ms, sentMs, answeredMs);
    const missing = channels.find((one) => one.channel === this.#channel)?.missing ?? [];
    if (missing.length > 0) this.#repair(JSON.stringify(missing));
  }

  get #channel() {
    return this.#connection?.channels[0]?.channel ?? null;
  }

  #keep({ startMs, samples }) {
    if (!this.#clock.isKnown || this.#channel === null || this.signal.aborted) return;
    this.#kept.add(this.#clock.session, this.#channel, this.#clock.toSession(startMs), samples);
  }

  #repair(gaps) {
    const tried = this.#tried.get(gaps) ?? 0;
    const isTime = performance.now() >= this.#notBeforeMs;
    if (this.#running || !isTime || tried >= TRIES_MAX || !this.#connection?.resume || this.signal.aborted) return;
    this.#tried.set(gaps, tried + 1);
    this.#running = this.#send().finally(() => (this.#running = null));
  }

  async #send() {
    const connection = this.#connection;
    const { resume, session } = connection;
    const channel = this.#channel;
    const pieces = () => this.#pieces(session, channel);
    this.#clock.session ||= session;
    this.#notBeforeMs = performance.now() + AGAIN_MS;
    try {
      const onSending = () => this.#tell("sending");
      const filled = await backfill({ resume, channel, session, clock: this.#clock, pieces, onSending, signal: this.signal });
      if (filled) this.#tell("done", filled.filled.reduce((sum, [from, to]) => sum + to - from, 0) / 1000);
    } catch (error) {
      if (!this.signal.aborted) this.#tell("failed", 0, error);
    }
  }

  /** Everything there is of the channel, on the session's clock: what a reload left, then this page's own. */
  async #pieces(session, channel) {
    const own = (this.recorder?.pieces() ?? []).map(({ startMs, samples }) => ({
      startMs: this.#clock.toSession(startMs),
      samples,
    }));
    const firstMs = own[0]?.startMs ?? Infinity;
    const left = await this.#kept.read(session, channel);
    return [...left.filter(({ startMs, samples }) => startMs + samples.length / 16 <= firstMs), ...own];
  }

  #tell(state, seconds = 0, error = null) {
    this.dispatchEvent(new CustomEvent("repair", { detail: { state, seconds, error } }));
  }

  /** The person stops: what is on its way arrives first. */
  async finish() {
    await this.#running;
  }

  stop() {
    this.recorder?.removeEventListener("piece", this.#onPiece);
  }

  /** Nothing of the sound stays in this browser. */
  forget() {
    return this.#kept.clear();
  }
}
