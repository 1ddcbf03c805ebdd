/* The model of the live text: takes the server's events, holds lines, gaps and interims, and reports what changed.
 *
 * Pure: no page, no socket, no clock. `feed(event)` takes one event and returns a list of changes:
 *   {type: "line", line}       a new final with text
 *   {type: "revised", line}    a line got another text; `line.original` is its first text
 *   {type: "marked", line}     a mark or a note of a line changed: `line.marks`, `line.notes`
 *   {type: "redacted", line}   the text of a line was removed: `line.isRedacted`
 *   {type: "gap", gap}         audio without text is new, or became longer
 *   {type: "ungap", gap}       the gap is gone, because a later event gave another state for its audio
 *   {type: "interim", channel}             the interim of a channel changed: see `interim(channel)`
 *   {type: "state", channel, state}        the state of a channel changed
 *   {type: "session", session, isFirst}    events of another session begin
 * Lines and gaps are in `entries`, in the order in which the pages show them.
 * Invariant: a stored event (an event with `seq`) changes the model once, however often it is fed.
 */

import { isLate, withMark } from "./events.js";

const ENTRIES_MAX = 5000; // one night of one channel; the server keeps the full record
export const REDACTED = "[redacted]"; // in place of the text of a redacted line, everywhere
const GAP_MIN_MS = 200; // the decoder conceals shorter losses so that they cannot be heard
const GAP_STATES = new Set(["lost", "shed", "failed", "redacted"]);

export class Transcript {
  session = null;
  lastSeq = 0;
  entries = []; // {kind: "line", ...final} and {kind: "gap", session, channel, state, reason, from_ms, to_ms}
  channels = new Map(); // name -> {state}
  #interims = new Map(); // channel -> the newest interim of its current utterance
  #committedMs = new Map(); // channel -> end of its last final
  #segments = new Set();

  get lines() {
    return this.entries.filter((entry) => entry.kind === "line");
  }

  get gaps() {
    return this.entries.filter((entry) => entry.kind === "gap");
  }

  feed(event) {
    if (event === null || typeof event !== "object" || typeof event.type !== "string") return [];
    const changes = this.#changeSession(event);
    if (Number.isInteger(event.seq)) {
      if (event.seq <= this.lastSeq) return changes;
      this.lastSeq = event.seq;
    }
    const handler = HANDLERS.get(event.type); // an unknown type, of a newer server, changes nothing
    return handler ? changes.concat(handler.call(this, event)) : changes;
  }

  /** The interim of a channel: {utterance, revision, text, stableChars, language, startMs}, or null. */
  interim(channel) {
    return this.#interims.get(channel) ?? null;
  }

  /** Remove the interim of an utterance that gets no final. Returns the changes. */
  dropInterim(channel, utterance) {
    return this.#interims.get(channel)?.utterance === utterance ? this._setInterim(channel, null) : [];
  }

  /** Remove all lines and gaps. `lastSeq` stays, so a reconnect does not bring them back. */
  clear() {
    this.entries = [];
    this.#interims.clear();
  }

  #changeSession(event) {
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
    if (!this.channels.has(name)) this.channels.set(name, { state: "idle" });
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

  /** A final without text makes no line; it only removes the interim of its utterance. */
  _onFinal(event) {
    this._channel(event.channel);
    if (this.#segments.has(event.segment)) return [];
    const committed = Math.max(this.#committedMs.get(event.channel) ?? 0, event.end_ms);
    this.#committedMs.set(event.channel, committed);
    const changes = this.#shortenInterim(event);
    if (!event.text?.trim()) return changes;
    this.#segments.add(event.segment); // leaves the set with its entry, so only of lines
    const line = { ...event, kind: "line" };
    this.#insert(line, isLate(line));
    return [{ type: "line", line }, ...changes];
  }

  /** Another text for a line; the highest revision counts. The line keeps its place and its first text. */
  _onRevised(event) {
    const line = this.#lineOf(event.segment);
    if (!line || line.isRedacted || event.revision <= line.revision) return [];
    line.original ??= line.text;
    // Words and edits belong to the text they came with, so those of the old text would mark wrong places.
    const { text, revision, words = [], edits = [], glossary_version = line.glossary_version } = event;
    Object.assign(line, { text, revision, words, edits, glossary_version, revisedBy: event.by });
    return [{ type: "revised", line }];
  }

  #lineOf(segment) {
    return this.entries.findLast((entry) => entry.kind === "line" && entry.segment === segment);
  }

  _onMarked(event) {
    const line = this.#lineOf(event.segment);
    if (!line) return [];
    line.marks = withMark(line.marks, event);
    return [{ type: "marked", line }];
  }

  _onNote(event) {
    const line = this.#lineOf(event.segment);
    if (!line) return [];
    line.notes = [...(line.notes ?? []), { by: event.by, note: event.note, wall: event.wall }];
    return [{ type: "marked", line }];
  }

  /** The words of these lines are gone, also from here. */
  _onRedacted(event) {
    const lines = (event.segments ?? []).map((segment) => this.#lineOf(segment)).filter(Boolean);
    for (const line of lines) {
      Object.assign(line, { text: REDACTED, raw: REDACTED, words: [], edits: [], notes: [], isRedacted: true });
      delete line.original;
    }
    return lines.map((line) => ({ type: "redacted", line }));
  }

  /** isByTime: place the entry by its start among all channels. Otherwise it comes last, because live lines of several
   *  channels stay in order of arrival, but never behind a later entry of its own channel. */
  #insert(entry, isByTime) {
    const isAfter = (other) => other.session === entry.session && startMs(other) > startMs(entry);
    let at = this.entries.length;
    if (isByTime) while (at > 0 && isAfter(this.entries[at - 1])) at -= 1;
    else at = this.#placeInChannel(entry, isAfter);
    this.entries.splice(at, 0, entry);
    if (this.entries.length > ENTRIES_MAX) this.#segments.delete(this.entries.shift().segment);
  }

  /** The place before the first entry of its channel that is after it, or the end. */
  #placeInChannel(entry, isAfter) {
    let place = this.entries.length;
    for (let at = place - 1; at >= 0; at -= 1) {
      if (this.entries[at].channel !== entry.channel) continue;
      if (!isAfter(this.entries[at])) break;
      place = at;
    }
    return place;
  }

  /** Remove the words of a final from the front of its utterance's interim; drop the interim if the words differ. */
  #shortenInterim(final) {
    const known = this.#interims.get(final.channel);
    if (!known || known.utterance !== final.utterance) return [];
    const { text = "", raw = text } = final;
    const rest = text.trim() && (withoutPrefix(known.text, raw) ?? withoutPrefix(known.text, text));
    if (!rest) return this._setInterim(final.channel, null);
    return this._setInterim(final.channel, { ...known, text: rest, stableChars: 0 });
  }

  _onState(event) {
    this._channel(event.channel).state = event.state;
    // The interim stays: "idle" comes at the end of the utterance, before the final that replaces the interim.
    return [{ type: "state", channel: event.channel, state: event.state }];
  }

  _onOpenedOrClosed(event) {
    const isOpen = event.type === "channel.opened";
    const state = isOpen ? "idle" : "disconnected";
    this._channel(event.channel).state = state;
    const changes = [{ type: "state", channel: event.channel, state }];
    return isOpen ? changes : changes.concat(this._setInterim(event.channel, null));
  }

  _onCoverage(event) {
    const changes = this.#removeGaps(event);
    if (!GAP_STATES.has(event.state) || event.to_ms - event.from_ms < GAP_MIN_MS) return changes;
    const { channel, state, reason = "", from_ms, to_ms } = event;
    const isSame = (gap) => gap.channel === channel && gap.state === state;
    const longer = this.gaps.find((gap) => isSame(gap) && Math.abs(from_ms - gap.to_ms) <= 1);
    if (longer) {
      longer.to_ms = to_ms;
      return [...changes, { type: "gap", gap: longer }];
    }
    const gap = { kind: "gap", session: this.session, channel, state, reason, from_ms, to_ms };
    this.#insert(gap, true);
    return [...changes, { type: "gap", gap }];
  }

  /** The new event replaces older states of the same audio. Parts of a gap outside of it stay gaps. */
  #removeGaps({ channel, from_ms, to_ms }) {
    const changes = [];
    for (const gap of this.gaps) {
      if (gap.channel !== channel || gap.from_ms >= to_ms || gap.to_ms <= from_ms) continue;
      const before = { ...gap, to_ms: Math.min(gap.to_ms, from_ms) };
      const after = { ...gap, from_ms: Math.max(gap.from_ms, to_ms) };
      const rests = [before, after].filter((rest) => rest.to_ms - rest.from_ms >= GAP_MIN_MS);
      this.entries.splice(this.entries.indexOf(gap), 1);
      for (const rest of rests) this.#insert(rest, true);
      changes.push({ type: "ungap", gap }, ...rests.map((rest) => ({ type: "gap", gap: rest })));
    }
    return changes;
  }

  _onWindowFailed(event) {
    const from_ms = event.from_ms ?? event.start_ms;
    const to_ms = event.to_ms ?? event.end_ms;
    return this._onCoverage({ ...event, from_ms, to_ms, state: "failed" });
  }

  _onNothing() {
    return [];
  }
}

const bare = (word) => word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/** The part of `text` after `prefix`. Compares words without case and punctuation. Null if `text` begins differently. */
function withoutPrefix(text, prefix) {
  const expected = prefix.split(/\s+/).map(bare).filter(Boolean);
  const words = [...text.matchAll(/\S+/g)];
  let matched = 0;
  for (const match of words) {
    if (matched === expected.length) return text.slice(match.index);
    const word = bare(match[0]);
    if (!word) continue;
    if (word !== expected[matched]) return null;
    matched += 1;
  }
  return matched === expected.length ? "" : null;
}

/** Where a line or a gap begins, in milliseconds of its session. */
export const startMs = (entry) => (entry.kind === "gap" ? entry.from_ms : entry.start_ms);

/** One handler for each of EVENT_TYPES. */
export const HANDLERS = new Map(
  Object.entries({
    "session.started": Transcript.prototype._onNothing, // every event names its session: see #changeSession
    "session.ended": Transcript.prototype._onNothing, // watch.js stops or follows the next session
    "channel.opened": Transcript.prototype._onOpenedOrClosed,
    "channel.closed": Transcript.prototype._onOpenedOrClosed,
    "channel.state": Transcript.prototype._onState,
    "speech.started": Transcript.prototype._onNothing, // text-panel.js shows that speech was detected
    "speech.ended": Transcript.prototype._onNothing, // pending-text.js waits for the text
    "segment.interim": Transcript.prototype._onInterim,
    "segment.final": Transcript.prototype._onFinal,
    "segment.revised": Transcript.prototype._onRevised,
    "segment.marked": Transcript.prototype._onMarked,
    "note.added": Transcript.prototype._onNote,
    "range.redacted": Transcript.prototype._onRedacted,
    "window.failed": Transcript.prototype._onWindowFailed,
    coverage: Transcript.prototype._onCoverage,
    "alert.raised": Transcript.prototype._onNothing, // desk/alerts.js shows alerts
    "alert.confirmed": Transcript.prototype._onNothing,
    "alert.withdrawn": Transcript.prototype._onNothing,
    "alert.escalated": Transcript.prototype._onNothing,
    "alert.acknowledged": Transcript.prototype._onNothing,
    "summary.updated": Transcript.prototype._onNothing, // no part of the text
    error: Transcript.prototype._onNothing, // about the server, not about the text
  }),
);
