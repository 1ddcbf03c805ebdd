/* One channel at a time, as on a scanner: decides which of the talking channels is heard.
 *
 * Pure: times are given. A channel that has begun is heard to its end, and after it for the time of a dialogue
 * (stickyMs), so that the answer comes before other channels. A channel of higher priority interrupts. Of several
 * channels that wait, the one of the highest priority is next, then the one that talks longest.
 */

export class Scanner {
  current = ""; // the channel that is heard, or that was heard last
  #talking = new Map(); // id -> when it began, oldest first
  #freeAtMs = 0; // when another channel may follow
  #skipped = new Set(); // talking channels that are not heard until their end

  /** priorityOf(id): a number, higher is more important; mayHear(id): false for channels that are muted or avoided. */
  constructor({ priorityOf, mayHear, stickyMs }) {
    Object.assign(this, { priorityOf, mayHear, stickyMs });
  }

  get skipped() {
    return this.#skipped;
  }

  begin(id, nowMs) {
    if (!this.#talking.has(id)) this.#talking.set(id, nowMs);
    this.step(nowMs);
  }

  end(id, nowMs) {
    this.#talking.delete(id);
    const wasSkipped = this.#skipped.delete(id);
    if (id === this.current && !wasSkipped) this.#freeAtMs = nowMs + this.stickyMs();
    this.step(nowMs);
  }

  /** Not to be heard any more until its end; the next channel follows at once. */
  skip(id, nowMs) {
    if (!this.#talking.has(id)) return;
    this.#skipped.add(id);
    if (id === this.current) this.#freeAtMs = 0;
    this.step(nowMs);
  }

  /** Another session began. */
  clear() {
    this.current = "";
    this.#talking.clear();
    this.#skipped.clear();
    this.#freeAtMs = 0;
  }

  /** Change the channel if it is time. Returns the milliseconds until the next change is possible, or null. */
  step(nowMs) {
    const isHeard = this.#talking.has(this.current) && this.#canFollow(this.current);
    const best = this.#best();
    const isMoreImportant = best && this.priorityOf(best) > this.priorityOf(this.current);
    const waitMs = isHeard || !this.mayHear(this.current) ? 0 : this.#freeAtMs - nowMs;
    const isFree = !isHeard && waitMs <= 0;
    if (best && best !== this.current && (isFree || isMoreImportant)) this.current = best;
    return !isHeard && waitMs > 0 && this.#talking.size ? waitMs : null;
  }

  #canFollow(id) {
    return !this.#skipped.has(id) && this.mayHear(id);
  }

  #best() {
    const waiting = [...this.#talking.keys()].filter((id) => this.#canFollow(id));
    return waiting.reduce((best, id) => (best && this.priorityOf(best) >= this.priorityOf(id) ? best : id), "");
  }
}
