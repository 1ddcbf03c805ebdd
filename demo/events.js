/* The values of the server's events that the pages know. Tests compare these lists with the server, so they are
 * written as JSON literals: no trailing comma, no expression.
 */

/** Every event type. transcript.js has one handler for each. */
export const EVENT_TYPES = [
  "session.started",
  "session.ended",
  "channel.opened",
  "channel.closed",
  "channel.state",
  "speech.started",
  "speech.ended",
  "segment.interim",
  "segment.final",
  "segment.revised",
  "segment.marked",
  "note.added",
  "range.redacted",
  "window.failed",
  "coverage",
  "alert.raised",
  "alert.confirmed",
  "alert.withdrawn",
  "alert.escalated",
  "alert.acknowledged",
  "summary.updated",
  "error"
];

/** Values of `source` in a final. A final of live audio has no source. */
export const SOURCES = ["backfill", "call", "recovery", "recording"];

/** Reasons of `channel.closed` when the sender ended on purpose. With any other reason, audio may be missing. */
export const ORDERLY_ENDS = [
  "hung_up",
  "peer_closed",
  "read",
  "session_ended",
  "stopped",
  "track_ended",
  "track_removed"
];

/** True for a final whose audio was not transcribed live: its text comes late, so its age is not a latency. */
export function isLate(final) {
  return SOURCES.includes(final.source);
}

/** Whether a person has marked the line as not said: the engine wrote words for a noise. */
export const isNotSaid = (line) => Boolean(line?.marks?.includes("not_said"));

/** The marks of a line after a `segment.marked`. marks: before it, if there are any. */
export function withMark(marks, { mark, is_set }) {
  const others = (marks ?? []).filter((one) => one !== mark);
  return is_set ? [...others, mark] : others;
}
