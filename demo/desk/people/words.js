/* The dialogs that take a few words about a line: a note, or what is wrong with it. */

import { request } from "../../api.js";
import { t } from "../../i18n.js";
import { field, named, openDialog } from "./dialog.js";

const CHARS_MAX = 1000;

export const pathOf = (line) => `api/sessions/${line.session}/segments/${line.segment}`;

/** Set or clear a mark of a line. */
export function setMark(line, mark, isSet, reason) {
  return request("PUT", `${pathOf(line)}/marks/${mark}`, { is_set: isSet, ...(reason ? { reason } : {}) });
}

export function openNote(line) {
  ask("people.note.heading", "people.note.label", [quote(line)], true, (note) => request("POST", `${pathOf(line)}/notes`, { note }));
}

export function openReport(line) {
  const lead = named("p", { className: "lead", textContent: t("people.report.lead") });
  ask("people.report.heading", "people.report.label", [lead, quote(line)], false, (reason) => setMark(line, "report", true, reason));
}

/** The text of a line, above a field that is about it. */
export function quote(line) {
  return named("blockquote", { textContent: line.isRedacted ? t("line.redacted") : line.text, lang: line.language ?? "" });
}

function ask(heading, label, parts, isNeeded, send) {
  const area = named("textarea", { rows: 3, maxLength: CHARS_MAX, required: isNeeded });
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    opened.form.requestSubmit();
  });
  const opened = openDialog({
    heading: t(heading),
    parts: [...parts, field(t(label), area)],
    submit: t("people.save"),
    onSubmit: async () => {
      try {
        await send(area.value.trim());
        opened.close();
      } catch (error) {
        opened.say(error.detail || error.message, true); // the words stay in the field
      }
    },
  });
  area.focus();
}
