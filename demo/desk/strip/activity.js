/* What each channel did in the last minutes: the spans of speech and of lost audio, by the events of the session.
 *
 * Pure. Times are milliseconds of the session. Its time "now" comes from the server's clock: an event that names a moment
 * of the session shows when the session began, and the one that came with the shortest delay shows it best.
 * Bounded: spans that ended before the window are dropped, and a channel holds SPANS_MAX of them.
 */

export const WINDOW_MS = 5 * 60_000;
const SPANS_MAX = 400; // of a channel
const LOSSES = ["lost", "shed", "failed"];

export class Activity {
  #spans = new Map(); // channel -> [{kind, fromMs, toMs, utterance}]; toMs null: it goes on
  #t0 = null; // the server's wall clock at the session's 0

  clear() {
    this.#spans.clear();
    this.#t0 = null;
  }

  /** The session's time, or null: not known yet. wallMs: of the server's clock. */
  nowMs(wallMs) {
    return this.#t0 === null ? null : wallMs - this.#t0;
  }

  /** The wall clock at a moment of the session. */
  wallOf(ms) {
    return this.#t0 + ms;
  }

  /** The spans of a channel, in the order in which they were reported: [{kind: "speech" or "lost", fromMs, toMs}]. */
  spans(channel) {
    return this.#spans.get(channel) ?? [];
  }

  /** Take an event of the session. Returns true if it changed a span. */
  feed(event) {
    const take = TAKES[event.type];
    if (!take || !event.channel) return false;
    this.#noteTime(event);
    return take(this, event) !== false;
  }

  #noteTime({ wall, at_ms, end_ms, to_ms, start_ms }) {
    const t0 = Date.parse(wall ?? "") - (at_ms ?? end_ms ?? to_ms ?? start_ms ?? NaN);
    if (Number.isFinite(t0)) this.#t0 = this.#t0 === null ? t0 : Math.min(this.#t0, t0);
  }

  _begin({ channel, utterance, start_ms }) {
    this.#add(channel, { kind: "speech", fromMs: start_ms, toMs: null, utterance });
  }

  _end({ channel, utterance, start_ms, end_ms }) {
    const open = this.spans(channel).find((span) => span.utterance === utterance);
    if (open) Object.assign(open, { fromMs: start_ms, toMs: end_ms });
    else this.#add(channel, { kind: "speech", fromMs: start_ms, toMs: end_ms, utterance });
  }

  _lose({ channel, from_ms, to_ms }) {
    this.#add(channel, { kind: "lost", fromMs: from_ms, toMs: to_ms });
  }

  /** The channel or its speech ended without a report of it. */
  _close({ channel, at_ms }, wallMs) {
    const atMs = at_ms ?? this.nowMs(wallMs);
    for (const span of this.spans(channel)) span.toMs ??= Math.max(span.fromMs, atMs ?? span.fromMs);
  }

  #add(channel, span) {
    const oldest = (span.toMs ?? span.fromMs) - WINDOW_MS;
    const kept = this.spans(channel).filter(({ toMs }) => toMs === null || toMs > oldest);
    this.#spans.set(channel, [...kept, span].slice(-SPANS_MAX));
  }
}

const TAKES = {
  "speech.started": (activity, event) => activity._begin(event),
  "speech.ended": (activity, event) => activity._end(event),
  // Its text alone tells that a channel spoke: a stored session has no reports of when speech began.
  "segment.final": (activity, event) => activity._end(event),
  "channel.state": (activity, event) => event.state !== "talking" && activity._close(event, Date.parse(event.wall)),
  "channel.closed": (activity, event) => activity._close(event, Date.parse(event.wall)),
  coverage: (activity, event) => LOSSES.includes(event.state) && event.reason !== "not_fed" && activity._lose(event),
};
