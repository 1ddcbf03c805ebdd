/* What people added to a line, as nodes behind its text: star, report, notes. Pure, except that it makes nodes. */

import { isNotSaid } from "./events.js";
import { t } from "./i18n.js";

/** One shape for each mark; its word is there for screen readers. */
const SHAPES = { star: "★", report: "⚑", not_said: "⊘" };

/** Returns the nodes of a line's text. The text of a line that is marked as not said is struck through. */
export function struckIfNotSaid(line, nodes) {
  if (!isNotSaid(line)) return nodes;
  const struck = document.createElement("s");
  struck.append(...nodes);
  return [struck];
}

/** line: a final with `marks` and `notes`, if it has any. Returns a list of nodes. */
export function marksOf(line) {
  const nodes = (line.marks ?? []).filter((mark) => mark in SHAPES).map((mark) => sign(mark, SHAPES[mark], t(`line.mark.${mark}`)));
  const notes = line.notes ?? [];
  if (notes.length) nodes.push(sign("noted", "✎", notes.map(({ by, note }) => `${by}: ${note}`).join("\n")));
  return nodes;
}

/** In place of the words of a redacted line. */
export function redactedText() {
  const node = document.createElement("span");
  node.className = "redacted";
  node.textContent = t("line.redacted");
  return node;
}

function sign(kind, shape, words) {
  const node = document.createElement("span");
  node.className = `sign ${kind}`;
  node.title = words;
  const shown = document.createElement("span");
  shown.setAttribute("aria-hidden", "true");
  shown.textContent = ` ${shape}`;
  const read = document.createElement("span");
  read.className = "hidden";
  read.textContent = ` (${words})`;
  node.append(shown, read);
  return node;
}
