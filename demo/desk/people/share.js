/* The dialog that makes links: to a line, to a range, or to the wall. It also lists and revokes links. */

import { request } from "../../api.js";
import { language, t } from "../../i18n.js";
import { toClipboard } from "../../page.js";
import { timecode } from "../../timecode.js";
import { check, field, msOf, named, openDialog } from "./dialog.js";
import { mayAs } from "./line-bar.js";
import { quote } from "./words.js";

const LIVES_S = { hour: 3600, shift: 8 * 3600, day: 86_400, week: 7 * 86_400, month: 30 * 86_400 };
const AROUND_MS = 300;

/** line: the chosen one; me: {name, role} of the user. */
export function openShare(line, me) {
  const kinds = ["line", "range", ...(mayAs(me.role, "supervisor") ? ["wall"] : [])].map((kind) => choice(kind));
  const from = named("input", { type: "text", value: timecode(Math.max(0, line.start_ms - AROUND_MS)), autocomplete: "off" });
  const to = named("input", { type: "text", value: timecode(line.end_ms + AROUND_MS), autocomplete: "off" });
  const all = check(t("people.share.all", { channel: line.channel }), false);
  const audio = check(t("people.share.audio"), false);
  const name = named("input", { type: "text", maxLength: 80, required: true, placeholder: t("people.share.namePlaceholder") });
  const life = named("select", {}, ...Object.keys(LIVES_S).map((key) => new Option(t(`people.share.${key}`), key, false, key === "shift")));
  const times = named("div", { className: "times" }, field(t("people.share.from"), from), field(t("people.share.to"), to));
  const made = named("div", { className: "made", hidden: true });
  const list = named("ul", { className: "links" });
  const { form, say, dialog } = openDialog({
    heading: t("people.share.heading"),
    parts: [
      ...[quote(line), named("div", { className: "kinds" }, ...kinds.map(({ node }) => node)), times, all.node, audio.node],
      ...[named("div", { className: "times" }, field(t("people.share.name"), name), field(t("people.share.expires"), life)), made],
    ],
    submit: t("people.share.make"),
    onSubmit: make,
    className: "share",
  });
  dialog.append(named("h3", { textContent: t("people.share.list") }), list);
  kinds[0].input.checked = true;
  form.addEventListener("change", drawKind);
  drawKind();
  name.focus();
  drawList();

  function kind() {
    return form.querySelector("[name=kind]:checked").value;
  }

  function drawKind() {
    times.hidden = kind() !== "range";
    all.node.hidden = kind() !== "range";
    audio.node.hidden = kind() === "wall";
  }

  function wish() {
    const common = { name: name.value, expires_in_s: LIVES_S[life.value] };
    if (kind() === "wall") return { ...common, kind: "wall" };
    const isLine = kind() === "line";
    const from_ms = isLine ? line.start_ms : msOf(from.value);
    const to_ms = isLine ? Math.max(line.end_ms, line.start_ms + 1) : msOf(to.value);
    if (!(from_ms < to_ms)) return null;
    const channels = !isLine && all.input.checked ? {} : { channels: line.channel };
    return { ...common, kind: "range", session: line.session, ...channels, from_ms, to_ms, audio: audio.input.checked };
  }

  async function make() {
    const wanted = wish();
    if (!wanted) return say(t("people.redact.badTime"), true);
    try {
      const { path } = await request("POST", "api/shares", wanted);
      showLink(made, new URL(path.slice(1), document.baseURI).href);
      say("");
      await drawList();
    } catch (error) {
      say(error.detail || error.message, true);
    }
  }

  async function drawList() {
    try {
      const { shares } = await request("GET", "api/shares?limit=50");
      const rows = shares.map((share) => row(share, revoke));
      list.replaceChildren(...(rows.length ? rows : [named("li", { className: "lead", textContent: t("people.share.none") })]));
    } catch (error) {
      say(error.detail || error.message, true);
    }
  }

  async function revoke(id) {
    try {
      await request("DELETE", `api/shares/${id}`);
    } catch (error) {
      say(error.detail || error.message, true);
    }
    await drawList();
  }
}

function choice(kind) {
  const input = named("input", { type: "radio", name: "kind", value: kind });
  const node = named("label", { className: "check" }, input, named("span", { textContent: t(`people.share.${kind}`) }));
  return { input, node };
}

/** The new link in a field, with a button that copies it. */
function showLink(place, link) {
  const input = named("input", { type: "text", readOnly: true, value: link });
  const copy = named("button", { type: "button", textContent: t("people.share.copy") });
  copy.addEventListener("click", async () => {
    const isCopied = await toClipboard(link);
    copy.textContent = t(isCopied ? "people.share.copied" : "people.share.copyFailed");
    input.select();
  });
  place.replaceChildren(field(t("people.share.link"), input), copy);
  place.hidden = false;
  input.focus();
  input.select();
}

function row({ id, name, state, kind, has_audio: hasAudio, who, expires_wall: expires }, onRevoke) {
  const time = new Date(expires).toLocaleString(language.current, { dateStyle: "short", timeStyle: "short" });
  const what = t(`people.share.kind.${kind === "wall" ? "wall" : hasAudio ? "audio" : "range"}`);
  const details = [what, t(`people.share.state.${state}`, { time }), t("people.share.by", { who })].join(" · ");
  const node = named("li", {}, named("b", { textContent: name }), named("span", { className: "lead", textContent: details }));
  if (state === "valid") {
    const button = named("button", { type: "button", className: "quiet", textContent: t("people.share.revoke") });
    button.setAttribute("aria-label", `${t("people.share.revoke")}: ${name}`);
    button.addEventListener("click", () => onRevoke(id));
    node.append(button);
  }
  return node;
}
