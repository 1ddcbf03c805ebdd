/* The panels beside the editor: suggestions, the model's prompt, lab results, versions, and "try it". */

import { request } from "../api.js";
import { has, t } from "../i18n.js";

const VERSIONS_SHOWN = 10;

function element(name, { className = "", text = "", lang = "" } = {}, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  if (lang) made.lang = lang;
  made.append(...children);
  return made;
}

function button(text, label, onClick) {
  const made = element("button", { className: "quiet", text });
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", onClick);
  return made;
}

export function when(iso) {
  return iso ? new Date(iso).toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" }) : "";
}

/** What the draft makes of the last minute, or of a line. draft(): the list to try. onMistakes: for a draft that is refused. */
export class TryPanel {
  #result = null;

  constructor({ form, text, run, status, list, draft, onMistakes }) {
    Object.assign(this, { text, run, status, list, draft, onMistakes });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.try();
    });
    text.addEventListener("input", () => this.relabel());
  }

  relabel() {
    this.run.textContent = t(this.text.value.trim() ? "gl.tryRunText" : "gl.tryRun");
    if (this.#result) this.#draw();
  }

  async try() {
    const text = this.text.value.trim();
    const language = /[가-힣]/.test(text) ? "ko" : "en";
    this.run.disabled = true;
    try {
      const body = { glossary: this.draft(), ...(text ? { text, language } : {}) };
      this.#result = await request("POST", "api/glossary/try", body);
      this.onMistakes([]);
      this.#draw();
    } catch (error) {
      this.#result = null;
      this.list.replaceChildren();
      if (error.mistakes?.length) this.onMistakes(error.mistakes);
      this.status.textContent = error.message;
    } finally {
      this.run.disabled = false;
    }
  }

  #draw() {
    const { lines, changed } = this.#result;
    this.status.textContent = lines.length
      ? t("gl.tryResult", { lines: lines.length, changed })
      : t("gl.tryNone");
    this.list.replaceChildren(...lines.map(triedLine));
  }
}

function triedLine(line) {
  const head = element("span", { className: "channel", text: line.segment ? line.channel : "" });
  const isSame = line.before === line.after;
  const text = element("p", { lang: line.language ?? "" }, ...(isSame ? [line.after] : difference(line.before, line.after)));
  const item = element("li", { className: isSame ? "same" : "changed" }, head, text);
  if (isSame) item.append(element("small", { text: t("gl.trySame") }));
  return item;
}

/** The two texts as nodes: equal words, removed ones and new ones. */
export function difference(before, after) {
  const [a, b] = [before.split(/(\s+)/), after.split(/(\s+)/)];
  const common = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  const parts = [];
  const add = (kind, word) => {
    if (parts.at(-1)?.kind === kind) parts.at(-1).text += word;
    else parts.push({ kind, text: word });
  };
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) [i, j] = (add("", a[i]), [i + 1, j + 1]);
    else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) add("del", a[i++]);
    else add("ins", b[j++]);
  }
  return parts.map(({ kind, text }) => (kind ? element(kind, { text }) : document.createTextNode(text)));
}

/** Suggestions of the server, with a decision for each one. onAccepted(version): the glossary has changed. */
export class SuggestionsPanel {
  #rows = [];

  constructor({ list, status, onAccepted }) {
    Object.assign(this, { list, status, onAccepted });
  }

  async load() {
    try {
      this.#rows = (await request("GET", "api/glossary/suggestions")).suggestions;
    } catch (error) {
      this.#rows = [];
      this.status.textContent = error.message;
    }
    this.draw();
  }

  draw() {
    const rows = this.#rows.map((row) => this.#item(row));
    this.list.replaceChildren(...(rows.length ? rows : [element("li", { className: "lead", text: t("gl.suggestionsNone") })]));
  }

  #item(row) {
    const { text, term } = row;
    const item = element("li", { className: "suggestion" });
    item.append(element("b", { text: term ? t("gl.aliasOf", { text, term }) : t("gl.newTerm", { text }) }));
    item.append(element("span", { className: "lead", text: t("gl.times", { n: row.times }) }));
    if (row.line) item.append(element("q", { text: row.line }));
    let as = null;
    if (!term) {
      as = element("input");
      as.setAttribute("list", "known-terms");
      const label = element("label", { className: "field", text: t("gl.asAliasOf") }, as);
      item.append(label);
    }
    const accept = () => this.#decide(row, "accept", as?.value.trim() ? { term: as.value.trim() } : undefined);
    item.append(
      element(
        "div",
        { className: "choices" },
        button(t("gl.accept"), t("gl.acceptThis", { text }), accept),
        button(t("gl.dismiss"), t("gl.dismissThis", { text }), () => this.#decide(row, "dismiss")),
      ),
    );
    return item;
  }

  async #decide(row, decision, body) {
    try {
      const done = await request("POST", `api/glossary/suggestions/${row.id}/${decision}`, body);
      const key = decision === "accept" ? "gl.accepted" : "gl.dismissed";
      this.status.textContent = t(key, { text: row.text, version: done.glossary_version });
      await this.load();
      if (decision === "accept") this.onAccepted(done.glossary_version);
    } catch (error) {
      this.status.textContent = error.message;
    }
  }
}

/** The terms in a channel's prompt, and those that are left out with the reason. */
export async function drawPrompt(box, channel) {
  let found;
  try {
    found = await request("GET", `api/glossary/prompt?channel=${encodeURIComponent(channel)}`);
  } catch (error) {
    box.replaceChildren(element("p", { className: "status", text: error.message }));
    return;
  }
  const chosen = found.chosen.map(({ canonical, text, because }) => {
    const tag = element("span", { className: "tag", text: text === canonical ? text : `${text} (${canonical})` });
    if (because === "heard") tag.append(" ", element("small", { text: t("gl.promptHeard") }));
    return tag;
  });
  const parts = [
    chosen.length
      ? element("p", { className: "tags" }, ...chosen)
      : element("p", { className: "lead", text: t("gl.promptNone") }),
  ];
  if (found.left_out.length) {
    const list = found.left_out.map(({ canonical, reason }) =>
      element("li", {}, element("b", { text: canonical }), " ", element("span", { className: "lead", text: reason, lang: "en" })),
    );
    parts.push(
      element(
        "details",
        {},
        element("summary", { text: t("gl.leftOut", { n: found.left_out.length }) }),
        element("ul", { className: "plain" }, ...list),
      ),
    );
  }
  box.replaceChildren(...parts);
}

const LAB_WORDS = ["language", "condition", "kind", "stage"];
const LAB_SHARES = ["recall", "canonical", "precision", "false_insertions", "error_rate"];

/** The newest report of the lab as a table: groups of clips, each with its stages. */
export async function drawLab(box) {
  const { report } = await request("GET", "api/glossary/lab").catch(() => ({ report: null }));
  if (!report) {
    box.replaceChildren(element("p", { className: "lead", text: t("gl.labNone") }));
    return;
  }
  const values = { model: report.model ?? "", when: when(report.made), clips: report.clips ?? "", terms: report.glossary_terms ?? "" };
  const rows = [...(report.rows ?? [])].sort((a, b) => groupOf(a).localeCompare(groupOf(b)));
  const cells = (row) => [...LAB_WORDS.map((name) => String(row[name] ?? "")), ...LAB_SHARES.map((name) => percent(row[name]))];
  const table = element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...[...LAB_WORDS, ...LAB_SHARES].map(headCell))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row).map((text) => element("td", { text }))))),
  );
  const scroller = element("div", { className: "scroller" }, table);
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", t("gl.lab"));
  box.replaceChildren(element("p", { className: "lead", text: t("gl.labOf", values) }), ...(rows.length ? [scroller] : []));
}

const groupOf = ({ language, condition, kind }) => `${language} ${condition} ${kind}`;

function headCell(name) {
  const made = element("th", { text: t(`gl.lab.${name}`) });
  made.scope = "col";
  return made;
}

const percent = (share) => (typeof share === "number" ? `${(100 * share).toFixed(1)} %` : "–");

/** Who made a version: a token's name as it is, the other ones in words. */
export function nameOf(by) {
  return has(`gl.who.${by}`) ? t(`gl.who.${by}`) : by;
}

/** The newest versions; onOpen(version): load one as a draft. */
export async function drawVersions(list, onOpen) {
  const { versions } = await request("GET", "api/glossary/versions");
  list.replaceChildren(
    ...versions.slice(0, VERSIONS_SHOWN).map((one) => {
      const version = one.glossary_version;
      const values = { when: when(one.at), who: nameOf(one.by), n: one.terms };
      return element(
        "li",
        { className: "version" },
        element("div", {}, element("b", { text: t("gl.version", { version }) }), element("span", { className: "lead", text: t("gl.versionOf", values) })),
        button(t("gl.open"), t("gl.openThis", { version }), () => onOpen(version)),
      );
    }),
  );
}
