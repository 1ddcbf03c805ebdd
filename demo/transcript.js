/* The model of what was said: events in, lines and the words still being heard out.
 *
 * Pure: no page, no socket, no clock. `feed(event)` takes one event of the wire and returns what changed:
 *   {type: "line", line}            a final, in the order it came
 *   {type: "interim", channel}      the words still being heard on a channel changed (see `interim(channel)`)
 *   {type: "gap", gap} / {type: "ungap", gap}   audio that has no text, and why; a gap that was filled later
 *   {type: "state", channel, state} {type: "session", session, isFirst}
 * Invariant: a stored event (one with `seq`) changes the model once, however often it is fed; unknown types change nothing.
 */

const LINES_MAX = 5000; // a night of one channel; the server keeps the full record
const GAP_MIN_MS = 200; // shorter losses are repaired by the decoder and cannot be heard
/** A final with one of these was not read live: it goes where it was said, and its age is no delay. */
export const LATER_SOURCES = new Set(["backfill", "recovery"]);
const GAP_STATES = new Set(["lost", "shed", "failed"]);

export class Transcript {
  session = null;
  lastSeq = 0;
  lines = [];
  gaps = [];
  channels = new Map(); // name -> {name, label, state, isOpen}
  #interims = new Map(); // channel -> the newest interim of its running utterance
  #committedMs = new Map(); // channel -> end of its last final
  #segments = new Set();

  feed(event) {
    if (event === null || typeof event !== "object" || typeof event.type !== "string") return [];
    const changes = this.#enter(event);
    if (Number.isInteger(event.seq)) {
      if (event.seq <= this.lastSeq) return changes;
      this.lastSeq = event.seq;
    }
    const handler = HANDLERS.get(event.type);
    return handler ? changes.concat(handler.call(this, event)) : changes;
  }

  /** {utterance, text, stableChars, language} or null. */
  interim(channel) {
    return this.#interims.get(channel) ?? null;
  }

  /** No words will come for this utterance any more. */
  forget(channel, utterance) {
    return this.#interims.get(channel)?.utterance === utterance ? this._setInterim(channel, null) : [];
  }

  /** Forget the lines that are shown; sequence numbers stay, so nothing old comes back. */
  clear() {
    this.lines = [];
    this.gaps = [];
    this.#interims.clear();
  }

  #enter(event) {
    if (!event.session || event.session === this.session) return [];
    this.session = event.session;
    this.lastSeq = 0;
    this.#interims.clear();
    this.#committedMs.clear();
    this.#segments.clear();
    this.channels.clear();
    return [{ type: "session", session: event.session, isFirst: this.lines.length === 0 }];
  }

  _channel(name) {
    if (!this.channels.has(name)) this.channels.set(name, { name, label: "", state: "idle", isOpen: true });
    return this.channels.get(name);
  }

  _setInterim(channel, value) {
    if (value === null && !this.#interims.has(channel)) return [];
    if (value === null) this.#interims.delete(channel);
    else this.#interims.set(channel, value);
    return [{ type: "interim", channel }];
  }

  _onInterim(event) {
    this._channel(event.channel);
    const known = this.#interims.get(event.channel);
    const isSame = known?.utterance === event.utterance;
    const isOlder = isSame ? (event.revision ?? 0) < known.revision : known?.startMs > event.start_ms;
    const isCommitted = event.end_ms <= (this.#committedMs.get(event.channel) ?? -1);
    if (isOlder || isCommitted) return [];
    return this._setInterim(event.channel, {
      utterance: event.utterance,
      revision: event.revision ?? 0,
      text: event.text ?? "",
      stableChars: Math.min(event.stable_chars ?? 0, (event.text ?? "").length),
      language: event.language ?? "",
      startMs: event.start_ms,
    });
  }

  _onFinal(event) {
    this._channel(event.channel);
    if (this.#segments.has(event.segment)) return [];
    this.#segments.add(event.segment);
    const committed = Math.max(this.#committedMs.get(event.channel) ?? 0, event.end_ms);
    this.#committedMs.set(event.channel, committed);
    const changes = this.#trim(event);
    if (!event.text?.trim()) return changes;
    this.#insert(event);
    if (this.lines.length > LINES_MAX) this.#segments.delete(this.lines.shift().segment);
    return [{ type: "line", line: event }, ...changes];
  }

  /** In the order they came, but words that were made up for later go where they were said. */
  #insert(line) {
    let at = this.lines.length;
    if (LATER_SOURCES.has(line.source)) {
      const isAfter = (other) => other.session === line.session && other.start_ms > line.start_ms;
      while (at > 0 && isAfter(this.lines[at - 1])) at -= 1;
    }
    this.lines.splice(at, 0, line);
  }

  /** Take the words of a final off the front of its utterance's interim; drop the interim where they differ. */
  #trim(final) {
    const known = this.#interims.get(final.channel);
    if (!known || known.utterance !== final.utterance) return [];
    const rest = withoutPrefix(known.text, final.raw ?? final.text) ?? withoutPrefix(known.text, final.text) ?? "";
    if (!rest) return this._setInterim(final.channel, null);
    return this._setInterim(final.channel, { ...known, text: rest, stableChars: 0 });
  }

  _onState(event) {
    const channel = this._channel(event.channel);
    channel.state = event.state;
    // Words still being heard stay on screen: "idle" comes at the endpoint, before the final that replaces them.
    return [{ type: "state", channel: event.channel, state: event.state }];
  }

  _onOpened(event) {
    const channel = this._channel(event.channel);
    channel.isOpen = event.type === "channel.opened";
    channel.label = event.label ?? channel.label;
    const changes = [{ type: "state", channel: event.channel, state: channel.isOpen ? "idle" : "disconnected" }];
    channel.state = changes[0].state;
    return channel.isOpen ? changes : changes.concat(this._setInterim(event.channel, null));
  }

  _onCoverage(event) {
    const changes = this.#uncover(event);
    if (!GAP_STATES.has(event.state) || event.to_ms - event.from_ms < GAP_MIN_MS) return changes;
    const last = this.gaps.findLast((gap) => gap.channel === event.channel);
    const touches = last && last.state === event.state && event.from_ms - last.to_ms <= 1;
    if (touches) {
      last.to_ms = Math.max(last.to_ms, event.to_ms);
      return [...changes, { type: "gap", gap: last }];
    }
    const { channel, state, reason = "" } = event;
    const gap = { channel, state, reason, from_ms: event.from_ms, to_ms: event.to_ms };
    this.gaps.push(gap);
    if (this.gaps.length > LINES_MAX) this.gaps.shift();
    return [...changes, { type: "gap", gap }];
  }

  /** A later event replaces an earlier one for the same milliseconds; what sticks out of it stays a gap. */
  #uncover(event) {
    const isHit = (gap) => gap.channel === event.channel && gap.from_ms < event.to_ms && gap.to_ms > event.from_ms;
    const hit = this.gaps.filter(isHit);
    if (hit.length === 0) return [];
    const rests = hit
      .flatMap((gap) => [
        { ...gap, to_ms: Math.min(gap.to_ms, event.from_ms) },
        { ...gap, from_ms: Math.max(gap.from_ms, event.to_ms) },
      ])
      .filter((gap) => gap.to_ms - gap.from_ms >= GAP_MIN_MS);
    this.gaps = this.gaps.filter((gap) => !isHit(gap)).concat(rests);
    const changes = hit.map((gap) => ({ type: "ungap", gap }));
    return changes.concat(rests.map((gap) => ({ type: "gap", gap })));
  }

  _onWindowFailed(event) {
    const from_ms = event.from_ms ?? event.start_ms;
    const to_ms = event.to_ms ?? event.end_ms;
    return this._onCoverage({ ...event, from_ms, to_ms, state: "failed" });
  }
}

const HANDLERS = new Map(
  Object.entries({
    "segment.interim": Transcript.prototype._onInterim,
    "segment.final": Transcript.prototype._onFinal,
    "channel.state": Transcript.prototype._onState,
    "channel.opened": Transcript.prototype._onOpened,
    "channel.closed": Transcript.prototype._onOpened,
    coverage: Transcript.prototype._onCoverage,
    "window.failed": Transcript.prototype._onWindowFailed,
  }),
);

const bare = (word) => word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/** What follows `prefix` in `text`, compared word by word without case and punctuation; null when it does not fit. */
export function withoutPrefix(text, prefix) {
  const expected = prefix.split(/\s+/).map(bare).filter(Boolean);
  const pieces = [...text.matchAll(/\S+/g)];
  let at = 0;
  for (const piece of pieces) {
    if (at === expected.length) return text.slice(piece.index);
    const word = bare(piece[0]);
    if (!word) continue;
    if (word !== expected[at]) return null;
    at += 1;
  }
  return at === expected.length ? "" : null;
}

/** mm:ss.mmm, from one hour hh:mm:ss.mmm. */
export function timecode(ms) {
  const whole = Math.max(0, Math.round(ms ?? 0));
  const pad = (value, digits) => String(Math.floor(value)).padStart(digits, "0");
  const tail = `${pad((whole / 60_000) % 60, 2)}:${pad((whole / 1000) % 60, 2)}.${pad(whole % 1000, 3)}`;
  return whole >= 3_600_000 ? `${pad(whole / 3_600_000, 2)}:${tail}` : tail;
}
