/* Live text on screen, for every page that shows it: applies the server's events and draws lines, gaps and notes.
 *
 * Owns the scrolling box and its rows. transcript.js decides what is shown and in which order; this module draws it.
 * The finals of one utterance share a row, which grows (utterances.js); each final is a span with its own id and time.
 * The box follows the newest line until the user scrolls away; then a button shows the number of new lines.
 * Emits, after drawing: "line", "interim", "state" and "session" (detail: the change, see transcript.js), and
 * "no-text" (detail: {channel, utterance, hasText}) for an utterance that gets no text within the time limit.
 */

import { t } from "./i18n.js";
import { PendingText } from "./pending-text.js";
import { GapRow, LineRow } from "./rows.js";
import { Transcript } from "./transcript.js";
import { continues } from "./utterances.js";

const ROWS_MAX = 1000; // more rows make a page slow; exports hold every line of the model
const NEAR_END_PX = 40;

export class LiveText extends EventTarget {
  isFollowing = true;
  pending = new PendingText((detail) => this.#giveUp(detail));
  #unseen = 0;
  #willFollow = false; // in the next frame
  #linked = null; // the span that the address of the page names, until the user scrolls
  #rows = new Map(); // entry of the transcript -> its LineRow or GapRow
  #rowOf = new WeakMap(); // node -> its LineRow or GapRow

  /** box: the role=log element that scrolls; empty: shown without lines; more: the "n new" button; terms: a Terms;
   *  showsChannel(): whether rows show their channel; transcript: another one than its own, which the page feeds itself
   *  and whose changes it passes to apply(); shows(entry): which entries have a row; rowsMax: how many rows there are;
   *  isScrolled: the box scrolls. One that is aligned to its end needs no scrolling, and so no layout to know its height. */
  constructor({ box, empty, more, terms, showsChannel, transcript = new Transcript(), shows = () => true, rowsMax = ROWS_MAX, isScrolled = true }) {
    super();
    Object.assign(this, { box, empty, more, terms, showsChannel, transcript, shows, rowsMax, isScrolled });
    terms.addEventListener("terms", () => this.#markAgain());
    box.addEventListener("scroll", () => this.#onScroll());
    for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"])
      box.addEventListener(kind, () => (this.#linked = null), { passive: true });
    more.addEventListener("click", () => this.toEnd());
  }

  /** Apply one event of the server. */
  feed(event) {
    this.pending.feed(event);
    for (const change of this.transcript.feed(event)) this.apply(change);
  }

  /** Draw one change of the transcript. */
  apply(change) {
    const added = change.type === "line" ? change.line : change.type === "gap" ? change.gap : null;
    if (added && !this.shows(added)) return;
    if (change.type === "line") this.#addLine(change.line);
    if (["revised", "marked", "redacted"].includes(change.type)) this.#revise(change.line);
    if (change.type === "gap") this.#drawGap(change.gap);
    if (change.type === "ungap") this.#remove(this.#rows.get(change.gap));
    if (change.type === "session" && !change.isFirst) this.addNote("text.session");
    this.#emit(change.type, change);
  }

  #giveUp(detail) {
    for (const change of this.transcript.dropInterim(detail.channel, detail.utterance)) this.apply(change);
    this.#emit("no-text", detail);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #addLine(line) {
    const before = this.#neighbour(line, -1);
    const row = this.#rows.get(before);
    if (row && continues(row.lines[0], before, line)) this.#extend(row, line, before);
    else {
      this.#place(new LineRow([line], this.terms.list));
      this.#splitAt(line);
    }
    if (line.segment && location.hash === `#${line.segment}`) this.#showLinked(line);
    this.terms.note(line.glossary_version);
  }

  /** The address of the page names a final, such as watch#g_52: show it until the user scrolls. */
  #showLinked(line) {
    location.replace(location.hash); // the style :target: the browser looked for the final before it was here
    this.#linked = document.getElementById(line.segment);
    this.isFollowing = false;
    this.#follow();
  }

  /** The entry of the same channel before (step -1) or after (step 1) this entry. */
  #neighbour(entry, step) {
    const { entries } = this.transcript;
    let at = entries.lastIndexOf(entry) + step;
    while (entries[at] && entries[at].channel !== entry.channel) at += step;
    return entries[at];
  }

  /** Add a final to the row of its utterance. */
  #extend(row, line, before) {
    row.add(line, before, this.terms.list);
    this.#rows.set(line, row);
    if (!this.isFollowing) this.#countUnseen();
    this.#follow();
  }

  /** A late final or a gap can lie between two finals of one row: the finals after it get a row of their own. */
  #splitAt(entry) {
    const after = this.#neighbour(entry, 1);
    const row = this.#rows.get(after);
    if (!row || row.lines.indexOf(after) < 1) return;
    this.#place(new LineRow(row.cut(after), this.terms.list));
  }

  #revise(line) {
    this.#rows.get(line)?.fill(line, this.terms.list); // no row: it is no longer on screen
    this.#follow();
  }

  /** The glossary arrived after the lines that used it: mark the terms in those lines. */
  #markAgain() {
    for (const [entry, row] of this.#rows) {
      const isOfVersion = entry.kind === "line" && entry.glossary_version === this.terms.version;
      if (isOfVersion) row.fill(entry, this.terms.list);
    }
  }

  #drawGap(gap) {
    this.#remove(this.#rows.get(gap)); // a gap that became longer
    this.#place(new GapRow(gap));
    this.#splitAt(gap);
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
    this.removeRows();
  }

  /** Draw the newest entries of the transcript again, after `shows` has changed. */
  reload() {
    this.removeRows();
    const shown = this.transcript.entries.filter(this.shows).slice(-this.rowsMax);
    for (const entry of shown) this.apply({ type: entry.kind, [entry.kind]: entry });
    this.#resetUnseen();
  }

  /** Remove what is on screen. The transcript stays. */
  removeRows() {
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
    this.#linked = null;
    this.isFollowing = true;
    this.#followNow();
    this.#resetUnseen();
  }

  /** Once in a frame: the height is known only after a layout of the page, which is slow for each of many lines. */
  #follow() {
    if (this.#willFollow || !this.isScrolled) return;
    this.#willFollow = true;
    requestAnimationFrame(() => {
      this.#willFollow = false;
      this.#followNow();
    });
  }

  #followNow() {
    if (this.#linked) this.#linked.scrollIntoView({ block: "nearest" });
    else if (this.isFollowing) this.box.scrollTop = this.box.scrollHeight;
  }

  /** Put a new row before the row that begins with the next entry on screen. */
  #place(row) {
    for (const entry of row.lines) this.#rows.set(entry, row);
    this.#rowOf.set(row.node, row);
    const { entries } = this.transcript;
    let next = null;
    for (let at = entries.lastIndexOf(row.lines[0]) + 1; at < entries.length && !next; at += 1) {
      const found = this.#rows.get(entries[at]);
      if (found && found !== row && found.lines[0] === entries[at]) next = found.node;
    }
    this.box.classList.toggle("many", this.showsChannel());
    this.#insert(row.node, next);
  }

  #insert(node, next) {
    this.empty.hidden = true;
    this.box.insertBefore(node, next);
    while (this.box.childElementCount > this.rowsMax) this.#removeNode(this.box.firstElementChild);
    if (!this.isFollowing) this.#countUnseen();
    this.#follow();
  }

  #removeNode(node) {
    node.remove();
    for (const entry of this.#rowOf.get(node)?.lines ?? []) this.#rows.delete(entry);
  }

  #remove(row) {
    if (row) this.#removeNode(row.node);
  }

  #countUnseen() {
    this.#unseen += 1;
    this.#showMore();
  }

  #onScroll() {
    if (this.#linked || this.#willFollow) return; // no scroll of the user, or lines came that are not followed yet
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

/** Draw the interim of a channel into its row: first the stable part, then the part that may still change. */
export function drawInterim(row, interim, idleText = "") {
  const text = interim?.text ?? "";
  row.classList.toggle("hearing", Boolean(text));
  row.querySelector(".steady").textContent = text.slice(0, interim?.stableChars ?? 0);
  const loose = text.slice(interim?.stableChars ?? 0).replace(/[\s.…]*(\.\.|…)[\s.]*$/u, ""); // Whisper's own dots
  row.querySelector(".loose").textContent = text ? `${loose} …` : idleText;
  if (interim?.language) row.lang = interim.language;
  else row.removeAttribute("lang");
}
