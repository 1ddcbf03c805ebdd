/* The list of alert rules as rows that open into a form. Owns the draft; knows the server only for "try".
 *
 * Emits "change". A row shows the fields that its kind of rule has; the keys of other kinds are removed.
 */

import { request } from "../api.js";
import { Field } from "../glossary/fields.js";
import { t } from "../i18n.js";
import { element, button } from "./parts.js";

const lines = {
  show: (value) => (value ?? []).join("\n"),
  read: (text) => text.split("\n").map((line) => line.trim()).filter(Boolean),
};
const list = (separator) => ({
  show: (value) => (value ?? []).join(", "),
  read: (text) => text.split(separator).map((one) => one.trim()).filter(Boolean),
});
const number = { show: (value) => value ?? "", read: (text) => (text === "" ? undefined : Number(text)) };
const plain = { show: (value) => value ?? "", read: (text) => (text === "" ? undefined : text) };
/** A flag that is left out of the rule while it has its usual value. */
const flag = (usual) => ({ show: (value) => value ?? usual, read: (on) => (on === usual ? undefined : on) });
const hours = {
  show: (value) => (value ?? []).map(({ from, to }) => `${from}-${to}`).join("\n"),
  read: (text) =>
    lines.read(text).map((line) => {
      const [from = "", to = ""] = line.split(/\s*[-–]\s*/);
      return { from, to };
    }),
};

const LEVELS = ["info", "warning", "critical"];
const KINDS = ["terms", "pattern", "activity", "silence", "no_signal"];

/** when: the kinds of rules that have the field; without it, all have it. */
const FIELDS = [
  { name: "name", path: ["name"], kind: "text", form: plain, isNeeded: true },
  { name: "level", path: ["level"], kind: "select", options: LEVELS, form: plain },
  { name: "when", path: ["when"], kind: "select", options: KINDS, form: plain },
  { name: "terms", path: ["terms"], kind: "lines", form: lines, hint: "terms", isWide: true, when: ["terms"] },
  { name: "inside_words", path: ["inside_words"], kind: "flag", form: flag(false), when: ["terms"] },
  { name: "pattern", path: ["pattern"], kind: "text", form: plain, hint: "pattern", isWide: true, when: ["pattern"] },
  { name: "after_s", path: ["after_s"], kind: "number", step: 1, form: number, when: ["silence", "no_signal"] },
  { name: "channels", path: ["channels"], kind: "text", form: list(/[,\s]+/), hint: "channels" },
  { name: "groups", path: ["groups"], kind: "text", form: list(","), hint: "groups" },
  { name: "cooldown_s", path: ["cooldown_s"], kind: "number", step: 1, form: number, hint: "cooldown" },
  { name: "quiet", path: ["quiet"], kind: "lines", form: hours, hint: "quiet" },
  { name: "escalate.after_s", path: ["escalate", "after_s"], kind: "number", step: 1, form: number },
  { name: "escalate.level", path: ["escalate", "level"], kind: "select", options: LEVELS.slice(1), form: plain },
  { name: "interims", path: ["interims"], kind: "flag", form: flag(true), when: ["terms", "pattern"] },
  { name: "enabled", path: ["enabled"], kind: "flag", form: flag(true) },
].map((field) => ({ ...field, texts: "al" }));

export class RulesEditor extends EventTarget {
  rules = [];
  #rows = []; // RuleRow, in the order of the rules

  /** box: of the rows; none: shown without rules. */
  constructor(box, none) {
    super();
    Object.assign(this, { box, none });
  }

  load(rules) {
    this.rules = structuredClone(rules);
    this.draw();
  }

  add() {
    this.rules.unshift({ name: "", when: "terms", terms: [] });
    this.draw();
    this.#rows[0].focus();
    this.#changed();
  }

  draw() {
    const opened = new Set(this.#rows.filter((row) => row.element.open).map((row) => row.rule));
    this.#rows = this.rules.map(
      (rule) => new RuleRow(rule, opened.has(rule), { onChange: () => this.#changed(), onRemove: () => this.#remove(rule) }),
    );
    this.box.replaceChildren(...this.#rows.map((row) => row.element));
    this.none.hidden = this.rules.length > 0;
  }

  /** Show the mistakes of the server at their fields. Returns functions that go to each one, in order. */
  mark(mistakes) {
    return mistakes.map(({ path, message }) => {
      const row = path[0] === "rules" ? this.#rows[path[1]] : undefined;
      const field = row?.mark(path.slice(2), message);
      return () => {
        row?.open();
        (field?.control ?? row?.summary)?.focus();
      };
    });
  }

  #remove(rule) {
    this.rules.splice(this.rules.indexOf(rule), 1);
    this.draw();
    this.box.focus();
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

class RuleRow {
  #fields = new Map(); // name -> Field

  constructor(rule, isOpen, { onChange, onRemove }) {
    Object.assign(this, { rule, onChange, onRemove });
    this.summary = element("summary");
    this.element = element("details", {}, this.summary);
    this.#drawHead();
    if (isOpen) this.open();
    this.element.addEventListener("toggle", () => this.element.open && this.#makeFields());
  }

  open() {
    this.#makeFields();
    this.element.open = true;
  }

  focus() {
    this.open();
    this.#fields.get("name").control.focus();
  }

  /** Show a mistake at the field of a path inside the rule; returns the field. */
  mark(path, message) {
    this.open();
    const of = (field) => field.definition.path.every((part, at) => part === path[at]);
    const nearest = [...this.#fields.values()].find(of) ?? [...this.#fields.values()].find((one) => one.definition.path[0] === path[0]);
    nearest?.mark(message);
    return nearest;
  }

  #drawHead() {
    const { rule } = this;
    const when = rule.when ?? "terms";
    const what = { terms: (rule.terms ?? []).slice(0, 4).join(", "), pattern: rule.pattern ?? "" }[when] ?? "";
    const tags = [
      t(`al.cause.${when}`),
      [...(rule.channels ?? []), ...(rule.groups ?? [])].slice(0, 6).join(" "),
      what,
      rule.enabled === false ? t("al.off") : "",
    ];
    const level = element("span", { className: "level", text: t(`al.level.${rule.level ?? "warning"}`) });
    level.dataset.level = rule.level ?? "warning";
    this.summary.replaceChildren(
      level,
      element("b", { text: rule.name || t("al.unnamed") }),
      ...tags.filter(Boolean).map((text) => element("span", { className: "tag", text })),
    );
  }

  #makeFields() {
    if (this.#fields.size) return;
    const form = element("div", { className: "fields" });
    for (const definition of FIELDS) {
      const field = new Field(definition, this.rule, () => this.#changed(definition));
      this.#fields.set(definition.name, field);
      form.append(field.element);
    }
    this.tried = element("div", { className: "found" });
    this.tried.setAttribute("role", "status");
    this.tryButton = button(t("al.try"), t("al.tryThis", { rule: this.rule.name }), () => this.#try());
    const remove = button(t("gl.remove"), "", this.onRemove);
    remove.classList.add("remove");
    form.append(element("div", { className: "wide actions" }, this.tryButton, remove), this.tried);
    this.element.append(form);
    this.#showFields();
  }

  #changed(definition) {
    if (definition.name === "when") {
      for (const field of FIELDS) if (!this.#has(field)) delete this.rule[field.path[0]];
      this.#showFields();
    }
    this.#drawHead();
    this.onChange();
  }

  #has({ when }) {
    return !when || when.includes(this.rule.when ?? "terms");
  }

  #showFields() {
    for (const field of this.#fields.values()) field.element.hidden = !this.#has(field.definition);
    this.tryButton.hidden = !["terms", "pattern"].includes(this.rule.when ?? "terms");
  }

  async #try() {
    this.tryButton.disabled = true;
    try {
      const rule = { ...ruleToSend(this.rule), name: this.rule.name || "draft" };
      const { checked, found, lines: shown, warnings } = await request("POST", "api/alerts/try", { rule });
      const key = found === 0 ? "al.triedNone" : "al.tried";
      this.tried.replaceChildren(
        element("p", { className: "status", text: t(key, { found, checked }) }),
        ...warnings.map(({ message }) => element("p", { className: "warn", text: message, lang: "en" })),
        element("ol", { className: "plain" }, ...shown.slice(0, 10).map(foundLine)),
      );
    } catch (error) {
      for (const { path, message } of error.mistakes) this.mark(path.slice(2), message);
      this.tried.replaceChildren(element("p", { className: "wrong", text: error.message, lang: "en" }));
    } finally {
      this.tryButton.disabled = false;
    }
  }
}

/** A rule as the server wants it: with its kind, which the select may leave empty. */
export function ruleToSend(rule) {
  const { escalate, ...rest } = rule;
  return { when: "terms", ...rest, ...(escalate?.after_s ? { escalate } : {}) };
}

function foundLine({ channel, text, start, end }) {
  const mark = element("mark", { text: text.slice(start, end) });
  return element("li", {}, element("b", { text: channel }), element("span", {}, text.slice(0, start), mark, text.slice(end)));
}
