/* The resume token of a connection, with its channels and session, so that a reloaded page can continue.
 *
 * Owns one key of the browser's storage. The key is there only while audio is sent: after a stop, a reload starts nothing.
 */

const KEY = "host-stt.claim"; // pages that are open during an update know this name

export class ResumeToken {
  /** storage: sessionStorage is this tab's, localStorage this browser's, also after it was closed. */
  constructor(key, storage) {
    Object.assign(this, { key, storage });
  }

  keep({ resume, session, channels, language, transport }) {
    if (!resume) return;
    this.storage.setItem(this.key, JSON.stringify({ resume, session, channels, language, transport }));
  }

  /** What keep() was given last: {resume, session, channels, language, transport}, or null. */
  kept() {
    try {
      return JSON.parse(this.storage.getItem(this.key));
    } catch {
      return null;
    }
  }

  forget() {
    this.storage.removeItem(this.key);
  }
}

/** Of the microphone page in this tab. */
export const resumeOfTab = new ResumeToken(KEY, sessionStorage);
