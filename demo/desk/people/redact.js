/* The dialog that removes the text and the audio of a range for good. It says what will happen before it happens. */

import { address, request } from "../../api.js";
import { t } from "../../i18n.js";
import { timecode } from "../../timecode.js";
import { check, field, msOf, named, openDialog } from "./dialog.js";

const AROUND_MS = 300; // word times are off by up to 200 ms
const REASON_CHARS_MAX = 300;
const ASK_AFTER_MS = 300; // without typing

/** line: the range begins and ends with it. */
export function openRedact(line) {
  const { session, channel } = line;
  const from = time(Math.max(0, line.start_ms - AROUND_MS));
  const to = time(line.end_ms + AROUND_MS);
  const text = check(t("people.redact.text"), true);
  const audio = check(t("people.redact.audio"), true);
  const reason = named("input", { type: "text", maxLength: REASON_CHARS_MAX, required: true, autocomplete: "off" });
  const will = named("p", { className: "will" });
  will.setAttribute("role", "status");
  const times = named("div", { className: "times" }, field(t("people.redact.from"), from), field(t("people.redact.to"), to));
  const { form, say, finish } = openDialog({
    heading: t("people.redact.heading", { channel }),
    parts: [
      named("p", { className: "warning", textContent: t("people.redact.lead") }),
      ...[times, text.node, audio.node, will, named("p", { className: "lead", textContent: t("people.redact.stays") })],
      field(t("people.redact.reason"), reason),
    ],
    submit: t("people.redact.go"),
    isDanger: true,
    onSubmit: remove,
    className: "redact",
  });
  let timer = 0;
  let asked = 0;
  form.addEventListener("input", () => (clearTimeout(timer), (timer = setTimeout(ask, ASK_AFTER_MS))));
  reason.focus();
  ask();

  function range() {
    const [from_ms, to_ms] = [msOf(from.value), msOf(to.value)];
    return from_ms < to_ms ? { from_ms, to_ms } : null; // NaN compares as false
  }

  /** Ask the server what would be removed. Only the newest answer counts. */
  async function ask() {
    const wanted = range();
    const number = (asked += 1);
    if (!wanted) return (will.textContent = t("people.redact.badTime"));
    try {
      const trial = await request("GET", address(`api/sessions/${session}/redactions/trial`, { channel, ...wanted }));
      if (number !== asked) return;
      const what = words(text.input.checked ? trial.lines : 0, audio.input.checked ? trial.audio_ms : 0);
      will.textContent = t("people.redact.will", { what: what || t("people.redact.nothing") });
    } catch (error) {
      if (number === asked) will.textContent = error.detail || error.message;
    }
  }

  async function remove() {
    const wanted = range();
    if (!wanted) return say(t("people.redact.badTime"), true);
    const body = { channel, ...wanted, text: text.input.checked, audio: audio.input.checked, reason: reason.value };
    const submit = form.querySelector("[type=submit]");
    submit.disabled = true;
    try {
      const done = await request("POST", `api/sessions/${session}/redactions`, body);
      const copies = done.copies.length ? ` ${t("people.redact.copies", { files: done.copies.join(", ") })}` : "";
      const what = words(done.segments.length, done.audio_ms) || t("people.redact.nothing");
      say(t("people.redact.done", { what }) + copies, Boolean(copies));
      for (const input of form.querySelectorAll("input")) input.disabled = true;
      will.remove();
      finish();
    } catch (error) {
      submit.disabled = false;
      say(error.detail || error.message, true);
    }
  }
}

function time(ms) {
  return named("input", { type: "text", value: timecode(ms), autocomplete: "off", inputMode: "decimal" });
}

/** "the text of 3 lines and 2.4 s of audio"; empty: nothing. */
function words(lines, audioMs) {
  const text = lines === 1 ? t("people.redact.line") : lines ? t("people.redact.lines", { n: lines }) : "";
  const sound = audioMs ? t("people.redact.sound", { seconds: (audioMs / 1000).toFixed(1) }) : "";
  return text && sound ? t("people.and", { a: text, b: sound }) : text || sound;
}
