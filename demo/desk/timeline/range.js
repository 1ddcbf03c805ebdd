/* The visible range of the timeline: its length, its place, and the marks of its scale.
 *
 * Pure. Times are milliseconds of the session. A range that follows ends at "now" and moves with it. The start may lie
 * before the session: a young session then begins inside of the picture.
 */

const MINUTE = 60_000;
export const LENGTHS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480].map((minutes) => minutes * MINUTE);
const MARK_STEPS_MS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200].map((seconds) => seconds * 1000);
const MARK_PX = 86; // a label with its seconds, and space beside it

export class Range {
  lengthMs = 15 * MINUTE;
  toMs = 0;
  follows = true;

  get fromMs() {
    return this.toMs - this.lengthMs;
  }

  /** Keep the end at "now" while the range follows. Returns true if it moved. */
  tick(nowMs) {
    if (!this.follows || this.toMs === nowMs) return false;
    this.toMs = nowMs;
    return true;
  }

  /** Change the length; the moment `atMs` keeps its place. A range that follows goes on to do so. */
  resize(lengthMs, atMs, nowMs) {
    const share = (atMs - this.fromMs) / this.lengthMs;
    this.lengthMs = lengthMs;
    if (!this.follows) this.moveTo(atMs - share * lengthMs, nowMs);
  }

  /** Longer (1) or shorter (-1) by one step of LENGTHS_MS. */
  zoom(steps, atMs, nowMs) {
    const at = LENGTHS_MS.findIndex((length) => length >= this.lengthMs);
    const next = LENGTHS_MS[Math.max(0, Math.min(LENGTHS_MS.length - 1, at + steps))];
    if (next !== this.lengthMs) this.resize(next, atMs, nowMs);
  }

  /** Any length between the shortest and the longest, with a moment at this share of the width: 0 left, 1 right. */
  place(atMs, share, lengthMs, nowMs) {
    this.lengthMs = Math.max(LENGTHS_MS[0], Math.min(LENGTHS_MS.at(-1), lengthMs));
    this.moveTo(atMs - share * this.lengthMs, nowMs);
  }

  /** The length to choose from that is nearest to the visible one. */
  get nearestLengthMs() {
    const far = (ms) => Math.abs(Math.log(ms / this.lengthMs));
    return LENGTHS_MS.reduce((best, ms) => (far(ms) < far(best) ? ms : best));
  }

  /** Begin at this moment. At "now" the range follows again; it never leaves the session. */
  moveTo(fromMs, nowMs) {
    const earliest = Math.min(0, nowMs - this.lengthMs);
    this.toMs = Math.max(earliest, fromMs) + this.lengthMs;
    this.follows = this.toMs >= nowMs;
    if (this.follows) this.toMs = nowMs;
  }

  /** Move by a share of the length, so that this moment is inside. Returns true if it had to move. */
  reveal(ms, nowMs) {
    if (ms >= this.fromMs && ms <= this.toMs) return false;
    this.moveTo(ms < this.fromMs ? ms - this.lengthMs * 0.2 : ms - this.lengthMs * 0.8, nowMs);
    return true;
  }

  newest(nowMs) {
    this.follows = true;
    this.toMs = nowMs;
  }
}

/** The marks of the scale: [{ms, label}]. t0: wall clock of the session's 0, in milliseconds. Labels are local time. */
export function marks(range, widthPx, t0) {
  const wanted = (range.lengthMs * MARK_PX) / Math.max(1, widthPx);
  const step = MARK_STEPS_MS.find((one) => one >= wanted) ?? MARK_STEPS_MS.at(-1);
  const zone = new Date(t0 + range.fromMs).getTimezoneOffset() * MINUTE;
  const first = Math.ceil((t0 + range.fromMs - zone) / step) * step + zone - t0;
  const found = [];
  for (let ms = first; ms <= range.toMs; ms += step) found.push({ ms, label: clockTime(t0 + ms, step < MINUTE) });
  return found;
}

/** Local wall clock time as hh:mm:ss, or hh:mm. */
export function clockTime(wallMs, hasSeconds = true) {
  const time = new Date(wallMs).toLocaleTimeString("en-GB");
  return hasSeconds ? time : time.slice(0, 5);
}
