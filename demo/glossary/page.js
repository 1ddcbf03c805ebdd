/* The glossary page: loads the list, saves it, and merges it with the change of another person.
 *
 * Owns the version that the draft starts from. The editor is editor.js, the panels beside it panels.js.
 */

import { request, token } from "../api.js";
import { language, t } from "../i18n.js";
import { needsToken } from "../notice.js";
import { $, askToken, beginPage } from "../page.js";
import { Editor } from "./editor.js";
import { changesOf, conflictsOf, merged } from "./merge.js";
import { SuggestionsPanel, TryPanel, drawLab, drawPrompt, drawVersions, nameOf } from "./panels.js";

const CHANNELS = 16;

const notice = beginPage();
const editor = new Editor({ terms: $("terms"), patterns: $("patterns"), defaults: $("defaults"), note: $("terms-note") });
let base = { terms: [] }; // the list that the draft starts from
let version = 0; // its number
let isFile = false; // edited as a file
let fileText = ""; // the file that the text starts from
let isChanged = false;
let status = ["", {}];

const suggestions = new SuggestionsPanel({
  list: $("suggestions"),
  status: $("suggestions-status"),
  onAccepted: () => (isChanged ? drawSide() : load()),
});
const trying = new TryPanel({
  form: $("try"),
  text: $("try-text"),
  run: $("try-run"),
  status: $("try-status"),
  list: $("tried"),
  draft: () => editor.draft,
  onMistakes: showMistakes,
});

async function load() {
  try {
    const list = await request("GET", "api/glossary");
    take(list);
    showStatus("gl.inUse", { version });
    if (isFile) await loadFile();
  } catch (error) {
    showStatus("gl.unread", { detail: error.message });
    if (error.code === "bad_token") notice.show(error);
  }
  drawSide();
}

function take(list) {
  ({ glossary_version: version, ...base } = list);
  editor.load(base);
  setChanged(false);
  showMistakes([]);
}

async function loadFile() {
  $("file").disabled = true; // what is typed before the file arrives would be lost
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const response = await fetch(new URL("api/glossary/file", document.baseURI), { headers, cache: "no-store" });
  fileText = $("file").value = response.ok ? await response.text() : "";
  $("file").disabled = false;
}

function setChanged(now) {
  isChanged = now;
  $("save").disabled = $("discard").disabled = !now;
}

function showStatus(key, values = {}) {
  status = [key, values];
  $("status").textContent = key ? t(key, values) : "";
}

function changed() {
  setChanged(true);
  showStatus("gl.unsaved");
}

async function save() {
  showStatus("gl.saving");
  $("save").disabled = true;
  const headers = { "If-Match": `"${version}"` };
  try {
    const saved = isFile
      ? await request("PUT", "api/glossary", undefined, {
          headers: { ...headers, "Content-Type": "application/yaml" },
          body: $("file").value,
        })
      : await request("PUT", "api/glossary", editor.draft, { headers });
    take(saved);
    if (isFile) await loadFile();
    showStatus("gl.saved", { version });
    drawSide();
  } catch (error) {
    $("save").disabled = false;
    if (error.status === 412) await resolve();
    else if (error.mistakes?.length) {
      showMistakes(error.mistakes);
      showStatus(error.mistakes.length === 1 ? "gl.mistake" : "gl.mistakes", { n: error.mistakes.length });
    } else {
      showStatus("gl.failed", { detail: error.message });
      if (error.code === "bad_token" && (await askToken())) await save();
    }
  }
}

/** Another person has changed the list: show what, merge, and let this person save again. */
async function resolve() {
  const { glossary_version: newest, ...theirs } = await request("GET", "api/glossary");
  const { versions } = await request("GET", "api/glossary/versions");
  const who = nameOf(versions.find((one) => one.glossary_version === newest)?.by ?? "anyone");
  if (isFile) {
    showStatus("gl.conflictFile", { who, version: newest });
    return;
  }
  const conflicts = conflictsOf(base, editor.draft, theirs);
  const choices = await askConflict(who, changesOf(base, theirs), conflicts);
  if (choices === null) {
    showStatus("gl.unsaved");
    return;
  }
  const list = merged(base, editor.draft, theirs, (conflict) => choices.get(`${conflict.part} ${conflict.name}`) !== "theirs");
  editor.load(list);
  base = theirs;
  version = newest;
  setChanged(true);
  showStatus("gl.merged", { version });
  $("save").focus();
}

/** The dialog of a conflict. Resolves to the choice for each term, or null for "not now". */
function askConflict(who, changes, conflicts) {
  const dialog = $("conflict");
  $("conflict-heading").textContent = t("gl.conflict", { who });
  $("conflict-theirs").replaceChildren(
    ...changes.map(({ kind, name }) => {
      const item = document.createElement("li");
      item.textContent = t(`gl.conflict.${kind}`, { name });
      return item;
    }),
  );
  $("conflict-choices").replaceChildren(...conflicts.map(conflictField));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener(
      "close",
      () => {
        if (dialog.returnValue !== "merge") return done(null);
        const chosen = [...dialog.querySelectorAll("input:checked")];
        return done(new Map(chosen.map((input) => [input.name, input.value])));
      },
      { once: true },
    );
  });
}

function conflictField({ part, name, mine, theirs }) {
  const field = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = name;
  field.append(legend);
  for (const [value, object] of Object.entries({ mine, theirs })) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), {
      type: "radio",
      name: `${part} ${name}`,
      value,
      checked: value === "mine",
    });
    const text = document.createElement("span");
    text.textContent = t(`gl.conflict.${value}`);
    const detail = document.createElement("code");
    detail.textContent = object ? describe(object) : t("gl.conflict.gone");
    label.append(input, text, detail);
    field.append(label);
  }
  return field;
}

/** The keys of a term in short. */
function describe({ canonical, ...rest }) {
  const parts = Object.entries(rest).map(([key, value]) => `${key}: ${JSON.stringify(value).replaceAll('"', "")}`);
  return parts.join(" · ") || canonical || "";
}

function showMistakes(mistakes) {
  const box = $("mistakes");
  const goTo = isFile ? mistakes.map((one) => () => selectLine(one.line)) : editor.mark(mistakes);
  box.hidden = !mistakes.length;
  box.replaceChildren(
    ...mistakes.map(({ place, message, term, line }, at) => {
      const button = document.createElement("button");
      button.type = "button";
      const where = [line && isFile ? t("gl.line", { line }) : "", term || place].filter(Boolean).join(", ");
      button.append(Object.assign(document.createElement("b"), { textContent: where }), " ");
      button.append(Object.assign(document.createElement("span"), { textContent: message, lang: "en" }));
      button.addEventListener("click", goTo[at]);
      return button;
    }),
  );
  if (mistakes.length) goTo[0]();
}

function selectLine(line) {
  const area = $("file");
  const rows = area.value.split("\n");
  const from = rows.slice(0, Math.max(0, (line ?? 1) - 1)).reduce((sum, row) => sum + row.length + 1, 0);
  area.focus();
  area.setSelectionRange(from, from + (rows[(line ?? 1) - 1]?.length ?? 0));
  area.scrollTop = (area.scrollHeight / Math.max(1, rows.length)) * Math.max(0, (line ?? 1) - 6);
}

/** The form and the file are two views of the saved list; a draft in one of them is saved or discarded first. */
async function show(view) {
  if ((view === "file") === isFile) return;
  if (isChanged) {
    showStatus("gl.unsaved");
    $("save").focus();
    return;
  }
  isFile = view === "file";
  for (const button of document.querySelectorAll("[data-view]"))
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
  $("form-view").hidden = isFile;
  $("file-view").hidden = !isFile;
  showMistakes([]);
  if (isFile) await loadFile();
}

async function openVersion(number) {
  const { glossary_version: opened, ...list } = await request("GET", `api/glossary?version=${number}`);
  if (isFile) {
    setChanged(false);
    await show("form");
  }
  editor.load(list);
  setChanged(opened !== version);
  showStatus(opened === version ? "gl.inUse" : "gl.draftOf", { version: opened });
  $("terms-heading").scrollIntoView({ block: "start" });
}

function drawSide() {
  $("known-terms").replaceChildren(...(base.terms ?? []).map((term) => new Option(term.canonical)));
  suggestions.load();
  drawPrompt($("prompt"), $("prompt-channel").value);
  drawLab($("lab"));
  drawVersions($("versions"), openVersion).catch(() => $("versions").replaceChildren());
}

for (let n = 1; n <= CHANNELS; n += 1) {
  const name = `C${String(n).padStart(2, "0")}`;
  $("prompt-channel").append(new Option(name, name));
}
editor.addEventListener("change", changed);
$("file").addEventListener("input", () => ($("file").value === fileText ? setChanged(false) : changed()));
$("search").addEventListener("input", (event) => editor.search(event.target.value));
$("add-term").addEventListener("click", () => {
  $("search").value = "";
  editor.addTerm();
});
$("add-pattern").addEventListener("click", () => editor.addPattern());
$("save").addEventListener("click", save);
$("discard").addEventListener("click", load);
$("prompt-channel").addEventListener("change", () => drawPrompt($("prompt"), $("prompt-channel").value));
for (const button of document.querySelectorAll("[data-view]"))
  button.addEventListener("click", () => show(button.dataset.view));
document.addEventListener("keydown", (event) => {
  if (event.key === "s" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (isChanged) save();
  }
});
addEventListener("beforeunload", (event) => isChanged && event.preventDefault());
language.addEventListener("language", () => {
  editor.draw();
  trying.relabel();
  suggestions.draw();
  showStatus(...status);
  drawSide();
});
if ((await needsToken()) && !(await askToken())) notice.show({ code: "bad_token" });
trying.relabel();
await load();
document.documentElement.dataset.ready = "";
