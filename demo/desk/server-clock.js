/* The server's wall clock, as this page knows it: the clocks of two machines can differ by minutes.
 *
 * Pure. Each live event carries the server's time. The event that came with the shortest delay shows the difference
 * best, so the smallest difference counts.
 */

const KEEP_MS = 10 * 60_000;

export class ServerClock {
  #best = null; // {differenceMs, atMs}

  /** wall: ISO time of a live event; pageMs: Date.now() at its arrival. */
  note(wall, pageMs) {
    const differenceMs = pageMs - Date.parse(wall ?? "");
    if (!Number.isFinite(differenceMs)) return;
    const isOld = this.#best && pageMs - this.#best.atMs > KEEP_MS;
    if (!this.#best || isOld || differenceMs < this.#best.differenceMs) this.#best = { differenceMs, atMs: pageMs };
  }

  /** The server's time at pageMs, in milliseconds like Date.now(). */
  at(pageMs) {
    return pageMs - (this.#best?.differenceMs ?? 0);
  }
}
