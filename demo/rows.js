/* The rows of the live text: one for the finals of an utterance, one for a gap.
 *
 * A row has `node`, its element, and `lines`, its entries of the transcript in the order in which the row shows them.
 */

import { isLate } from "./events.js";
import { has, t } from "./i18n.js";
import { marksOf, redactedText, struckIfNotSaid } from "./line-marks.js";
import { namesOfTalkers } from "./talkers.js";
import { markedText } from "./line-text.js";
import { timecode } from "./timecode.js";
import { separator } from "./utterances.js";

/** The finals of one utterance as one line that grows. Each final is a span with its own id and time. */
export class LineRow {
  #text = document.createElement("p");
  #spans = new Map(); // final -> its span
  #remarks = new Map(); // final -> the remark about its revision
  #talkers = remark("talkers", ""); // in the row once a line names the radios that were heard

  /** lines: finals of one utterance, in order of time; terms: the list of a Terms. */
  constructor(lines, terms) {
    const [first] = lines;
    this.lines = lines;
    this.node = newRow("line", first.channel, startOf(first));
    // All text of a recording has this source, so a mark on each line would say nothing.
    const isMarked = isLate(first) && first.source !== "recording";
    this.node.classList.toggle("late", isMarked);
    this.node.append(this.#text);
    if (first.language) this.#text.lang = first.language;
    if (isMarked) this.node.append(remark("source", t(`text.source.${first.source}`)));
    for (const line of lines) this.fill(line, terms);
    this.#arrange();
    this.#nameTalkers();
  }

  /** Add a final behind the final `before`. */
  add(line, before, terms) {
    const at = this.lines.indexOf(before) + 1;
    this.lines.splice(at, 0, line);
    this.fill(line, terms);
    // Screen readers read what is added, so the spans before the new one stay where they are.
    if (at === this.lines.length - 1) this.#text.append(separator(before, line), this.#spans.get(line));
    else this.#arrange();
    this.#nameTalkers();
  }

  /** Remove the final `first` and all finals after it. Returns them. */
  cut(first) {
    const rest = this.lines.splice(this.lines.indexOf(first));
    for (const line of rest) this.#remarks.get(line)?.remove();
    this.#arrange();
    this.#nameTalkers();
    return rest;
  }

  /** Draw the text of a final. A revised one shows its first text below the line. */
  fill(line, terms) {
    if (!this.#spans.has(line)) this.#spans.set(line, newSpan(line));
    const text = line.isRedacted ? [redactedText()] : struckIfNotSaid(line, markedText(line, terms));
    this.#spans.get(line).replaceChildren(...text, ...marksOf(line));
    this.#remarks.get(line)?.remove();
    if (line.original === undefined) return;
    const key = line.text.trim() ? "text.revised" : "text.withdrawn";
    this.#remarks.set(line, remark("revised", t(key, { original: line.original })));
    this.node.append(this.#remarks.get(line));
  }

  #nameTalkers() {
    const names = namesOfTalkers(this.lines);
    if (!names.length) return this.#talkers.remove();
    this.#talkers.textContent = t("text.talkers", { names: names.join(", ") });
    if (this.#talkers.parentNode !== this.node) this.#text.after(this.#talkers);
  }

  #arrange() {
    const parts = this.lines.flatMap((line, at) => {
      const span = this.#spans.get(line);
      return at ? [separator(this.lines[at - 1], line), span] : [span];
    });
    this.#text.replaceChildren(...parts);
  }
}

const SAID = "too_slow"; // the sentence about dropped audio says it already

/** Audio without text. */
export class GapRow {
  constructor(gap) {
    this.lines = [gap];
    this.node = newRow("gap", gap.channel, timecode(gap.from_ms));
    // A channel without a connection is no failure, so it has a look of its own.
    const kind = gap.reason === "not_fed" ? "unfed" : gap.state;
    this.node.dataset.state = kind;
    const seconds = ((gap.to_ms - gap.from_ms) / 1000).toFixed(1);
    const text = document.createElement("p");
    const range = document.createElement("span");
    range.className = "range";
    range.textContent = ` (${timecode(gap.from_ms)}–${timecode(gap.to_ms)})`;
    text.append(t(`text.gap.${kind}`, { seconds }), range);
    if (gap.reason && kind === gap.state && gap.reason !== SAID) text.append(` · ${reasonWords(gap.reason)}`);
    this.node.append(text);
  }
}

/** Why audio has no text. An error code of the engine has no words of its own. */
function reasonWords(reason) {
  const key = `text.gap.reason.${reason}`;
  return has(key) ? t(key) : reason;
}

const startOf = (line) => line.start ?? timecode(line.start_ms);

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

function newSpan(line) {
  const span = document.createElement("span");
  span.className = "segment";
  span.dataset.segment = line.segment;
  span.id = line.segment;
  span.title = startOf(line);
  if (line.language) span.lang = line.language;
  return span;
}

/** A short sentence about a line, below its text. */
function remark(kind, text) {
  const node = document.createElement("small");
  node.className = `remark ${kind}`;
  node.textContent = text;
  return node;
}
