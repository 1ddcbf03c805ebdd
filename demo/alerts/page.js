/* The page of the alerts: loads and saves the rules, shows the recent alerts, and holds the webhooks.
 *
 * Owns the version that the draft starts from. The editor is rules.js, the webhooks are hooks.js.
 */

import { request } from "../api.js";
import { language, t } from "../i18n.js";
import { needsToken } from "../notice.js";
import { $, askToken, beginPage } from "../page.js";
import { Webhooks } from "./hooks.js";
import { button, element, when } from "./parts.js";
import { RulesEditor, ruleToSend } from "./rules.js";

const RECENT_EVERY_MS = 5000;

const notice = beginPage();
const editor = new RulesEditor($("rules"), $("rules-none"));
const webhooks = new Webhooks({
  list: $("hooks"),
  form: $("hook-form"),
  name: $("hook-name"),
  url: $("hook-url"),
  events: $("hook-events"),
  status: $("hooks-status"),
  secret: $("secret"),
  secretLabel: $("secret-label"),
  secretBox: $("hooks-secret"),
});
let version = "";
let isChanged = false;
let status = ["", {}];
let recent = [];

async function load() {
  try {
    take(await request("GET", "api/alerts/rules"));
    showStatus("al.inUse");
  } catch (error) {
    showStatus("al.unread", { detail: error.message });
    if (error.code === "bad_token") notice.show(error);
  }
}

function take(list) {
  ({ version } = list);
  editor.load(list.rules);
  $("groups").value = list.groups.map(({ name, channels }) => `${name}: ${channels.join(", ")}`).join("\n");
  setChanged(false);
  showMistakes([]);
  showWarnings([...(list.trouble ? [{ rule: "", message: list.trouble }] : []), ...list.warnings]);
}

function groups() {
  const rows = $("groups").value.split("\n").map((line) => line.trim()).filter(Boolean);
  return rows.map((row) => {
    const [name, channels = ""] = row.split(/:(.*)/);
    return { name: name.trim(), channels: channels.split(/[,\s]+/).filter(Boolean) };
  });
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
  showStatus("al.unsaved");
}

async function save() {
  showStatus("al.saving");
  $("save").disabled = true;
  const body = { groups: groups(), rules: editor.rules.map(ruleToSend) };
  try {
    take(await request("PUT", "api/alerts/rules", body, { headers: { "If-Match": `"${version}"` } }));
    showStatus("al.saved");
  } catch (error) {
    $("save").disabled = false;
    if (error.status === 412) showStatus("al.conflict");
    else if (error.mistakes?.length) {
      showMistakes(error.mistakes);
      showStatus(error.mistakes.length === 1 ? "al.mistake" : "al.mistakes", { n: error.mistakes.length });
    } else {
      showStatus("al.failed", { detail: error.message });
      if (error.code === "bad_token" && (await askToken())) await save();
    }
  }
}

function showMistakes(mistakes) {
  const goTo = editor.mark(mistakes);
  const ofGroups = mistakes.find(({ path }) => path[0] === "groups");
  $("groups-wrong").textContent = ofGroups?.message ?? "";
  $("groups-wrong").hidden = !ofGroups;
  $("mistakes").hidden = !mistakes.length;
  $("mistakes").replaceChildren(
    ...mistakes.map(({ place, message, term }, at) => {
      const where = [term, place].filter(Boolean).join(", ");
      const go = element("button", {}, element("b", { text: where }), " ", element("span", { text: message, lang: "en" }));
      go.type = "button";
      go.addEventListener("click", () => (mistakes[at].path[0] === "groups" ? $("groups").focus() : goTo[at]()));
      return go;
    }),
  );
  if (mistakes.length) $("mistakes").firstElementChild.click();
}

function showWarnings(warnings) {
  $("warnings").hidden = !warnings.length;
  const rows = warnings.map(({ rule, message }) =>
    element("p", {}, element("b", { text: rule }), " ", element("span", { text: message, lang: "en" })),
  );
  $("warnings").replaceChildren(...rows);
}

/* ---- recent alerts ------------------------------------------------------------------------------------------- */

async function loadRecent() {
  if (document.hidden) return;
  try {
    const found = (await request("GET", "api/alerts?state=all&limit=30")).alerts;
    if (JSON.stringify(found) === JSON.stringify(recent)) return; // focus and selection stay
    recent = found;
    drawRecent();
  } catch {
    return; // the rules say what is wrong; the next look tries again
  }
}

function drawRecent() {
  const rows = recent.map((alert) => {
    const level = element("span", { className: "level", text: t(`al.level.${alert.level}`) });
    level.dataset.level = alert.level;
    const head = element("p", { className: "head" }, level, element("b", { text: alert.rule }), element("span", { text: alert.channel }));
    const said = alert.text ?? alert.matched ?? t(`al.cause.${alert.cause}`);
    const state = t(`al.state.${alert.state}`, { by: alert.by ?? "" });
    const item = element(
      "li",
      { className: "alert" },
      head,
      element("p", { text: said }),
      element("p", { className: "lead", text: `${when(alert.raised_wall)} · ${state}` }),
    );
    if (["open", "provisional"].includes(alert.state)) {
      item.append(button(t("al.acknowledge"), t("al.acknowledgeThis", alert), () => acknowledge(alert.alert)));
    }
    return item;
  });
  $("recent").replaceChildren(...(rows.length ? rows : [element("li", { className: "lead", text: t("al.recentNone") })]));
}

async function acknowledge(id) {
  try {
    await request("POST", `api/alerts/${id}/acknowledge`);
    await loadRecent();
  } catch (error) {
    notice.show(error);
  }
}

editor.addEventListener("change", changed);
$("groups").addEventListener("input", changed);
$("add-rule").addEventListener("click", () => editor.add());
$("save").addEventListener("click", save);
$("discard").addEventListener("click", load);
document.addEventListener("keydown", (event) => {
  if (event.key === "s" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    if (isChanged) save();
  }
});
addEventListener("beforeunload", (event) => isChanged && event.preventDefault());
language.addEventListener("language", () => {
  editor.draw();
  webhooks.draw();
  drawRecent();
  showStatus(...status);
});
if ((await needsToken()) && !(await askToken())) notice.show({ code: "bad_token" });
await Promise.all([load(), webhooks.load(), loadRecent()]);
drawRecent();
setInterval(loadRecent, RECENT_EVERY_MS);
document.documentElement.dataset.ready = "";
