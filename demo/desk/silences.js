/* Finds the pauses inside a line, from the times of its words, so that a replay can skip them.
 *
 * Pure. Times are seconds in the clip of the line, which begins LEAD_S before its first word.
 */

export const LEAD_S = 0.3; // as the server's GET /api/segments/{id}/audio
const PAUSE_S = 0.7; // shorter pauses belong to the rhythm of speech
const KEEP_S = 0.2; // kept on both sides: word times are off by up to 0.2 s

/** [{from, to}] of a line with words [{start_ms, end_ms}]; empty without word times. */
export function silencesOf(line) {
  const words = (line.words ?? []).filter((word) => Number.isFinite(word.start_ms) && Number.isFinite(word.end_ms));
  const clipStartMs = Math.max(0, line.start_ms - LEAD_S * 1000);
  const pauses = [];
  for (let n = 1; n < words.length; n += 1) {
    const from = (words[n - 1].end_ms - clipStartMs) / 1000;
    const to = (words[n].start_ms - clipStartMs) / 1000;
    if (to - from >= PAUSE_S) pauses.push({ from: from + KEEP_S, to: to - KEEP_S });
  }
  return pauses;
}
