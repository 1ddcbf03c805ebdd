/* The session's clock in this page: converts a time of performance.now() to session milliseconds.
 *
 * Pure. Every response of the server with `now_ms` is a measurement. The measurement with the shortest round trip of the
 * last minute counts, because its error is the smallest: at most half of the round trip.
 */

const MEASUREMENTS_MAX = 60;
const KEEP_MS = 60_000;

export class SessionClock {
  session = "";
  #measurements = []; // {atMs, rttMs, offsetMs}

  /** nowMs: the server's session time; sentMs, answeredMs: when the request left and the response came. */
  add(session, nowMs, sentMs, answeredMs) {
    if (session !== this.session) {
      this.session = session;
      this.#measurements = [];
    }
    const rttMs = answeredMs - sentMs;
    const offsetMs = nowMs - (sentMs + answeredMs) / 2;
    this.#measurements.push({ atMs: answeredMs, rttMs, offsetMs });
    this.#measurements = this.#measurements.filter((one) => answeredMs - one.atMs < KEEP_MS).slice(-MEASUREMENTS_MAX);
  }

  get isKnown() {
    return this.#measurements.length > 0;
  }

  /** pageMs: when audio was captured. Adds half a round trip, because the server dates audio by its arrival. */
  toSession(pageMs) {
    const best = this.#measurements.reduce((a, b) => (b.rttMs < a.rttMs ? b : a));
    return Math.round(pageMs + best.offsetMs + best.rttMs / 2);
  }
}
