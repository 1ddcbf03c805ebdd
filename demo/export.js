/* Files made in the page from the lines it shows: TXT, SRT, JSON. Pure but for `save`, which hands a file to the browser. */

import { timecode } from "./timecode.js";

const TYPES = { txt: "text/plain", srt: "application/x-subrip", json: "application/json" };

export function asText(lines) {
  return lines.map((line) => `[${timecode(line.start_ms)}] ${line.channel} ${line.text}\n`).join("");
}

/** SubRip: counted from 1, hours always written, a comma before the milliseconds, an empty line after each. */
export function asSrt(lines) {
  const ordered = [...lines].sort((a, b) => a.start_ms - b.start_ms);
  return ordered
    .map((line, i) => `${i + 1}\n${srtTime(line.start_ms)} --> ${srtTime(line.end_ms)}\n${line.text}\n\n`)
    .join("");
}

function srtTime(ms) {
  const text = timecode(ms).replace(".", ",");
  return text.length === 9 ? `00:${text}` : text;
}

export function asJson(lines, { session, savedAt }) {
  const keys = [
    "seq", "session", "channel", "utterance", "segment", "start_ms", "end_ms", "start", "end", "text", "raw",
    "language", "conf", "words", "edits", "glossary_version", "latency_ms", "wall",
  ];
  const kept = lines.map((line) => Object.fromEntries(keys.filter((k) => k in line).map((k) => [k, line[k]])));
  return `${JSON.stringify({ v: 1, session, saved_at: savedAt, segments: kept }, null, 2)}\n`;
}

export function make(kind, lines, session, now = new Date()) {
  if (kind === "txt") return asText(lines);
  if (kind === "srt") return asSrt(lines);
  return asJson(lines, { session, savedAt: now.toISOString() });
}

export function save(kind, lines, session, now = new Date()) {
  const blob = new Blob([make(kind, lines, session, now)], { type: `${TYPES[kind]};charset=utf-8` });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `transcript-${now.toISOString().slice(0, 16).replace(/[:T]/g, "-")}.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000); // long enough for the browser to have read it
}
