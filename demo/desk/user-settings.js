/* What a user chose on the desk: stored in this browser, and for a named token also by the server, for all screens.
 *
 * Has getItem, setItem and removeItem like localStorage. The browser's copy is used at once, so the desk needs no server
 * to draw. load() gets the settings of the server; they replace those of this browser, except for parts that changed here
 * and could not be sent yet. Emits "part" (detail: the key) when the server had another value.
 */

import { address, request, token } from "../api.js";

/** Key in the browser's storage -> name of the part on the server. Other keys stay in this browser. */
const PARTS = {
  "host-stt.desk-live-audio": "listening",
  "host-stt.desk-keys": "keys",
  "host-stt.desk-alerts": "alerts",
  "host-stt.desk-display": "display",
};
const STATE = "host-stt.desk-settings"; // {user, unsent: [key]}
const PATH = "api/me/settings";
const SEND_AFTER_MS = 800; // a slider that moves is one change
const AGAIN_MS = 15_000; // after an error
const CONFLICTS_MAX = 3;

export class UserSettings extends EventTarget {
  #user = null; // name of the token; null: not known yet, or the server stores nothing
  #version = 0;
  #onServer = {}; // part -> its value
  #timer = 0;
  #sending = null;

  constructor(storage = localStorage) {
    super();
    this.storage = storage;
    addEventListener("pagehide", () => this.#sendLast());
  }

  getItem(key) {
    return this.storage.getItem(key);
  }

  setItem(key, text) {
    this.storage.setItem(key, text);
    this.#note(key);
  }

  removeItem(key) {
    this.storage.removeItem(key);
    this.#note(key);
  }

  /** Get the settings of the server. Call it again after the user gave another token. Never throws. */
  async load() {
    try {
      this.#take(await request("GET", PATH));
    } catch {
      if (this.#user) this.#sendLater(AGAIN_MS); // the copy of this browser is in use
      return;
    }
    if (this.#user && this.#state.unsent.length) this.#sendLater(0);
  }

  /** Resolves when all changes are sent, or could not be sent. For tests. */
  async settled() {
    clearTimeout(this.#timer);
    await this.#send();
  }

  get #state() {
    const kept = parsed(this.storage.getItem(STATE));
    const unsent = Array.isArray(kept?.unsent) ? kept.unsent.filter((key) => key in PARTS) : [];
    return { user: typeof kept?.user === "string" ? kept.user : "", unsent };
  }

  #setState(user, unsent) {
    this.storage.setItem(STATE, JSON.stringify({ user, unsent: [...new Set(unsent)] }));
  }

  #take({ user, version, settings }) {
    this.#user = user;
    if (user === null) return;
    this.#version = version;
    this.#onServer = settings;
    const before = this.#state;
    const unsent = before.user === user ? before.unsent : [];
    // The first user of this browser brings its choices along, also to a server that has lost its record.
    const isFirst = before.user === "" || (before.user === user && version === 0);
    for (const [key, part] of Object.entries(PARTS)) {
      const known = this.storage.getItem(key);
      if (unsent.includes(key)) continue;
      if (part in settings) this.#adopt(key, JSON.stringify(settings[part]));
      else if (isFirst && known !== null) unsent.push(key);
      else this.#adopt(key, null);
    }
    this.#setState(user, unsent);
  }

  #adopt(key, text) {
    if (this.storage.getItem(key) === text) return;
    if (text === null) this.storage.removeItem(key);
    else this.storage.setItem(key, text);
    this.dispatchEvent(new CustomEvent("part", { detail: key }));
  }

  #note(key) {
    if (!(key in PARTS)) return;
    const { user, unsent } = this.#state;
    this.#setState(user, [...unsent, key]);
    if (this.#user) this.#sendLater(SEND_AFTER_MS);
  }

  #sendLater(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#send(), ms);
  }

  /** One request at a time; changes that are made meanwhile are sent after it. */
  async #send() {
    while (this.#sending) await this.#sending;
    this.#sending = this.#put();
    const isSent = await this.#sending;
    this.#sending = null;
    if (this.#user && this.#state.unsent.length) this.#sendLater(isSent ? 0 : AGAIN_MS);
  }

  async #put() {
    for (let n = 0; n < CONFLICTS_MAX && this.#user && this.#state.unsent.length; n += 1) {
      const values = this.#unsentValues();
      try {
        const response = await request("PUT", PATH, { settings: this.#merged(values) }, { headers: this.#ifMatch });
        this.#version = response.version;
        this.#onServer = response.settings;
        this.#forget(values);
        return true;
      } catch (error) {
        if (error.status !== 412) return false;
        const isRead = await request("GET", PATH).then((read) => (this.#take(read), true), () => false);
        if (!isRead) return false;
      }
    }
    return this.#state.unsent.length === 0;
  }

  /** The page closes: one last attempt, without a wait for the response. */
  #sendLast() {
    if (!this.#user || this.#state.unsent.length === 0) return;
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${token()}`, ...this.#ifMatch };
    const body = JSON.stringify({ settings: this.#merged(this.#unsentValues()) });
    fetch(address(PATH), { method: "PUT", headers, body, keepalive: true }).catch(() => {});
  }

  get #ifMatch() {
    return { "If-Match": `"${this.#version}"` };
  }

  /** [key, text] of the parts that the server does not have yet; text is null for a part that was removed. */
  #unsentValues() {
    return this.#state.unsent.map((key) => [key, this.storage.getItem(key)]);
  }

  #merged(values) {
    const settings = { ...this.#onServer };
    for (const [key, text] of values) {
      const value = parsed(text);
      if (value === null) delete settings[PARTS[key]];
      else settings[PARTS[key]] = value;
    }
    return settings;
  }

  #forget(values) {
    const sent = values.filter(([key, text]) => this.storage.getItem(key) === text).map(([key]) => key);
    const { user, unsent } = this.#state;
    this.#setState(user, unsent.filter((key) => !sent.includes(key)));
  }
}

function parsed(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null; // damaged: as if it were not there
  }
}

export const userSettings = new UserSettings();
