/* Live text on screen, for every page that shows it: applies the server's events and draws lines, gaps and notes.
 *
 * Owns the scrolling box and its rows. transcript.js decides what is shown and in which order; this module draws it.
 * The box follows the newest line until the user scrolls away; then a button shows the number of new lines.
 * Emits, after drawing: "line", "interim", "state" and "session" (detail: the change, see transcript.js), and
 * "no-text" (detail: {channel, utterance, hasText}) for an utterance that gets no text within the time limit.
 */

import { isLate } from "./events.js";
import { t } from "./i18n.js";
import { markedText } from "./line-text.js";
import { PendingText } from "./pending-text.js";
import { timecode } from "./timecode.js";
import { Transcript } from "./transcript.js";

const ROWS_MAX = 1000; // more rows make a page slow; exports hold every line of the model
const NEAR_END_PX = 40;

export class LiveText extends EventTarget {
  transcript = new Transcript();
  isFollowing = true;
  pending = new PendingText((detail) => this.#giveUp(detail));
  #unseen = 0;
  #rows = new Map(); // entry of the transcript -> its row
  #entries = new WeakMap(); // row -> its entry

  /** box: the role=log element that scrolls; empty: shown without lines; more: the "n new" button; terms: a Terms;
   *  showsChannel(): whether rows show their channel. */
  constructor({ box, empty, more, terms, showsChannel }) {
    super();
    Object.assign(this, { box, empty, more, terms, showsChannel });
    terms.addEventListener("terms", () => this.#markAgain());
    box.addEventListener("scroll", () => this.#onScroll());
    more.addEventListener("click", () => this.toEnd());
  }

  /** Apply one event of the server. */
  feed(event) {
    this.pending.feed(event);
    for (const change of this.transcript.feed(event)) this.#apply(change);
  }

  #apply(change) {
    if (change.type === "line") this.#addLine(change.line);
    if (change.type === "revised") this.#revise(change.line);
    if (change.type === "gap") this.#drawGap(change.gap);
    if (change.type === "ungap") this.#remove(this.#rows.get(change.gap));
    if (change.type === "session" && !change.isFirst) this.addNote("text.session");
    this.#emit(change.type, change);
  }

  #giveUp(detail) {
    for (const change of this.transcript.dropInterim(detail.channel, detail.utterance)) this.#apply(change);
    this.#emit("no-text", detail);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #addLine(line) {
    const row = newRow("line", line.channel, line.start ?? timecode(line.start_ms));
    row.dataset.segment = line.segment;
    row.classList.toggle("late", isLate(line));
    row.append(document.createElement("p"));
    if (isLate(line)) row.append(remark("source", t(`text.source.${line.source}`)));
    this.#rows.set(line, row);
    this.#fillLine(line);
    this.#place(line, row);
    this.terms.note(line.glossary_version);
  }

  #revise(line) {
    if (!this.#rows.has(line)) return; // the row is no longer on screen
    this.#fillLine(line);
    this.#follow();
  }

  /** Draw the text of a line that has a row. A revised line shows its first text below the new one. */
  #fillLine(line) {
    const row = this.#rows.get(line);
    const text = row.querySelector("p");
    if (line.language) text.lang = line.language;
    text.replaceChildren(...markedText(line, this.terms.list));
    if (line.original === undefined) return;
    row.querySelector(".revised")?.remove();
    const key = line.text.trim() ? "text.revised" : "text.withdrawn";
    row.append(remark("revised", t(key, { original: line.original })));
  }

  /** The glossary arrived after the lines that used it: mark the terms in those lines. */
  #markAgain() {
    for (const [entry] of this.#rows) {
      if (entry.kind === "line" && entry.glossary_version === this.terms.version) this.#fillLine(entry);
    }
  }

  #drawGap(gap) {
    this.#remove(this.#rows.get(gap)); // a gap that became longer
    const row = newRow("gap", gap.channel, timecode(gap.from_ms));
    // A channel without a connection is no failure, so it has a look of its own.
    const kind = gap.reason === "not_fed" ? "unfed" : gap.state;
    row.dataset.state = kind;
    const seconds = ((gap.to_ms - gap.from_ms) / 1000).toFixed(1);
    const text = document.createElement("p");
    text.textContent = t(`text.gap.${kind}`, { seconds, from: timecode(gap.from_ms), to: timecode(gap.to_ms) });
    if (gap.reason && kind === gap.state) text.textContent += ` · ${gap.reason}`;
    row.append(text);
    this.#place(gap, row);
  }

  /** Add a sentence of the page as the last row. key: of the strings. */
  addNote(key) {
    const row = document.createElement("div");
    row.className = "note";
    row.textContent = t(key);
    this.#insert(row, null);
  }

  clear() {
    this.transcript.clear();
    this.box.replaceChildren();
    this.#rows.clear();
    this.#resetUnseen();
    this.empty.hidden = false;
  }

  /** Show only the rows of some channels; an empty list means all. */
  filter(channels) {
    for (const row of this.box.querySelectorAll("[data-channel]"))
      row.hidden = channels.length > 0 && !channels.includes(row.dataset.channel);
  }

  toEnd() {
    this.isFollowing = true;
    this.#follow();
    this.#resetUnseen();
  }

  #follow() {
    if (this.isFollowing) this.box.scrollTop = this.box.scrollHeight;
  }

  /** Put the row of an entry before the row of the next entry that is on screen. */
  #place(entry, row) {
    this.#rows.set(entry, row);
    this.#entries.set(row, entry);
    const { entries } = this.transcript;
    let next = null;
    for (let at = entries.lastIndexOf(entry) + 1; at < entries.length && !next; at += 1) {
      next = this.#rows.get(entries[at]) ?? null;
    }
    this.box.classList.toggle("many", this.showsChannel());
    this.#insert(row, next);
  }

  #insert(row, next) {
    this.empty.hidden = true;
    this.box.insertBefore(row, next);
    while (this.box.childElementCount > ROWS_MAX) this.#remove(this.box.firstElementChild);
    if (!this.isFollowing) this.#unseen += 1;
    this.#follow();
    this.#showMore();
  }

  #remove(row) {
    if (!row) return;
    row.remove();
    this.#rows.delete(this.#entries.get(row));
  }

  #onScroll() {
    this.isFollowing = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END_PX;
    if (this.isFollowing) this.#resetUnseen();
  }

  #resetUnseen() {
    this.#unseen = 0;
    this.#showMore();
  }

  #showMore() {
    this.more.hidden = this.#unseen === 0;
    this.more.textContent = t("text.new", { n: this.#unseen });
  }
}

function newRow(kind, channel, start) {
  const row = document.createElement("div");
  row.className = kind;
  row.dataset.channel = channel;
  const time = document.createElement("time");
  time.textContent = start;
  const name = document.createElement("span");
  name.className = "channel";
  name.textContent = channel;
  row.append(time, name);
  return row;
}

/** A short sentence about a line, below its text. */
function remark(kind, text) {
  const node = document.createElement("small");
  node.className = `remark ${kind}`;
  node.textContent = text;
  return node;
}

/** Draw the interim of a channel into its row: first the stable part, then the part that may still change. */
export function drawInterim(row, interim, idleText = "") {
  const text = interim?.text ?? "";
  row.classList.toggle("hearing", Boolean(text));
  row.querySelector(".steady").textContent = text.slice(0, interim?.stableChars ?? 0);
  row.querySelector(".loose").textContent = text ? `${text.slice(interim.stableChars)} …` : idleText;
  if (interim?.language) row.lang = interim.language;
  else row.removeAttribute("lang");
}
