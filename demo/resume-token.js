/* The resume token of this tab's connection, with its channels and session, so that a reloaded page can continue.
 *
 * Owns one key of sessionStorage. The key is there only while the microphone is on: after a stop, a reload starts nothing.
 */

const KEY = "host-stt.claim"; // pages that are open during an update know this name

export function keepResume({ resume, session, channels, language, transport }) {
  if (!resume) return;
  sessionStorage.setItem(KEY, JSON.stringify({ resume, session, channels, language, transport }));
}

/** What keepResume was given last in this tab: {resume, session, channels, language, transport}, or null. */
export function keptResume() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

export function forgetResume() {
  sessionStorage.removeItem(KEY);
}
