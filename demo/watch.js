/* Receives the events of a session: over a WebSocket, or over Server-Sent Events if a proxy blocks WebSockets.
 *
 * Owns the reconnects. Each attempt requests the events after the last sequence number, so no final is lost. Knows
 * nothing of the page. Emits "event" (detail: the event), "state" (detail: connecting, live, waiting, stopped), "denied"
 * (the token is missing or wrong) and "gone" (there is no such session). After "denied" and "gone" it makes no more
 * attempts until start() is called again.
 */

import { request, streamAddress } from "./api.js";

const BACKOFF_MS = [300, 1000, 2000, 5000, 10_000];
const SOCKET_TRIES = 2; // attempts that never opened before SSE is tried
const OPEN_MS = 6000; // a handshake that takes longer is blocked by a proxy
const CLOSE = { token: 4401, unknownSession: 4404 };

export class Watcher extends EventTarget {
  #stream = null;
  #timer = 0;
  #failures = 0; // consecutive attempts without an event
  #unopened = 0; // consecutive attempts that did not open
  #opened = false;
  #generation = 0;
  transport = "";

  /** transcript: supplies `session` and `lastSeq`; channels: names, empty for all; hasLevels: also the channels'
   *  levels, which only a WebSocket has. */
  constructor(transcript, { session = "", channels = [], useSocket = true, hasLevels = false } = {}) {
    super();
    this.transcript = transcript;
    this.session = session;
    this.channels = channels;
    this.useSocket = useSocket && "WebSocket" in globalThis;
    this.hasLevels = hasLevels;
  }

  start() {
    this.stop();
    this.#connect();
  }

  stop() {
    this.#generation += 1;
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
    this.#setState("stopped");
  }

  #parameters() {
    return {
      session: this.transcript.session ?? this.session,
      channels: this.channels.join(","),
      since: this.transcript.lastSeq,
    };
  }

  #connect() {
    const generation = ++this.#generation;
    const isCurrent = () => generation === this.#generation;
    this.#opened = false;
    this.#setState("connecting");
    this.transport = this.useSocket ? "ws" : "sse";
    if (this.useSocket) this.#openSocket(isCurrent);
    else this.#openEvents(isCurrent);
    this.#timer = setTimeout(() => {
      if (isCurrent() && !this.#opened) this.#lost(0);
    }, OPEN_MS);
  }

  #openSocket(isCurrent) {
    const levels = this.hasLevels ? 1 : "";
    const socket = new WebSocket(streamAddress("ws", { ...this.#parameters(), levels }, "ws"));
    this.#stream = socket;
    socket.onopen = () => isCurrent() && this.#live();
    socket.onmessage = (message) => isCurrent() && this.#take(message.data);
    socket.onclose = (closing) => isCurrent() && this.#lost(closing.code);
  }

  #openEvents(isCurrent) {
    // A new EventSource each time: its own reconnect would send the first `since` again.
    const events = new EventSource(streamAddress("events", this.#parameters()));
    this.#stream = events;
    events.onopen = () => isCurrent() && this.#live();
    events.onmessage = (message) => isCurrent() && this.#take(message.data);
    events.onerror = () => isCurrent() && this.#lost(0);
  }

  #live() {
    this.#opened = true;
    this.#unopened = 0;
    this.#setState("live");
  }

  #take(text) {
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      return; // not of this server, for example a page of a proxy; the next `since` gets what is missing
    }
    this.#failures = 0;
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
    if (event.type === "session.ended") this.#onSessionEnded();
  }

  /** The session ended. A page without a session in its address continues with the current session. */
  #onSessionEnded() {
    if (this.session) return this.#setState("stopped"); // people may still correct or redact its lines
    this.#forgetSession();
    return this.#lost(0);
  }

  async #lost(code) {
    const generation = ++this.#generation;
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
    this.#failures += 1;
    if (!this.#opened) this.#unopened += 1;
    if (code === CLOSE.unknownSession && this.session) return this.#gone();
    this.#setState("waiting");
    if (code === CLOSE.unknownSession) this.#forgetSession();
    const isDenied = code === CLOSE.token || (!this.#opened && (await this.#isDenied()));
    if (generation !== this.#generation) return;
    if (isDenied) {
      this.#setState("stopped");
      this.dispatchEvent(new CustomEvent("denied"));
      return;
    }
    if (!this.#opened) this.#changeTransport();
    const wait = BACKOFF_MS[Math.min(this.#failures - 1, BACKOFF_MS.length - 1)];
    this.#timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }

  /** The session of the address does not exist. Another session must not be shown in its place. */
  #gone() {
    this.stop();
    this.dispatchEvent(new CustomEvent("gone"));
  }

  #changeTransport() {
    if (!this.useSocket) this.useSocket = "WebSocket" in globalThis;
    else if (this.#unopened >= SOCKET_TRIES) this.useSocket = false;
  }

  /** Begin with the current session, from its first event. */
  #forgetSession() {
    this.session = "";
    this.transcript.session = null;
    this.transcript.lastSeq = 0;
  }

  /** True if the token is missing or wrong. A page cannot see why a handshake failed, so this needs a request. */
  async #isDenied() {
    try {
      await request("GET", "api/ice");
    } catch (error) {
      return error.code === "bad_token" || error.code === "link_ended";
    }
    return false;
  }

  #setState(name) {
    this.dispatchEvent(new CustomEvent("state", { detail: name }));
  }
}
