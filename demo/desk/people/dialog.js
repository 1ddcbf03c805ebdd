/* Dialogs that are made when they are needed: a heading, a form, and buttons. Their texts are in the page's language. */

import { t } from "../../i18n.js";

let number = 0;

/** An open dialog. heading: its text; parts: nodes; onSubmit(): called for Enter and for the submit button. */
export function openDialog({ heading, parts, submit = "", isDanger = false, onSubmit = () => {}, className = "" }) {
  const dialog = document.createElement("dialog");
  number += 1;
  dialog.className = `people ${className}`;
  const form = document.createElement("form");
  const title = document.createElement("h2");
  title.id = `people-heading-${number}`;
  title.textContent = heading;
  dialog.setAttribute("aria-labelledby", title.id);
  const status = document.createElement("p");
  status.className = "status";
  status.setAttribute("role", "status");
  const choices = document.createElement("div");
  choices.className = "choices";
  if (submit) choices.append(named("button", { type: "submit", textContent: submit, className: isDanger ? "danger" : "" }));
  const close = named("button", { type: "button", className: "quiet", textContent: t(submit ? "people.cancel" : "people.close") });
  choices.append(close);
  form.append(title, ...parts, status, choices);
  dialog.append(form);
  close.addEventListener("click", () => dialog.close());
  form.addEventListener("submit", (event) => (event.preventDefault(), onSubmit()));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  const say = (text, isBad = false) => {
    status.textContent = text;
    status.classList.toggle("bad", isBad);
  };
  /** Everything is done: only the closing button stays. */
  const finish = () => {
    choices.querySelector("[type=submit]")?.remove();
    close.textContent = t("people.close");
    close.focus();
  };
  return { dialog, form, say, finish, close: () => dialog.close() };
}

export function named(tag, properties, ...children) {
  const node = document.createElement(tag);
  Object.assign(node, properties);
  node.append(...children);
  return node;
}

/** A label with its field: an input, a textarea or a select. */
export function field(label, input) {
  number += 1;
  input.id = `people-field-${number}`;
  return named("div", { className: "field" }, named("label", { htmlFor: input.id, textContent: label }), input);
}

/** A checkbox with its text. */
export function check(label, isChecked) {
  const input = named("input", { type: "checkbox", checked: isChecked });
  return { input, node: named("label", { className: "check" }, input, named("span", { textContent: label })) };
}

/** Milliseconds of `12:03.5` or `1:12:03.5`; NaN for anything else. */
export function msOf(text) {
  const found = /^(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:\.\d{1,3})?)$/.exec(text.trim());
  if (!found) return NaN;
  const [, hours = "0", minutes, seconds] = found;
  return Math.round((Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000);
}
