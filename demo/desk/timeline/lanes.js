/* What the timeline draws: the columns and lines that the server gave for a range, and the events since then.
 *
 * Owns the requests. One answer covers more than the visible range, so that small moves need no request; the newest time
 * comes from the events, so a range that follows needs a request only now and then. Bounded: one answer of at most
 * COLUMNS_MAX columns for each channel, and RUNS_MAX events for each channel.
 * Emits "loaded", and "failed" (detail: the error).
 */

import { address, request } from "../../api.js";
import { withMark } from "../../events.js";

const COLUMNS_MAX = 2000; // of one answer of the server
const RUNS_MAX = 400; // events of a channel that are newer than the answer
const WAIT_MS = 120; // a range that the user still moves is not requested
const STALE_MS = 15_000; // the newest time is requested again after so long
const RETRY_MS = 5000;
const SAME_MS = 1000; // an event of the moment in which the answer was made may be missing there
const FINER = 1.7; // an answer with columns that are so much too wide is replaced

export class Lanes extends EventTarget {
  data = null; // the newest answer of the server, with `states`, `speech` and `lines` by channel
  #runs = new Map(); // channel -> [{from_ms, to_ms, letter, wallMs}], which happened after the answer was made
  #speech = new Map(); // channel -> {utterance, from_ms, to_ms}: speech that has no state yet; to_ms null: it goes on
  #wanted = null;
  #timer = 0;
  #isLoading = false;
  #receivedMs = 0; // performance.now() of the answer

  /** session(): id of the session on screen, or null. */
  constructor(session) {
    super();
    this.session = session;
  }

  /** Whether there is a picture to draw. The first answer has one column and only tells the time. */
  get isLoaded() {
    return this.data !== null && !this.data.isProbe;
  }

  /** The session's time now; null: not known yet. */
  get nowMs() {
    if (!this.data) return null;
    return this.data.now_ms + (this.data.is_ended ? 0 : performance.now() - this.#receivedMs);
  }

  get t0() {
    return this.data ? Date.parse(this.data.t0_wall) : 0;
  }

  clear() {
    this.data = null;
    this.#runs.clear();
    this.#speech.clear();
    this.#wanted = null;
  }

  /** Have the data of this range soon. widthPx: columns that the picture can show. */
  want(range, widthPx) {
    if (!this.session() || !widthPx || this.#isServed(range, widthPx)) return;
    this.#wanted = { fromMs: range.fromMs, toMs: range.toMs, lengthMs: range.lengthMs, widthPx };
    if (!this.#timer && !this.#isLoading) this.#timer = setTimeout(() => this.#load(), this.data ? WAIT_MS : 0);
  }

  #isServed(range, widthPx) {
    if (!this.isLoaded || this.data.session !== this.session()) return false;
    const { from_ms, to_ms, step_ms } = this.data;
    const now = this.nowMs;
    const isInside = Math.max(0, range.fromMs) >= from_ms && Math.min(range.toMs, this.data.now_ms) <= to_ms;
    const isFine = step_ms <= Math.max(1, (range.lengthMs / widthPx) * FINER) && step_ms * FINER >= range.lengthMs / widthPx;
    const isFresh = range.toMs <= this.data.now_ms || now - this.data.now_ms < Math.max(STALE_MS, 20 * step_ms);
    return isInside && isFine && isFresh;
  }

  async #load() {
    this.#timer = 0;
    this.#isLoading = true;
    const session = this.session();
    try {
      const data = await request("GET", this.#path(session));
      if (session === this.session()) this.#take(data);
      this.dispatchEvent(new Event("loaded"));
    } catch (error) {
      this.dispatchEvent(new CustomEvent("failed", { detail: error }));
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    this.#isLoading = false;
  }

  #path(session) {
    const { fromMs, toMs, lengthMs, widthPx } = this.#wanted;
    const path = `api/sessions/${encodeURIComponent(session)}/timeline`;
    if (this.data?.session !== session) return address(path, { columns: 1 }); // only to learn the time
    const from = Math.max(0, Math.floor(fromMs - lengthMs / 3));
    const to = Math.max(from + 1, Math.ceil(Math.min(toMs + lengthMs / 3, this.nowMs)));
    const columns = Math.max(1, Math.min(COLUMNS_MAX, Math.ceil(((to - from) / lengthMs) * widthPx)));
    return address(path, { from_ms: from, to_ms: to, columns });
  }

  #take(data) {
    this.data = { ...data, isProbe: this.data?.session !== data.session, byChannel: new Map(data.channels.map((one) => [one.channel, one])), linesOf: byChannel(data.lines ?? []) };
    this.#receivedMs = performance.now();
    for (const [channel, runs] of this.#runs) {
      this.#runs.set(channel, runs.filter((run) => this.#isNew(run)));
    }
  }

  /** The page gets events of the past, too; the answer has them already. */
  #isNew({ wallMs }) {
    return wallMs > this.t0 + (this.data?.now_ms ?? 0) - SAME_MS;
  }

  /** Take an event of the session. Returns true if it changes the picture. */
  feed(event) {
    if (event.type === "coverage") {
      const run = { from_ms: event.from_ms, to_ms: event.to_ms, letter: letterOf(event), wallMs: Date.parse(event.wall) };
      if (!this.#isNew(run)) return false;
      const runs = this.#runs.get(event.channel) ?? [];
      runs.push(run);
      if (runs.length > RUNS_MAX) runs.shift();
      this.#runs.set(event.channel, runs);
    } else if (event.type === "speech.started") {
      this.#speech.set(event.channel, { utterance: event.utterance, from_ms: event.start_ms, to_ms: null });
    } else if (event.type === "speech.ended") {
      this.#speech.set(event.channel, { utterance: event.utterance, from_ms: event.start_ms, to_ms: event.end_ms });
    } else if (event.type === "segment.final" || event.type === "channel.closed") {
      this.#speech.delete(event.channel);
    } else if (event.type === "segment.marked") {
      const line = this.data?.linesOf?.get(event.channel)?.find((one) => one.segment === event.segment);
      if (line) line.marks = withMark(line.marks, event);
    } else {
      return event.type === "segment.revised" || event.type === "range.redacted";
    }
    return true;
  }

  /** The events of a channel since the answer: [{from_ms, to_ms, letter}]. */
  newerRuns(channel) {
    return this.#runs.get(channel) ?? [];
  }

  /** Speech of a channel whose text has not come yet: {from_ms, to_ms or null}, or undefined. */
  speechOf(channel) {
    return this.#speech.get(channel);
  }

  /** The letter of a channel's state at a moment. */
  stateAt(channel, ms) {
    const run = this.newerRuns(channel).findLast((one) => one.from_ms <= ms && ms < one.to_ms);
    if (run) return run.letter;
    const { data } = this;
    const column = data ? Math.floor((ms - data.from_ms) / data.step_ms) : -1;
    return data?.byChannel.get(channel)?.states[column] ?? ".";
  }
}

function byChannel(lines) {
  const found = new Map();
  for (const line of lines) {
    if (!found.has(line.channel)) found.set(line.channel, []);
    found.get(line.channel).push(line);
  }
  return found;
}

const LETTERS = { transcribed: "t", silence: "s", shed: "h", lost: "l", failed: "f", closed: "c", redacted: "r" };

/** The letter of a coverage event, as GET /api/sessions/{session}/timeline has it. */
const letterOf = ({ state, reason }) => (reason === "not_fed" ? "d" : LETTERS[state] ?? ".");
