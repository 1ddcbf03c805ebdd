/* Decides when to backfill: compares what the server misses with the audio of the last half minute, and sends it.
 *
 * The audio comes from recorder.js, after a reload also from kept-audio.js; backfill.js sends it.
 * Emits "repair" (detail: {state: "sending" | "done" | "failed", seconds}).
 */

import { backfill } from "./backfill.js";
import { SessionClock } from "./clock.js";
import { KeptAudio } from "./kept-audio.js";

const SETTLE_MS = 1500; // after a reconnect, the first packets may still be on their way
const AGAIN_MS = 3000; // between two attempts
const ATTEMPTS_MAX = 5; // for the same gaps: after these, their audio is no longer here

export class Repair extends EventTarget {
  #clock = new SessionClock();
  #kept = new KeptAudio();
  #connection = null;
  #running = null;
  #notBeforeMs = 0;
  #tried = new Map(); // gaps as JSON -> number of attempts
  #onPiece = ({ detail }) => this.#keep(detail);

  constructor(recorder, signal) {
    super();
    this.recorder = recorder;
    this.signal = signal;
    recorder?.addEventListener("piece", this.#onPiece);
  }

  /** A connection is open: from now on the audio belongs to its channel. */
  use(connection) {
    this.#connection = connection;
    this.#notBeforeMs = performance.now() + SETTLE_MS;
    if (connection.transport === "socket") setTimeout(() => this.#repair("socket"), SETTLE_MS); // no pings report gaps
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
    if (this.#running || !isTime || tried >= ATTEMPTS_MAX || !this.#connection?.resume || this.signal.aborted) return;
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
      const onSending = () => this.#report("sending");
      const { signal } = this;
      const filled = await backfill({ resume, channel, session, clock: this.#clock, pieces, onSending, signal });
      if (filled) this.#report("done", filled.filled.reduce((sum, [from, to]) => sum + to - from, 0) / 1000);
    } catch (error) {
      if (!this.signal.aborted) this.#report("failed", 0, error);
    }
  }

  /** All audio of the channel on the session's clock: first that of before a reload, then that of this page. */
  async #pieces(session, channel) {
    const own = (this.recorder?.pieces() ?? []).map(({ startMs, samples }) => ({
      startMs: this.#clock.toSession(startMs),
      samples,
    }));
    const firstMs = own[0]?.startMs ?? Infinity;
    const kept = await this.#kept.read(session, channel);
    return [...kept.filter(({ startMs, samples }) => startMs + samples.length / 16 <= firstMs), ...own];
  }

  #report(state, seconds = 0, error = null) {
    this.dispatchEvent(new CustomEvent("repair", { detail: { state, seconds, error } }));
  }

  /** Wait for the attempt that is running. */
  async finish() {
    await this.#running;
  }

  stop() {
    this.recorder?.removeEventListener("piece", this.#onPiece);
  }

  /** Remove the audio from this browser. */
  forget() {
    return this.#kept.clear();
  }
}
