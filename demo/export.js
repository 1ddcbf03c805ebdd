/* Makes files from the lines on the page: TXT, SRT, JSON. Pure, except `save`, which starts a download. */

import { timecode } from "./timecode.js";

const TYPES = { txt: "text/plain", srt: "application/x-subrip", json: "application/json" };

/** One line of text for each line. Also used to copy. */
export function asText(lines) {
  return lines.map((line) => `[${timecode(line.start_ms)}] ${line.channel} ${line.text}\n`).join("");
}

/** SubRip: numbers from 1, always with hours, a comma before the milliseconds, an empty line after each entry. */
function asSrt(lines) {
  const ordered = [...lines].sort((a, b) => a.start_ms - b.start_ms);
  return ordered
    .map((line, i) => `${i + 1}\n${srtTime(line.start_ms)} --> ${srtTime(line.end_ms)}\n${line.text}\n\n`)
    .join("");
}

function srtTime(ms) {
  const text = timecode(ms).replace(".", ",");
  return text.length === 9 ? `00:${text}` : text;
}

function asJson(lines, { session, savedAt }) {
  const keys = [
    "seq", "session", "channel", "utterance", "segment", "start_ms", "end_ms", "start", "end", "text", "raw",
    "language", "conf", "words", "edits", "glossary_version", "source", "original", "latency_ms", "wall",
  ];
  const kept = lines.map((line) => Object.fromEntries(keys.filter((k) => k in line).map((k) => [k, line[k]])));
  return `${JSON.stringify({ v: 1, session, saved_at: savedAt, segments: kept }, null, 2)}\n`;
}

/** The content of a file. kind: txt, srt or json. */
export function make(kind, lines, session, now = new Date()) {
  if (kind === "txt") return asText(lines);
  if (kind === "srt") return asSrt(lines);
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
