/* The model of the desk: one place for each channel, with its state, its newest lines, and its figures.
 *
 * Pure: no page, no socket, no clock of its own; `nowMs` is always given (milliseconds of Date.now()). It holds the
 * shared Transcript, so text is decided in one module for all pages.
 * `feed(event, nowMs)` returns the transcript's changes, and {type: "channel", channel} for every channel of which
 * something else changed. Invariant: places never move; a channel keeps its place for the life of the page.
 */

import { ORDERLY_ENDS, isNotSaid } from "../events.js";
import { Transcript, startMs } from "../transcript.js";
import { LevelHistory } from "./level-history.js";

export const PLACES = 16;
const ENTRIES_MAX = 300; // lines and gaps that a channel holds here; the server keeps the full record
const DELAYS_MAX = 50;
const LOST_SHOWN_MS = 10_000; // after a loss, the tile shows it for so long
const WORDS_WITHIN_MS = 60_000;
const LEVEL_FRESH_MS = 1000;
const LOSSES_WITHIN_MS = 600_000;
const LOSSES_MAX = 200; // reports of lost audio that a channel holds
const TEXT_WITHIN_MS = 20_000; // speech without text by then was noise, or its window failed

/** The states that a tile can show, the most urgent one first. */
export const STATES = ["lost", "behind", "no_signal", "disconnected", "talking", "text", "after", "idle", "closed", "unused"];

export class DeskChannel {
  entries = []; // lines and gaps of the transcript, in the order of their time
  state = "unused"; // the server's: idle, talking, behind, no_signal, disconnected; or closed (on purpose), unused
  label = "";
  language = "";
  stateAtMs = 0; // when the state began
  spokeAtMs = 0; // end of the newest speech
  lostAtMs = 0; // when the newest loss was reported
  lostMs = 0; // audio lost, shed or failed since the page was opened
  losses = []; // [when, milliseconds] of the newest losses
  unread = 0; // lines since the channel was last looked at
  level = null; // {rmsDb, peakDb, atMs}
  levels = new LevelHistory();
  waiting = new Map(); // utterance that ended and has no text yet -> {atMs: when it ended, endMs: on the session's timeline}
  coveredMs = 0; // until here it is known what became of the audio
  delays = []; // milliseconds from the end of speech to the text, of the newest live lines
  #words = []; // [when, count] of the newest lines

  constructor(id) {
    this.id = id;
  }

  get name() {
    return this.label && this.label !== this.id ? this.label : "";
  }

  get lines() {
    return this.entries.filter((entry) => entry.kind === "line");
  }

  get lastLine() {
    return this.entries.findLast((entry) => entry.kind === "line") ?? null;
  }

  /** The newest line that somebody said. */
  get lastSaid() {
    return this.entries.findLast((entry) => entry.kind === "line" && !isNotSaid(entry)) ?? null;
  }

  /** Confidence of the newest line, 0 to 1; null: no line has one. It is the mean probability of its words. */
  get confidence() {
    const conf = this.lastSaid?.conf;
    return typeof conf === "number" ? Math.exp(conf) : null;
  }

  wordsPerMinute(nowMs) {
    return this.#words.reduce((sum, [atMs, count]) => sum + (nowMs - atMs < WORDS_WITHIN_MS ? count : 0), 0);
  }

  /** Milliseconds of audio that were lost in the last ten minutes. */
  lostLately(nowMs) {
    return this.losses.reduce((sum, [atMs, ms]) => sum + (nowMs - atMs < LOSSES_WITHIN_MS ? ms : 0), 0);
  }

  /** For how long the speech that ended first has waited for its text, in milliseconds; 0: none waits. */
  waitedMs(nowMs) {
    return Math.max(0, ...this.#waits(nowMs));
  }

  /** Whether the text of speech that ended is still expected. */
  waitsForText(nowMs) {
    return this.#waits(nowMs).length > 0;
  }

  #waits(nowMs) {
    return [...this.waiting.values()].map(({ atMs }) => nowMs - atMs).filter((ms) => ms < TEXT_WITHIN_MS);
  }

  /** The newest level, or null if no audio arrived lately. */
  levelAt(nowMs) {
    return this.level && nowMs - this.level.atMs < LEVEL_FRESH_MS ? this.level : null;
  }

  /** The median delay of the newest lines in milliseconds, or null. */
  get delayMs() {
    const sorted = [...this.delays].sort((a, b) => a - b);
    return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
  }

  _add(entry) {
    let at = this.entries.length;
    while (at > 0 && startMs(this.entries[at - 1]) > startMs(entry)) at -= 1;
    this.entries.splice(at, 0, entry);
    if (this.entries.length > ENTRIES_MAX) this.entries.shift();
  }

  _countWords(text, atMs) {
    this.#words = this.#words.filter(([when]) => atMs - when < WORDS_WITHIN_MS);
    this.#words.push([atMs, text.trim().split(/\s+/).length]);
  }
}

export class DeskModel {
  transcript = new Transcript();
  channels = new Map(); // id -> DeskChannel, in the order of their ids

  /** places: how many channels have a place before their first event. */
  constructor(places = PLACES) {
    for (let n = 1; n <= places; n += 1) this.#make(`C${String(n).padStart(2, "0")}`);
  }

  /** Apply one event. nowMs: the time on the server's clock, as this page knows it. */
  feed(event, nowMs) {
    if (event?.type === "levels") return this.#onLevels(event, nowMs);
    const before = this.transcript.lastSeq;
    const changes = this.transcript.feed(event);
    const isRepeated = Number.isInteger(event?.seq) && event.seq <= before && event.session === this.transcript.session;
    if (isRepeated) return changes;
    if (changes.some((change) => change.type === "session")) this.#beginSession();
    const channel = event?.channel ? this.channel(event.channel) : null;
    if (channel) this.#note(channel, event, momentOf(event, nowMs));
    for (const change of changes) this.#takeChange(change, momentOf(event, nowMs));
    return channel ? [...changes, { type: "channel", channel: channel.id }] : changes;
  }

  /** The channel with this id, which is made if it has no place yet. */
  channel(id) {
    return this.channels.get(id) ?? this.#make(id);
  }

  /** The state that is shown: the most urgent of the channel's conditions. afterMs: how long a call stays visible. */
  shownState(channel, nowMs, afterMs) {
    if (channel.lostAtMs && nowMs - channel.lostAtMs < LOST_SHOWN_MS) return "lost";
    if (["behind", "no_signal", "disconnected", "talking", "closed", "unused"].includes(channel.state)) return channel.state;
    if (channel.waitsForText(nowMs)) return "text";
    return channel.spokeAtMs && nowMs - channel.spokeAtMs < afterMs ? "after" : "idle";
  }

  #make(id) {
    this.channels.set(id, new DeskChannel(id));
    this.channels = new Map([...this.channels].sort(([a], [b]) => (a < b ? -1 : 1)));
    return this.channels.get(id);
  }

  /** Another session began: its channels have nothing to do with those of the session before. */
  #beginSession() {
    for (const id of this.channels.keys()) this.channels.set(id, new DeskChannel(id));
  }

  #takeChange(change, atMs) {
    if (change.type === "line") {
      const channel = this.channel(change.line.channel);
      channel._add(change.line);
      channel._countWords(change.line.text, atMs);
      channel.unread += 1;
    }
    if (change.type === "gap") {
      const channel = this.channel(change.gap.channel);
      if (!channel.entries.includes(change.gap)) channel._add(change.gap);
    }
    if (change.type === "ungap") {
      const { entries } = this.channel(change.gap.channel);
      if (entries.includes(change.gap)) entries.splice(entries.indexOf(change.gap), 1);
    }
  }

  #note(channel, event, atMs) {
    NOTES[event.type]?.(channel, event, atMs);
  }

  #onLevels(event, nowMs) {
    if (event.session !== this.transcript.session) return [];
    for (const [id, [rmsDb, peakDb]] of Object.entries(event.levels)) {
      const channel = this.channel(id);
      channel.level = { rmsDb, peakDb, atMs: nowMs };
      channel.levels.note(peakDb, nowMs);
    }
    return [{ type: "levels" }];
  }
}

/** When an event happened. Events of the past, which come after a reload, have their own time. */
function momentOf(event, nowMs) {
  const wall = Date.parse(event?.wall ?? "");
  return Number.isFinite(wall) ? Math.min(wall, nowMs) : nowMs;
}

function setState(channel, state, atMs) {
  if (channel.state === "talking" && state !== "talking") channel.spokeAtMs = atMs;
  channel.state = state;
  channel.stateAtMs = atMs;
}

/** A sender that ended on purpose is no failure, so its channel must not look like one. */
const endOf = ({ reason }) => (ORDERLY_ENDS.includes(reason) ? "closed" : "disconnected");

/** What each event type changes in a channel, besides its text. */
const NOTES = {
  "channel.opened": (channel, event, atMs) => {
    Object.assign(channel, { label: event.label ?? "", language: event.language ?? "" });
    setState(channel, "idle", atMs);
  },
  "channel.closed": (channel, event, atMs) => {
    channel.waiting.clear();
    setState(channel, endOf(event), atMs);
  },
  "channel.state": (channel, event, atMs) => {
    setState(channel, event.state === "disconnected" ? endOf(event) : event.state, atMs);
  },
  "speech.started": (channel, event, atMs) => (channel.spokeAtMs = atMs),
  "speech.ended": (channel, event, atMs) => {
    channel.spokeAtMs = atMs;
    for (const [utterance, one] of channel.waiting) if (atMs - one.atMs > TEXT_WITHIN_MS) channel.waiting.delete(utterance);
    if (event.end_ms > channel.coveredMs) channel.waiting.set(event.utterance, { atMs, endMs: event.end_ms });
  },
  "segment.final": (channel, event) => {
    channel.waiting.delete(event.utterance);
    if (typeof event.latency_ms !== "number" || event.source) return;
    channel.delays = [...channel.delays, event.latency_ms].slice(-DELAYS_MAX);
  },
  "window.failed": (channel, event) => {
    channel.waiting.delete(event.utterance); // its `coverage` event says what is lost
  },
  coverage: (channel, event, atMs) => {
    // A click or a cough has no final: that its audio was read is the only sign that no text follows.
    channel.coveredMs = Math.max(channel.coveredMs, event.to_ms);
    for (const [utterance, { endMs }] of channel.waiting) if (endMs <= event.to_ms && endMs > event.from_ms) channel.waiting.delete(utterance);
    // Audio that was expected and did not become text. A channel without a connection is no loss.
    if (!["lost", "shed", "failed"].includes(event.state) || event.reason === "not_fed") return;
    channel.lostAtMs = atMs;
    channel.lostMs += event.to_ms - event.from_ms;
    channel.losses = [...channel.losses, [atMs, event.to_ms - event.from_ms]].slice(-LOSSES_MAX);
  },
};
