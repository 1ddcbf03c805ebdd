/* The text of a final as nodes: glossary terms tinted, corrected words with the words before correction, and words of
 * low probability in italics. Pure, except that it makes nodes.
 */

import { t } from "./i18n.js";
import { placesOf } from "./terms.js";

const LOW_PROBABILITY = 0.5; // words below it are shown lighter and in italics

/** line: a final; terms: the list of a Terms. Returns a list of nodes. */
export function markedText(line, terms) {
  const listed = placesOf(terms, line.text).map(({ alert, ...place }) => ({ ...place, kind: `term${alertClass(alert)}` }));
  // Sorting is stable: at the same place a correction comes before a term, and a term before a doubtful word.
  const spans = [...editSpans(line, terms), ...listed, ...unsureSpans(line)].sort((a, b) => a.from - b.from);
  const nodes = [];
  let at = 0;
  for (const span of spans) {
    if (span.from < at) continue;
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

/** A term with an alert is marked by its level. */
const alertClass = (alert) => (alert ? ` alert ${alert}` : "");

function editSpans(line, terms) {
  const spans = [];
  let at = 0;
  for (const edit of line.edits ?? []) {
    const from = edit.to ? line.text.indexOf(edit.to, at) : -1;
    if (from < 0) continue;
    at = from + edit.to.length;
    const alert = alertClass(terms.find((term) => term.text === edit.to)?.alert);
    spans.push({ from, to: at, kind: `term edited${alert}`, title: t("text.heardAs", { raw: edit.from }) });
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
    if (word.p < LOW_PROBABILITY) spans.push({ from, to: at, kind: "unsure" });
  }
  return spans;
}
