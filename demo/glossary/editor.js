/* The list of terms and patterns as rows that open into a form. Owns the draft; knows nothing of the server.
 *
 * A row makes its fields when it is opened for the first time, so 2,000 terms stay quick. Emits "change".
 */

import { t } from "../i18n.js";
import { finder } from "../initials.js";
import { DEFAULTS, Field, PATTERN, TERM } from "./fields.js";

const ROWS_MAX = 200; // rows on the page; the search finds the others

export class Editor extends EventTarget {
  draft = { terms: [], patterns: [] };
  #rows = new Map(); // "terms.3" -> Row
  #opened = new Set(); // objects whose rows are open
  #search = "";

  /** boxes: the elements terms, patterns, defaults and note (for the number of hidden rows). */
  constructor(boxes) {
    super();
    this.boxes = boxes;
  }

  /** list: of /api/glossary. It is copied. */
  load(list) {
    this.draft = structuredClone({ ...list, terms: list.terms ?? [], patterns: list.patterns ?? [] });
    this.#opened.clear();
    this.draw();
  }

  search(text) {
    this.#search = text.trim();
    this.draw();
  }

  addTerm(term = { canonical: "" }) {
    this.draft.terms.unshift(term);
    this.#focusNew("terms.0", term);
  }

  addPattern(pattern = { base: {}, number: "1-9" }) {
    this.draft.patterns.unshift(pattern);
    this.#focusNew("patterns.0", pattern);
  }

  draw() {
    this.#rows.clear();
    const found = this.#matching();
    this.boxes.terms.replaceChildren(...found.slice(0, ROWS_MAX).map((index) => this.#row("terms", index)));
    this.boxes.patterns.replaceChildren(...this.draft.patterns.map((_, index) => this.#row("patterns", index)));
    this.boxes.defaults.replaceChildren(this.#defaultsRow());
    this.boxes.note.textContent = this.#note(found.length);
  }

  /** Show the mistakes of the server at their fields. Returns functions that go to each one, in order. */
  mark(mistakes) {
    return mistakes.map(({ path, message }) => {
      const row = this.#rowOf(path);
      row?.open();
      const field = row?.fieldAt(path.slice(2));
      field?.mark(message);
      return () => {
        row?.open();
        (field?.control ?? row?.summary)?.focus();
        (field?.element ?? row?.element)?.scrollIntoView({ block: "center" });
      };
    });
  }

  #matching() {
    const all = this.draft.terms.map((_, index) => index);
    if (!this.#search) return all;
    const has = finder(this.#search);
    return all.filter((index) => has(JSON.stringify(this.draft.terms[index])));
  }

  #note(found) {
    if (!this.draft.terms.length) return t("gl.none");
    if (!found) return t("gl.noneFound", { text: this.#search });
    return found > ROWS_MAX ? t("gl.more", { n: found - ROWS_MAX }) : "";
  }

  #row(part, index) {
    const object = this.draft[part][index];
    const row = new Row(object, part === "terms" ? TERM : PATTERN, part === "terms" ? termHead : patternHead, {
      isOpen: this.#opened.has(object),
      onToggle: (isOpen) => (isOpen ? this.#opened.add(object) : this.#opened.delete(object)),
      onChange: () => this.#changed(),
      onRemove: () => this.#remove(part, object),
    });
    this.#rows.set(`${part}.${index}`, row);
    return row.element;
  }

  #defaultsRow() {
    const object = (this.draft.defaults ??= {});
    const row = new Row(object, DEFAULTS, () => ({ name: t("gl.defaults"), tags: [] }), {
      isOpen: this.#opened.has(object),
      onToggle: (isOpen) => (isOpen ? this.#opened.add(object) : this.#opened.delete(object)),
      onChange: () => this.#changed(),
    });
    this.#rows.set("defaults", row);
    return row.element;
  }

  #rowOf(path) {
    const [part, index] = path;
    if (part === "defaults") return this.#rows.get("defaults");
    const key = `${part}.${index}`;
    if (!this.#rows.has(key) && this.draft[part]?.[index]) {
      const element = this.#row(part, index); // a row that the search or the limit hides
      this.boxes[part].prepend(element);
    }
    return this.#rows.get(key);
  }

  #focusNew(key, object) {
    this.#search = "";
    this.#opened.add(object);
    this.draw();
    this.#changed();
    this.#rows.get(key).focus();
  }

  #remove(part, object) {
    this.draft[part].splice(this.draft[part].indexOf(object), 1);
    this.draw();
    this.#changed();
    this.boxes.terms.focus();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

class Row {
  #fields = new Map(); // "active.from" -> Field

  constructor(object, definitions, headOf, { isOpen, onToggle, onChange, onRemove }) {
    this.object = object;
    this.definitions = definitions;
    this.headOf = headOf;
    this.onChange = onChange;
    this.onRemove = onRemove;
    this.element = document.createElement("details");
    this.summary = document.createElement("summary");
    this.element.append(this.summary);
    this.#drawHead();
    if (isOpen) this.open();
    this.element.addEventListener("toggle", () => {
      if (this.element.open) this.#makeFields();
      onToggle(this.element.open);
    });
  }

  open() {
    this.#makeFields();
    this.element.open = true;
  }

  focus() {
    this.open();
    this.#fields.values().next().value.control.focus();
  }

  /** The field of a path inside the object; the nearest one around it, so ["aliases", 2] is the field of aliases. */
  fieldAt(path) {
    for (let length = path.length; length > 0; length -= 1) {
      const start = path.slice(0, length);
      for (const field of this.#fields.values()) {
        const known = field.definition.path;
        if (known.length === start.length && known.every((key, at) => key === start[at])) return field;
      }
    }
    return [...this.#fields.values()].find((field) => field.definition.path[0] === path[0]);
  }

  #makeFields() {
    if (this.#fields.size) return;
    const form = document.createElement("div");
    form.className = "fields";
    for (const definition of this.definitions) {
      const field = new Field(definition, this.object, () => {
        this.#drawHead();
        this.onChange();
      });
      this.#fields.set(definition.name, field);
      form.append(field.element);
    }
    if (this.onRemove) {
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "quiet remove";
      remove.textContent = t("gl.remove");
      remove.addEventListener("click", () => this.onRemove());
      form.append(remove);
    }
    this.element.append(form);
  }

  #drawHead() {
    const { name, tags } = this.headOf(this.object);
    const strong = document.createElement("b");
    strong.textContent = name;
    const marks = tags.filter(Boolean).map((text) => {
      const tag = document.createElement("span");
      tag.className = "tag";
      tag.textContent = text;
      return tag;
    });
    this.summary.replaceChildren(strong, ...marks);
  }
}

function termHead(term) {
  const spellings = (term.aliases?.length ?? 0) + (term.sounds_like?.length ?? 0);
  return {
    name: term.canonical || t("gl.unnamed"),
    tags: [...scopeTags(term), spellings ? t("gl.aliasCount", { n: spellings }) : ""],
  };
}

function patternHead(pattern) {
  const names = Object.keys(pattern.base ?? {});
  const numbers = numbersOf(pattern.number ?? "");
  const join = pattern.join ?? "-";
  const ends = [numbers[0], numbers.at(-1)].map((number, at) => `${(at ? names.at(-1) : names[0]) ?? ""}${join}${number ?? ""}`);
  const examples = names.length && numbers.length ? [...new Set(ends)].join(" … ") : "";
  return {
    name: names.join(", ") || t("gl.unnamed"),
    tags: [examples ? t("gl.count", { n: names.length * numbers.length, examples }) : "", ...scopeTags(pattern)],
  };
}

function scopeTags(object) {
  return [
    object.class ? t(`gl.class.${object.class}`) : "",
    object.channels?.join(" ") ?? "",
    object.alert?.level ? t(`gl.alert.${object.alert.level}`) : "",
    object.active?.from && object.active?.to ? `${object.active.from}–${object.active.to}` : "",
  ];
}

/** "1-3,11" as ["1", "2", "3", "11"]; an invalid part is left out. */
function numbersOf(text) {
  return text.split(",").flatMap((part) => {
    const [, first, last = first] = part.trim().match(/^(\d{1,4})(?:-(\d{1,4}))?$/) ?? [];
    if (first === undefined || Number(last) - Number(first) > 1000) return [];
    const numbers = [];
    for (let n = Number(first); n <= Number(last); n += 1) numbers.push(String(n).padStart(first.length, "0"));
    return numbers;
  });
}
