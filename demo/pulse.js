/* Is the server still there? A ping over the data channel every second, the same way as the sound.
 *
 * Emits "pong" (detail: the answer, with sentMs and answeredMs), "weak" (an answer is late) and "gone" (none came for so
 * long that the path must be dead). A server that never answered is not judged: an older one knows no pings.
 */

const EVERY_MS = 1000;
const WEAK_MS = 2500;
const GONE_MS = 5000; // a server busy for three seconds is alive, and so is a path that moves (NAT) in that time
const STALLED_MS = 2000; // a tick so late means that this page slept

export class Pulse extends EventTarget {
  #sent = new Map(); // id -> sentMs
  #id = 0;
  #heardMs = null;
  #tickedMs = 0;
  #isWeak = false;
  #timer = 0;

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

  /** An answer is due for longer than it ever took. */
  get isLate() {
    return this.#heardMs !== null && performance.now() - this.#heardMs > EVERY_MS + 500;
  }

  #tick(now) {
    if (now - this.#tickedMs > EVERY_MS + STALLED_MS && this.#heardMs !== null) this.#heardMs = now;
    this.#tickedMs = now;
    const silentMs = this.#heardMs === null ? 0 : now - this.#heardMs;
    if (silentMs > GONE_MS) return this.dispatchEvent(new Event("gone"));
    if (silentMs > WEAK_MS && !this.#isWeak) {
      this.#isWeak = true;
      this.dispatchEvent(new Event("weak"));
    }
    if (this.data.readyState !== "open") return undefined;
    this.#id += 1;
    this.#sent.set(this.#id, now);
    if (this.#sent.size > 30) this.#sent.delete(this.#sent.keys().next().value);
    return this.data.send(JSON.stringify({ type: "ping", id: this.#id }));
  }

  /** message: what came on the data channel. Returns true when it was an answer to a ping. */
  take(message) {
    if (message.type !== "pong") return false;
    const answeredMs = performance.now();
    const sentMs = this.#sent.get(message.id);
    this.#sent.delete(message.id);
    this.#heardMs = answeredMs;
    this.#isWeak = false;
    if (sentMs !== undefined) {
      this.dispatchEvent(new CustomEvent("pong", { detail: { ...message, sentMs, answeredMs } }));
    }
    return true;
  }
}
