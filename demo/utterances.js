/* Which finals form one line on the pages and in text files: those of one utterance.
 *
 * The server makes words of unbroken speech final early, so an utterance usually has several finals. Pure.
 */

import { SOURCES } from "./events.js";

export const LINE_MS_MAX = 60_000; // after a minute of unbroken speech, a line with a new time begins
const WITHOUT_SPACES = new Set(["bo", "ja", "km", "lo", "my", "th", "yue", "zh"]);

/** Whether `line` continues the line on screen that begins with `first` and ends with `before`, of the same channel. */
export function continues(first, before, line) {
  if (before?.kind === "gap" || line.kind === "gap") return false;
  const isSame = ["session", "channel", "utterance"].every((key) => before?.[key] === line[key]);
  const hasSameSource = sourceOf(before ?? {}) === sourceOf(line);
  return isSame && Boolean(line.utterance) && hasSameSource && line.end_ms - first.start_ms <= LINE_MS_MAX;
}

const sourceOf = ({ source }) => (SOURCES.includes(source) ? source : "");

/** What stands between the texts of two finals of one utterance. */
export function separator(before, line) {
  return WITHOUT_SPACES.has(before.language) && WITHOUT_SPACES.has(line.language) ? "" : " ";
}

/** The finals as groups, one for each line on screen: [[final, final], [final]], in the order of their first finals.
 *  entries: finals, and gaps if there are any. */
export function grouped(entries) {
  const groups = [];
  const open = new Map(); // channel -> its last group, if no gap follows it
  for (const entry of entries) {
    const group = open.get(entry.channel);
    if (entry.kind === "gap") open.delete(entry.channel);
    else if (group && continues(group[0], group.at(-1), entry)) group.push(entry);
    else {
      groups.push([entry]);
      open.set(entry.channel, groups.at(-1));
    }
  }
  return groups;
}

/** The text of a group in one piece. */
export function textOf(group) {
  return group.map((line, at) => (at ? separator(group[at - 1], line) : "") + line.text.trim()).join("");
}
