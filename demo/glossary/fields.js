/* The fields of a term, a pattern and the defaults: one control for each key of the glossary file.
 *
 * A field reads its value from an object of /api/glossary and writes it back; an empty control removes the key. Each
 * field can show the mistake that the server found in it.
 */

import { t } from "../i18n.js";

const lines = {
  show: (value) => (value ?? []).join("\n"),
  read: (text) => text.split("\n").map((line) => line.trim()).filter(Boolean),
};
const channels = {
  show: (value) => (value ?? []).join(", "),
  read: (text) => text.split(/[,\s]+/).filter(Boolean),
};
const number = { show: (value) => value ?? "", read: (text) => (text === "" ? undefined : Number(text)) };
const plain = { show: (value) => value ?? "", read: (text) => (text === "" ? undefined : text) };
const base = {
  show: (value) =>
    Object.entries(value ?? {})
      .map(([name, others]) => (others.length ? `${name}: ${others.join(", ")}` : name))
      .join("\n"),
  read: (text) =>
    Object.fromEntries(
      lines.read(text).map((line) => {
        const [name, others = ""] = line.split(/:(.*)/);
        return [name.trim(), others.split(",").map((one) => one.trim()).filter(Boolean)];
      }),
    ),
};

const CLASSES = ["callsign", "place", "code", "person"];
const ALERTS = ["info", "warning", "critical"];

/* kind: of control; path: where the value is in the object; form: how it is written. */
const SCOPE = [
  { name: "class", path: ["class"], kind: "select", options: CLASSES, form: plain },
  { name: "channels", path: ["channels"], kind: "text", form: channels, hint: "channels" },
  { name: "language", path: ["language"], kind: "select", options: ["en", "ko"], form: plain },
  { name: "alert", path: ["alert", "level"], kind: "select", options: ALERTS, form: plain },
  { name: "active.from", path: ["active", "from"], kind: "time", form: plain },
  { name: "active.to", path: ["active", "to"], kind: "time", form: plain },
  { name: "boost", path: ["boost"], kind: "number", step: 0.5, form: number, hint: "boost" },
];
export const TERM = [
  { name: "canonical", path: ["canonical"], kind: "text", form: plain, isNeeded: true },
  { name: "display.en", path: ["display", "en"], kind: "text", form: plain },
  { name: "display.ko", path: ["display", "ko"], kind: "text", form: plain, lang: "ko" },
  { name: "aliases", path: ["aliases"], kind: "lines", form: lines, hint: "lines" },
  { name: "sounds_like", path: ["sounds_like"], kind: "lines", form: lines, hint: "lines" },
  { name: "never", path: ["never"], kind: "lines", form: lines, hint: "lines" },
  ...SCOPE,
];
export const PATTERN = [
  { name: "base", path: ["base"], kind: "lines", form: base, hint: "base", isNeeded: true, isWide: true },
  { name: "number", path: ["number"], kind: "text", form: plain, hint: "number", isNeeded: true },
  { name: "join", path: ["join"], kind: "text", form: { show: (value) => value ?? "-", read: (text) => text } },
  { name: "never", path: ["never"], kind: "lines", form: lines, hint: "lines" },
  ...SCOPE,
];
export const DEFAULTS = [
  { name: "boost", path: ["boost"], kind: "number", step: 0.5, form: number, hint: "boost" },
  { name: "min_similarity", path: ["post", "min_similarity"], kind: "number", step: 0.01, form: number },
  { name: "min_jamo", path: ["post", "min_jamo"], kind: "number", step: 1, form: number },
  { name: "margin", path: ["post", "margin"], kind: "number", step: 0.01, form: number },
  { name: "echo_guard", path: ["echo_guard"], kind: "flag", form: { show: (value) => value ?? true, read: (on) => on } },
];

const ROWS_MAX = 8;

let ids = 0;

/** One control with label, hint and room for a mistake. onChange(): called after the object was changed.
 *
 * definition.texts: the first part of the keys of its texts; "gl" where it has none.
 */
export class Field {
  constructor(definition, object, onChange) {
    this.definition = definition;
    this.element = document.createElement("div");
    this.element.className = `field ${definition.kind}${definition.isWide ? " wide" : ""}`;
    const id = `field-${++ids}`;
    const { texts = "gl" } = definition;
    this.control = controlOf(definition);
    this.control.id = id;
    const label = document.createElement("label");
    label.htmlFor = id;
    label.textContent = t(`${texts}.field.${definition.name}`);
    this.wrong = document.createElement("p");
    this.wrong.className = "wrong";
    this.wrong.id = `${id}-wrong`;
    this.wrong.lang = "en"; // a sentence of the server
    this.wrong.hidden = true;
    if (definition.kind === "flag") {
      label.className = "switch";
      label.prepend(this.control);
      this.element.append(label, this.wrong);
      this.control.checked = definition.form.show(valueAt(object, definition.path));
    } else {
      this.element.append(label, this.control, ...this.#hint(id), this.wrong);
      this.control.value = definition.form.show(valueAt(object, definition.path));
      this.#fit();
    }
    this.control.addEventListener(definition.kind === "select" || definition.kind === "flag" ? "change" : "input", () => {
      const raw = definition.kind === "flag" ? this.control.checked : this.control.value;
      setAt(object, definition.path, definition.form.read(raw), definition.isNeeded);
      this.mark("");
      this.#fit();
      onChange();
    });
  }

  /** Show a mistake of the server, or remove it for an empty text. */
  mark(message) {
    this.wrong.textContent = message;
    this.wrong.hidden = !message;
    if (message) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
    const described = [this.hintId, message ? this.wrong.id : ""].filter(Boolean).join(" ");
    if (described) this.control.setAttribute("aria-describedby", described);
    else this.control.removeAttribute("aria-describedby");
  }

  /** As many rows as there are lines, within limits. */
  #fit() {
    if (this.definition.kind !== "lines") return;
    this.control.rows = Math.min(ROWS_MAX, Math.max(2, this.control.value.split("\n").length));
  }

  #hint(id) {
    if (!this.definition.hint) return [];
    const hint = document.createElement("p");
    hint.className = "lead";
    hint.id = this.hintId = `${id}-hint`;
    hint.textContent = t(`${this.definition.texts ?? "gl"}.hint.${this.definition.hint}`);
    this.control.setAttribute("aria-describedby", hint.id);
    return [hint];
  }
}

function controlOf({ kind, options, step, lang, isNeeded, name, texts = "gl" }) {
  let control;
  if (kind === "select") {
    control = document.createElement("select");
    control.append(new Option(t(`${texts}.empty.${name}`), ""), ...options.map((one) => new Option(t(`${texts}.${name}.${one}`), one)));
    return control;
  }
  if (kind === "lines") {
    control = document.createElement("textarea");
    control.rows = 2;
  } else {
    control = document.createElement("input");
    control.type = { number: "number", time: "time", flag: "checkbox" }[kind] ?? "text";
    if (kind === "number") {
      control.step = step;
      control.min = 0;
    }
  }
  control.autocomplete = "off";
  control.spellcheck = false;
  control.required = Boolean(isNeeded);
  if (lang) control.lang = lang;
  return control;
}

function valueAt(object, path) {
  return path.reduce((value, key) => value?.[key], object);
}

/** Write the value; an empty one is removed, with the objects around it that become empty. */
function setAt(object, path, value, isNeeded = false) {
  const [key, ...rest] = path;
  const isEmpty = value === undefined || (Array.isArray(value) && !value.length);
  if (!rest.length) {
    if (!isEmpty) object[key] = value;
    else if (isNeeded) object[key] = "";
    else delete object[key];
    return;
  }
  object[key] ??= {};
  setAt(object[key], rest, value);
  if (!Object.keys(object[key]).length) delete object[key];
}
