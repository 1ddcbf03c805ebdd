/* What a page needs to go on after a reload: its resume token, channels and session, kept for this tab alone.
 *
 * Owns one key of sessionStorage. There only while the microphone is on: whoever stopped comes back to a page that waits.
 */

const KEY = "host-stt.claim";

export function rememberClaim({ resume, session, channels, language, transport }) {
  if (!resume) return;
  const names = channels.map((one) => one.channel);
  sessionStorage.setItem(KEY, JSON.stringify({ resume, session, channels: names, language, transport }));
}

export function claim() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

export function forgetClaim() {
  sessionStorage.removeItem(KEY);
}
