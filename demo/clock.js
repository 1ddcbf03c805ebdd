/* The session's time as this page can know it: session milliseconds of a moment of performance.now().
 *
 * Pure; every answer of the server that carries `now_ms` is a sample. The promptest of the last minute is believed, for
 * its way here and back can have hidden the least.
 */

const SAMPLES_MAX = 60;
const KEEP_MS = 60_000;

export class SessionClock {
  session = "";
  #samples = []; // {atMs, rttMs, offsetMs}

  /** A question sent and answered at these moments of performance.now(); nowMs: the server's answer. */
  add(session, nowMs, sentMs, answeredMs) {
    if (session !== this.session) {
      this.session = session;
      this.#samples = [];
    }
    const rttMs = answeredMs - sentMs;
    const offsetMs = nowMs - (sentMs + answeredMs) / 2;
    this.#samples.push({ atMs: answeredMs, rttMs, offsetMs });
    this.#samples = this.#samples.filter((one) => answeredMs - one.atMs < KEEP_MS).slice(-SAMPLES_MAX);
  }

  get isKnown() {
    return this.#samples.length > 0;
  }

  /** Where the server would have placed sound captured at that moment: by its arrival, half a round trip later. */
  toSession(pageMs) {
    const best = this.#samples.reduce((a, b) => (b.rttMs < a.rttMs ? b : a));
    return Math.round(pageMs + best.offsetMs + best.rttMs / 2);
  }
}
