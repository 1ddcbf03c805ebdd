/* The line of counts in the bar of the desk: how many channels talk, are late, have no signal; and what was lost. */

import { t } from "../i18n.js";
import { $ } from "../page.js";
import { lostSeconds, seconds } from "./parts.js";

/** model: a DeskModel; afterMs: how long a call stays visible. */
export function drawCounts(model, nowMs, afterMs) {
  const states = [...model.channels.values()].map((channel) => model.shownState(channel, nowMs, afterMs));
  const count = (...names) => states.filter((state) => names.includes(state)).length;
  const parts = []; // the most urgent first: on a narrow screen the last ones have no room
  const lostMs = [...model.channels.values()].reduce((sum, channel) => sum + channel.lostLately(nowMs), 0);
  if (lostMs) parts.push(t("desk.lostAll", { seconds: lostSeconds(lostMs) }));
  if (count("behind")) parts.push(t("desk.behind", { n: count("behind") }));
  if (count("no_signal", "disconnected")) parts.push(t("desk.noSignal", { n: count("no_signal", "disconnected") }));
  parts.push(t("desk.talking", { n: count("talking") }));
  const slowest = slowestOf(model);
  if (slowest) parts.push(t("desk.slowest", { channel: slowest.id, delay: seconds(slowest.delayMs) }));
  write($("counts"), parts);
  $("counts").classList.toggle("bad", lostMs > 0 || count("behind", "no_signal") > 0);
}

/** Each part is an element, so that it is broken nowhere. */
function write(node, parts) {
  const text = parts.join(" · ");
  if (node.title === text) return;
  node.title = text;
  const spans = parts.map((part) => {
    const span = document.createElement("span");
    span.textContent = part; // the style sets the dots between them: none stands at the end of a row
    return span;
  });
  node.replaceChildren(...spans.flatMap((span, n) => (n ? [" ", span] : [span])));
}

/** The channel whose text takes longest, or null: there was no text yet. */
function slowestOf(model) {
  const timed = [...model.channels.values()].filter((channel) => channel.delayMs !== null);
  return timed.reduce((worst, channel) => (channel.delayMs > (worst?.delayMs ?? -1) ? channel : worst), null);
}
