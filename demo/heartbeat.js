/* Checks that the server still responds: sends a ping over the data channel every second, on the path of the audio.
 *
 * Emits "pong" (detail: the response, with sentMs and answeredMs), "weak" (a response is late) and "gone" (no response
 * for so long that the path must be broken). An older server knows no pings; as long as no response ever came,
 * "weak" and "gone" are not emitted.
 */

const EVERY_MS = 1000;
const WEAK_MS = 2500;
const GONE_MS = 5000; // a busy server, or a path that changes (NAT), can be silent for three seconds and still work
const STALLED_MS = 2000; // a timer that is this late means that the browser paused this page
const WAITING_MAX = 30;

export class Heartbeat extends EventTarget {
  #sent = new Map(); // id -> sentMs
  #id = 0;
  #answeredMs = null; // the last response
  #tickedMs = 0;
  #isWeak = false;
  #timer = 0;

  /** data: the data channel. */
  constructor(data) {
    super();
    this.data = data;
  }

  start() {
    this.#timer = setInterval(() => this.#tick(performance.now()), EVERY_MS);
    this.#tick(performance.now());
  }

  stop() {
    clearInterval(this.#timer);
  }

  /** True if no response came for longer than the time between two pings. */
  get isLate() {
    return this.#answeredMs !== null && performance.now() - this.#answeredMs > EVERY_MS + 500;
  }

  #tick(now) {
    if (now - this.#tickedMs > EVERY_MS + STALLED_MS && this.#answeredMs !== null) this.#answeredMs = now;
    this.#tickedMs = now;
    const silentMs = this.#answeredMs === null ? 0 : now - this.#answeredMs;
    if (silentMs > GONE_MS) return this.dispatchEvent(new Event("gone"));
    if (silentMs > WEAK_MS && !this.#isWeak) {
      this.#isWeak = true;
      this.dispatchEvent(new Event("weak"));
    }
    if (this.data.readyState !== "open") return undefined;
    this.#id += 1;
    this.#sent.set(this.#id, now);
    if (this.#sent.size > WAITING_MAX) this.#sent.delete(this.#sent.keys().next().value);
    return this.data.send(JSON.stringify({ type: "ping", id: this.#id }));
  }

  /** message: from the data channel. Returns true if it was the response to a ping. */
  take(message) {
    if (message.type !== "pong") return false;
    const answeredMs = performance.now();
    const sentMs = this.#sent.get(message.id);
    this.#sent.delete(message.id);
    this.#answeredMs = answeredMs;
    this.#isWeak = false;
    if (sentMs !== undefined) {
      this.dispatchEvent(new CustomEvent("pong", { detail: { ...message, sentMs, answeredMs } }));
    }
    return true;
  }
}
