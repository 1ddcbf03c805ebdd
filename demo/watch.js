/* Reading a session live: WebSocket first, Server-Sent Events where a proxy lets no WebSocket through.
 *
 * Owns the reconnects: every new attempt asks for what came after the last sequence number, so no final is lost.
 * Knows nothing of the page. Emits "event" (detail: the wire's JSON), "state" (detail: connecting, live, waiting,
 * stopped), "denied" (the token is missing or wrong) and "gone" (there is no such session); after the last two it
 * watches no more until `start` is called again.
 */

import { request, streamAddress } from "./api.js";

const BACKOFF_MS = [300, 1000, 2000, 5000, 10_000];
const SOCKET_TRIES = 2; // attempts that never opened before SSE is tried
const OPEN_MS = 6000; // a handshake that takes longer is stuck in a proxy
const CLOSE = { token: 4401, unknownSession: 4404 };

export class Watcher extends EventTarget {
  #stream = null;
  #timer = 0;
  #failures = 0; // attempts in a row that brought no event
  #unopened = 0; // attempts in a row that never opened
  #opened = false;
  #generation = 0;
  transport = "";

  /** transcript: supplies `session` and `lastSeq`; channels: names, empty for all. */
  constructor(transcript, { session = "", channels = [], useSocket = true } = {}) {
    super();
    this.transcript = transcript;
    this.session = session;
    this.channels = channels;
    this.useSocket = useSocket && "WebSocket" in globalThis;
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
    this.#state("stopped");
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
    this.#state("connecting");
    this.transport = this.useSocket ? "ws" : "sse";
    if (this.useSocket) this.#openSocket(isCurrent);
    else this.#openEvents(isCurrent);
    this.#timer = setTimeout(() => {
      if (isCurrent() && !this.#opened) this.#lost(0);
    }, OPEN_MS);
  }

  #openSocket(isCurrent) {
    const socket = new WebSocket(streamAddress("ws", this.#parameters(), "ws"));
    this.#stream = socket;
    socket.onopen = () => isCurrent() && this.#live();
    socket.onmessage = (message) => isCurrent() && this.#take(message.data);
    socket.onclose = (closing) => isCurrent() && this.#lost(closing.code);
  }

  #openEvents(isCurrent) {
    // A fresh EventSource each time: its own reconnect would keep the first `since` for ever.
    const events = new EventSource(streamAddress("events", this.#parameters()));
    this.#stream = events;
    events.onopen = () => isCurrent() && this.#live();
    events.onmessage = (message) => isCurrent() && this.#take(message.data);
    events.onerror = () => isCurrent() && this.#lost(0);
  }

  #live() {
    this.#opened = true;
    this.#unopened = 0;
    this.#state("live");
  }

  #take(text) {
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      return; // not ours: a proxy's page, say; the sequence numbers keep us safe
    }
    this.#failures = 0;
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
    if (event.type === "session.ended") this.#sessionOver();
  }

  /** Nothing more comes from it. A page that asked for no session by name goes on with the one that is current. */
  #sessionOver() {
    if (this.session) return this.stop();
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
    this.#state("waiting");
    if (code === CLOSE.unknownSession) this.#forgetSession();
    const isDenied = code === CLOSE.token || (!this.#opened && (await this.#isDenied()));
    if (generation !== this.#generation) return;
    if (isDenied) {
      this.#state("stopped");
      this.dispatchEvent(new CustomEvent("denied"));
      return;
    }
    if (!this.#opened) this.#changeTransport();
    const wait = BACKOFF_MS[Math.min(this.#failures - 1, BACKOFF_MS.length - 1)];
    this.#timer = setTimeout(() => this.#connect(), wait * (0.75 + Math.random() / 2));
  }

  /** The session that was asked for by name is not there: showing another would be wrong. */
  #gone() {
    this.stop();
    this.dispatchEvent(new CustomEvent("gone"));
  }

  #changeTransport() {
    if (!this.useSocket) this.useSocket = "WebSocket" in globalThis;
    else if (this.#unopened >= SOCKET_TRIES) this.useSocket = false;
  }

  /** The session is gone, with the server's memory or for good: begin with the current one, from its first event. */
  #forgetSession() {
    this.session = "";
    this.transcript.session = null;
    this.transcript.lastSeq = 0;
  }

  /** A refused handshake looks like a dead server from in here; an ordinary request tells them apart. */
  async #isDenied() {
    try {
      await request("GET", "api/ice");
    } catch (error) {
      return error.code === "bad_token";
    }
    return false;
  }

  #state(name) {
    this.dispatchEvent(new CustomEvent("state", { detail: name }));
  }
}
