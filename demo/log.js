/* The transcript on screen: finals settle as lines, the words still being heard stand in a row of fixed height below.
 *
 * Owns the two elements and the reading place: it scrolls with the newest line until the reader scrolls away, and says
 * how many lines came since. Draws what transcript.js holds; decides nothing about it.
 */

import { t } from "./i18n.js";
import { placesOf } from "./terms.js";
import { LATER_SOURCES, timecode } from "./transcript.js";

const ROWS_MAX = 1000; // more makes a page slow; exports still hold every line of the model
const SURE = 0.5; // words below this probability are shown lighter and slanted
const NEAR_END_PX = 40;

export class Log {
  isFollowing = true;
  #unseen = 0;
  #gapRows = new Map();
  #lines = new WeakMap(); // of a row; gone with it

  /** box: the role=log element that scrolls; empty: shown while there is no line; more: the "n new" button. */
  constructor({ box, empty, more, showChannel = () => false, terms }) {
    Object.assign(this, { box, empty, more, showChannel, terms });
    terms.addEventListener("terms", () => this.#markAgain());
    box.addEventListener("scroll", () => this.#onScroll());
    more.addEventListener("click", () => this.toEnd());
  }

  addLine(line) {
    const row = this.#row("line", line.channel, line.start ?? timecode(line.start_ms), line.start_ms);
    row.dataset.segment = line.segment;
    const isLate = LATER_SOURCES.has(line.source);
    row.classList.toggle("late", isLate);
    const text = document.createElement("p");
    if (line.language) text.lang = line.language;
    text.append(...marked(line, this.terms.list));
    row.append(text);
    if (isLate) row.append(sourceOf(line));
    this.#lines.set(row, line);
    this.#append(row, isLate);
  }

  /** A line names its glossary before the page has it: tint those that were read with the list that came. */
  #markAgain() {
    for (const row of this.box.children) {
      const line = this.#lines.get(row);
      if (line?.glossary_version !== this.terms.version) continue;
      row.querySelector("p").replaceChildren(...marked(line, this.terms.list));
    }
  }

  addGap(gap) {
    this.removeGap(gap);
    const row = this.#row("gap", gap.channel, timecode(gap.from_ms), gap.from_ms);
    row.dataset.state = kindOf(gap);
    const text = document.createElement("p");
    const seconds = ((gap.to_ms - gap.from_ms) / 1000).toFixed(1);
    const where = { seconds, from: timecode(gap.from_ms), to: timecode(gap.to_ms) };
    text.textContent = t(`text.gap.${kindOf(gap)}`, where);
    if (gap.reason && kindOf(gap) === gap.state) text.textContent += ` · ${gap.reason}`;
    row.append(text);
    this.#gapRows.set(gap, row);
    this.#append(row, true);
  }

  removeGap(gap) {
    this.#gapRows.get(gap)?.remove();
    this.#gapRows.delete(gap);
  }

  addNote(text) {
    const row = document.createElement("div");
    row.className = "note";
    row.textContent = text;
    this.#append(row);
  }

  clear() {
    this.box.replaceChildren();
    this.#gapRows.clear();
    this.#seen();
    this.empty.hidden = false;
  }

  /** Show only some channels; an empty list means all. */
  filter(channels) {
    for (const row of this.box.querySelectorAll("[data-channel]"))
      row.hidden = channels.length > 0 && !channels.includes(row.dataset.channel);
  }

  toEnd() {
    this.isFollowing = true;
    this.box.scrollTop = this.box.scrollHeight;
    this.#seen();
  }

  #row(kind, channel, start, startMs) {
    const row = document.createElement("div");
    row.className = kind;
    row.dataset.startMs = startMs;
    row.dataset.channel = channel;
    const time = document.createElement("time");
    time.textContent = start;
    row.append(time);
    const name = document.createElement("span");
    name.className = "channel";
    name.textContent = channel;
    row.append(name);
    this.box.classList.toggle("many", this.showChannel());
    return row;
  }

  /** isInPlace: where it was said, not where it came. */
  #append(row, isInPlace = false) {
    this.empty.hidden = true;
    this.box.insertBefore(row, isInPlace ? this.#after(row) : null);
    while (this.box.childElementCount > ROWS_MAX) this.box.firstElementChild.remove();
    if (this.isFollowing) this.box.scrollTop = this.box.scrollHeight;
    else this.#unseen += 1;
    this.#showMore();
  }

  /** The first of the last rows that were said later; null when there is none. */
  #after(row) {
    let after = null;
    for (let at = this.box.lastElementChild; at?.dataset.startMs; at = at.previousElementSibling) {
      if (Number(at.dataset.startMs) <= Number(row.dataset.startMs)) break;
      after = at;
    }
    return after;
  }

  #onScroll() {
    this.isFollowing = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_END_PX;
    if (this.isFollowing) this.#seen();
  }

  #seen() {
    this.#unseen = 0;
    this.#showMore();
  }

  #showMore() {
    this.more.hidden = this.#unseen === 0;
    this.more.textContent = t("text.new", { n: this.#unseen });
  }
}

/** The words that say why a line was not read live. */
function sourceOf(line) {
  const source = document.createElement("small");
  source.className = "source";
  source.textContent = t(`text.source.${line.source}`);
  return source;
}

/** A channel that nobody fed is no failure, so it looks like none. */
function kindOf(gap) {
  return gap.reason === "not_fed" ? "unfed" : gap.state;
}

/** The text of a final as nodes: corrected terms tinted with the raw words at hand, unsure words slanted. */
function marked(line, terms) {
  const listed = placesOf(terms, line.text).map((place) => ({ ...place, kind: "term" }));
  const spans = [...editSpans(line), ...listed, ...unsureSpans(line)].sort((a, b) => a.from - b.from);
  const nodes = [];
  let at = 0;
  for (const span of spans) {
    if (span.from < at) continue; // what was changed is shown first, then terms, then doubt: sorting is stable
    nodes.push(document.createTextNode(line.text.slice(at, span.from)));
    const mark = document.createElement("span");
    mark.className = span.kind;
    mark.textContent = line.text.slice(span.from, span.to);
    if (span.title) mark.title = span.title;
    nodes.push(mark);
    at = span.to;
  }
  nodes.push(document.createTextNode(line.text.slice(at)));
  return nodes;
}

function editSpans(line) {
  const spans = [];
  let at = 0;
  for (const edit of line.edits ?? []) {
    const from = edit.to ? line.text.indexOf(edit.to, at) : -1;
    if (from < 0) continue;
    at = from + edit.to.length;
    spans.push({ from, to: at, kind: "term edited", title: t("text.heardAs", { raw: edit.from }) });
  }
  return spans;
}

function unsureSpans(line) {
  const spans = [];
  let at = 0;
  for (const word of line.words ?? []) {
    const text = word.text?.trim();
    const from = text ? line.text.indexOf(text, at) : -1;
    if (from < 0) continue;
    at = from + text.length;
    if (word.p < SURE) spans.push({ from, to: at, kind: "unsure" });
  }
  return spans;
}

/** Draw the words still being heard into their row: the steady part, then the part that may still change. */
export function drawInterim(row, interim, idleText = "") {
  const steady = row.querySelector(".steady");
  const loose = row.querySelector(".loose");
  row.classList.toggle("hearing", Boolean(interim?.text));
  steady.textContent = interim?.text ? interim.text.slice(0, interim.stableChars) : "";
  loose.textContent = interim?.text ? `${interim.text.slice(interim.stableChars)} …` : idleText;
  if (interim?.language) row.lang = interim.language;
  else row.removeAttribute("lang");
}
