/* Makes files from the lines on the page: TXT, SRT, JSON. Pure, except `save`, which starts a download. */

import { isNotSaid } from "./events.js";
import { timecode } from "./timecode.js";
import { continues, grouped, textOf } from "./utterances.js";

const CUE_MS_MIN = 1000; // a shorter subtitle cannot be read; as in host_stt_common/subtitles.py
const TYPES = { txt: "text/plain", srt: "application/x-subrip", json: "application/json" };

/** One line of text for each line on screen. Also used to copy. */
export function asText(lines) {
  const asLine = (group) => `[${timecode(group[0].start_ms)}] ${group[0].channel} ${textOf(group)}\n`;
  return grouped(lines).map(asLine).join("");
}

/** SubRip, one entry for each cue: a whole utterance is too long for a subtitle. Numbers from 1, always with hours, a
 *  comma before the milliseconds, an empty line after each entry. */
function asSrt(lines) {
  const ordered = cuesOf([...lines].sort((a, b) => a.start_ms - b.start_ms));
  return ordered
    .map((line, i) => `${i + 1}\n${srtTime(line.start_ms)} --> ${srtTime(readableEnd(ordered, i))}\n${line.text}\n\n`)
    .join("");
}

/** One cue for each final; but one that would be shown for less than CUE_MS_MIN is joined with the next final of its
 *  utterance, as in webrtc_host/transcript/export_lines.py. */
function cuesOf(ordered) {
  const groups = [];
  const newest = new Map(); // channel -> its last group
  for (const line of ordered) {
    const group = newest.get(line.channel);
    const isShort = group && line.start_ms - group[0].start_ms < CUE_MS_MIN && group.at(-1).end_ms - group[0].start_ms < CUE_MS_MIN;
    if (isShort && continues(group[0], group.at(-1), line)) group.push(line);
    else {
      groups.push([line]);
      newest.set(line.channel, groups.at(-1));
    }
  }
  return groups.map((group) => ({ ...group[0], end_ms: Math.max(...group.map((line) => line.end_ms)), text: textOf(group) }));
}

/** A short text stays for CUE_MS_MIN, but not into the next text of its channel. */
function readableEnd(ordered, at) {
  const { channel, start_ms, end_ms } = ordered[at];
  const next = ordered.slice(at + 1).find((line) => line.channel === channel);
  return Math.max(end_ms, Math.min(start_ms + CUE_MS_MIN, next?.start_ms ?? Infinity));
}

function srtTime(ms) {
  const text = timecode(ms).replace(".", ",");
  return text.length === 9 ? `00:${text}` : text;
}

function asJson(lines, { session, savedAt }) {
  const keys = [
    "seq", "session", "channel", "utterance", "segment", "start_ms", "end_ms", "start", "end", "text", "raw",
    "language", "conf", "words", "edits", "glossary_version", "source", "talkers", "original", "marks", "latency_ms", "wall",
  ];
  const kept = lines.map((line) => Object.fromEntries(keys.filter((k) => k in line).map((k) => [k, line[k]])));
  return `${JSON.stringify({ v: 1, session, saved_at: savedAt, segments: kept }, null, 2)}\n`;
}

/** The content of a file. kind: txt, srt or json. Lines that are marked as not said are in JSON only. */
export function make(kind, lines, session, now = new Date()) {
  const said = lines.filter((line) => !isNotSaid(line));
  if (kind === "txt") return asText(said);
  if (kind === "srt") return asSrt(said);
  return asJson(lines, { session, savedAt: now.toISOString() });
}

/** Download a file. kind: txt, srt or json. */
export function save(kind, lines, session) {
  const now = new Date();
  const blob = new Blob([make(kind, lines, session, now)], { type: `${TYPES[kind]};charset=utf-8` });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `transcript-${now.toISOString().slice(0, 16).replace(/[:T]/g, "-")}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // the browser has copied it by then
}
