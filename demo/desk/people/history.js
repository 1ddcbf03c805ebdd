/* The dialog with the history of a line: what the engine heard, what the glossary made of it, and who corrected it. */

import { request } from "../../api.js";
import { language, t } from "../../i18n.js";
import { named, openDialog } from "./dialog.js";
import { pathOf } from "./words.js";

/** onUse(text): the user wants this text; null: the user may not correct the line. */
export async function openHistory(line, onUse) {
  const { dialog, say, close } = openDialog({ heading: t("people.history.heading"), parts: [], className: "history" });
  let found;
  try {
    found = await request("GET", pathOf(line));
  } catch (error) {
    return say(error.detail || error.message, true);
  }
  const use = onUse && !found.is_redacted ? (text) => (close(), onUse(text)) : null;
  const steps = stepsOf(found).map((step) => stepNode(step, found, use));
  const list = named("ol", { className: "steps" }, ...steps);
  if (steps.length === 1) say(t("people.history.none"));
  dialog.querySelector("h2").after(list, ...marksOf(found), ...notesOf(found));
}

/** The texts that the line had, oldest first: {label, text}. */
function stepsOf({ raw, first_text: first, revisions, is_redacted: isRedacted }) {
  if (isRedacted) return [{ label: t("line.redacted"), text: raw }];
  const steps = [{ label: t("people.history.raw"), text: raw }];
  if (first !== raw) steps.push({ label: t("people.history.first"), text: first });
  for (const { by, wall, text } of revisions) steps.push({ label: t("people.history.corrected", { by, time: moment(wall) }), text });
  return steps;
}

function stepNode({ label, text }, { text: present, language: spoken }, use) {
  const shown = named("p", { textContent: text || t("people.history.withdrawn"), lang: (text && spoken) || language.current });
  const node = named("li", {}, named("span", { className: "who", textContent: label }), shown);
  if (use && text !== present) {
    const button = named("button", { type: "button", className: "quiet", textContent: t("people.history.use") });
    button.addEventListener("click", () => use(text));
    node.append(button);
  }
  return node;
}

/** Who set the marks, and when. */
function marksOf({ marked }) {
  if (!marked.length) return [];
  const rows = marked.map(({ mark, by, wall, reason }) => {
    const who = named("span", { className: "who", textContent: t("people.history.noteBy", { by, time: moment(wall) }) });
    const what = [t(`line.mark.${mark}`), reason].filter(Boolean).join(": ");
    return named("li", {}, who, named("p", { textContent: what }));
  });
  return [named("h3", { textContent: t("people.history.marks") }), named("ul", { className: "steps" }, ...rows)];
}

function notesOf({ notes }) {
  if (!notes.length) return [];
  const rows = notes.map(({ by, wall, note }) => {
    const who = named("span", { className: "who", textContent: t("people.history.noteBy", { by, time: moment(wall) }) });
    return named("li", {}, who, named("p", { textContent: note }));
  });
  return [named("h3", { textContent: t("people.history.notes") }), named("ul", { className: "steps" }, ...rows)];
}

function moment(wall) {
  return new Date(wall).toLocaleString(language.current, { dateStyle: "short", timeStyle: "medium" });
}
