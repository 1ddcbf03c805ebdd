/* The dialog that adds words of a line to the glossary, and accepts or dismisses what the glossary suggests.
 *
 * A supervisor changes the glossary at once; an operator makes a suggestion that a supervisor can accept.
 */

import { request } from "../../api.js";
import { t } from "../../i18n.js";
import { field, named, openDialog } from "./dialog.js";
import { mayAs } from "./line-bar.js";
import { quote } from "./words.js";

const SUGGESTIONS = "api/glossary/suggestions";

/** line: the chosen one; selected: the words that the user marked, or ""; me: {name, role}. */
export function openLearn(line, selected, me) {
  const maySave = mayAs(me.role, "supervisor");
  const term = named("input", { type: "text", required: true, maxLength: 100, autocomplete: "off", value: selected });
  const heard = named("input", { type: "text", maxLength: 100, autocomplete: "off" });
  const list = named("ul", { className: "links" });
  const { say, dialog } = openDialog({
    heading: t("people.learn.heading"),
    parts: [quote(line), field(t("people.learn.term"), term), field(t("people.learn.heard"), heard)],
    submit: t("people.learn.add"),
    onSubmit: add,
    className: "learn",
  });
  dialog.append(named("h3", { textContent: t("people.learn.list") }), list);
  if (!maySave) list.before(named("p", { className: "lead", textContent: t("people.learn.role") }));
  term.focus();
  drawList();

  async function add() {
    const [word, alias] = [term.value.trim(), heard.value.trim()];
    try {
      if (maySave) {
        say(t((await save(word, alias)) ? "people.learn.added" : "people.learn.already"));
      } else {
        const body = { old: alias || line.text, new: word, channel: line.channel, segment: line.segment };
        const { texts } = await request("POST", SUGGESTIONS, body);
        say(t(texts.length ? "people.learn.offered" : "people.learn.already"));
      }
      await drawList();
    } catch (error) {
      say(error.detail || error.message, true);
    }
  }

  async function drawList() {
    try {
      const { suggestions } = await request("GET", SUGGESTIONS);
      const rows = suggestions.map((one) => row(one, maySave, decide));
      list.replaceChildren(...(rows.length ? rows : [named("li", { className: "lead", textContent: t("people.learn.none") })]));
    } catch (error) {
      say(error.detail || error.message, true);
    }
  }

  async function decide(id, action) {
    try {
      await request("POST", `${SUGGESTIONS}/${id}/${action}`);
      say("");
    } catch (error) {
      say(error.detail || error.message, true);
    }
    await drawList();
  }
}

/** Add a term or another form of it. If-Match keeps the change of another person. Returns false if it is there. */
async function save(word, alias) {
  const { glossary_version: version, ...body } = await request("GET", "api/glossary");
  const terms = body.terms ?? [];
  const known = terms.find((one) => one.canonical === word);
  const aliases = [...(known?.aliases ?? [])];
  if (known && (!alias || aliases.includes(alias))) return false;
  if (alias && alias !== word) aliases.push(alias);
  const entry = { ...known, canonical: word, ...(aliases.length ? { aliases } : {}) };
  const changed = known ? terms.map((one) => (one === known ? entry : one)) : [...terms, entry];
  await request("PUT", "api/glossary", { ...body, terms: changed }, { headers: { "If-Match": `"${version}"` } });
  return true;
}

function row({ id, text, term, times }, maySave, decide) {
  const words = term ? t("people.learn.alias", { text, term }) : t("people.learn.word", { text });
  const count = named("span", { className: "lead", textContent: t("people.learn.times", { n: times }) });
  const node = named("li", {}, named("b", { textContent: words }), count);
  for (const action of maySave ? ["accept", "dismiss"] : []) {
    const label = t(`people.learn.${action}`);
    const button = named("button", { type: "button", className: action === "accept" ? "" : "quiet", textContent: label });
    button.setAttribute("aria-label", `${label}: ${text}`);
    button.addEventListener("click", () => decide(id, action));
    node.append(button);
  }
  return node;
}
