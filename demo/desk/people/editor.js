/* The editor of a line: a field right below the line, with Enter to save and Escape to cancel.
 *
 * Invariant: what the user typed is never lost. If the request fails, or another person was faster, the field stays open
 * with its text; if the row disappears, the text is there when the line is edited again.
 */

import { request } from "../../api.js";
import { t } from "../../i18n.js";

const CHARS_MAX = 2000;

export class LineEditor {
  #line = null;
  #base = 0; // revision of the text that the user sees
  #form = null;
  #drafts = new Map(); // segment -> text that is not saved

  /** onSaved(line, saved): called with the server's answer; onClosed(): the field is closed. */
  constructor({ onSaved, onClosed }) {
    Object.assign(this, { onSaved, onClosed });
  }

  get isOpen() {
    return this.#form?.isConnected ?? false;
  }

  /** Edit a line. node: what shows it on screen; text: to begin with, default: its present text or a draft. */
  open(line, node, text = this.#drafts.get(line.segment) ?? line.text) {
    this.close();
    this.#line = line;
    this.#base = line.revision ?? 0;
    this.#form = this.#build(line, text);
    const row = node.closest(".line, li") ?? node;
    row.append(this.#form);
    const field = this.#form.querySelector("textarea");
    fit(field);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
    this.#form.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.#form?.remove();
    this.#form = null;
    this.#line = null;
  }

  /** The line was changed on another desk while it is edited here. */
  noteChange(line) {
    if (!this.isOpen || line.segment !== this.#line.segment) return;
    if (line.isRedacted) {
      this.#drafts.delete(line.segment); // what was removed must not come back from here
      this.close();
      this.onClosed();
    } else if ((line.revision ?? 0) > this.#base) {
      this.#showOther({ text: line.text, revision: line.revision, by: line.revisedBy });
    }
  }

  #build(line, text) {
    const form = document.createElement("form");
    form.className = "editor";
    const label = document.createElement("label");
    label.htmlFor = "edited-text";
    label.className = "hidden";
    label.textContent = t("people.editor.label");
    const field = document.createElement("textarea");
    field.id = "edited-text";
    field.value = text;
    field.rows = 1;
    field.maxLength = CHARS_MAX;
    if (line.language) field.lang = line.language;
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.setAttribute("role", "status");
    hint.textContent = t("people.editor.hint");
    const choices = document.createElement("div");
    choices.className = "choices";
    choices.append(choice("submit", "people.save", ""), choice("button", "people.cancel", "quiet"));
    choices.lastChild.addEventListener("click", () => this.#cancel());
    form.append(label, field, hint, choices);
    form.addEventListener("click", (event) => event.stopPropagation()); // a click must not play the line
    form.addEventListener("dblclick", (event) => event.stopPropagation());
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#save()));
    field.addEventListener("input", () => (fit(field), this.#drafts.set(line.segment, field.value)));
    field.addEventListener("keydown", (event) => this.#onKey(event));
    return form;
  }

  #onKey(event) {
    if (event.isComposing) return; // Enter ends a Hangul syllable
    event.stopPropagation();
    if (event.key === "Escape") this.#cancel();
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    this.#save();
  }

  #cancel() {
    this.#drafts.delete(this.#line.segment);
    this.close();
    this.onClosed();
  }

  async #save() {
    const line = this.#line;
    const form = this.#form;
    const text = form.querySelector("textarea").value;
    this.#say("people.editor.saving");
    try {
      const path = `api/sessions/${line.session}/segments/${line.segment}`;
      const saved = await request("PATCH", path, { text }, { headers: { "If-Match": `"${this.#base}"` } });
      this.#drafts.delete(line.segment);
      this.onSaved(line, saved);
      if (this.#form !== form) return;
      this.close();
      this.onClosed();
    } catch (error) {
      if (this.#form !== form) return;
      if (error.current) this.#showOther(error.current);
      else this.#say("people.editor.failed", { detail: error.detail || error.message }, true);
    }
  }

  /** Another person was faster. Both texts are on screen, and the user decides. */
  #showOther({ text, revision, by }) {
    this.#base = revision;
    this.#say("people.editor.changed", { by: by ?? t("people.editor.another"), text }, true);
  }

  #say(key, values, isBad = false) {
    const hint = this.#form.querySelector(".hint");
    hint.textContent = t(key, values);
    hint.classList.toggle("bad", isBad);
  }
}

function choice(type, key, className) {
  const node = document.createElement("button");
  Object.assign(node, { type, className, textContent: t(key) });
  return node;
}

/** As many rows as the text needs. */
function fit(field) {
  field.rows = 1;
  while (field.scrollHeight > field.clientHeight + 2 && field.rows < 8) field.rows += 1;
}
