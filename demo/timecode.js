/* Times on the session's timeline as text. */

/** Milliseconds as mm:ss.mmm, from one hour on as hh:mm:ss.mmm. */
export function timecode(ms) {
  const whole = Math.max(0, Math.round(ms ?? 0));
  const pad = (value, digits) => String(Math.floor(value)).padStart(digits, "0");
  const tail = `${pad((whole / 60_000) % 60, 2)}:${pad((whole / 1000) % 60, 2)}.${pad(whole % 1000, 3)}`;
  return whole >= 3_600_000 ? `${pad(whole / 3_600_000, 2)}:${tail}` : tail;
}
