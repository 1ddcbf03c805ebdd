/* A connection that reconnects: after a break it connects again, resumes its channel and sends the missing audio.
 *
 * Owns the attempts, and at the end the wait for the event `final_seq`. The transports are connection.js (WebRTC) and
 * socket-connection.js (WebSocket); repair.js sends missing audio. Emits "event", "state" (detail: connecting, live,
 * weak, reconnecting, fallback), "repair" (detail: {state, seconds}) and "failed" (detail: the error; no more attempts).
 */

import { address } from "./api.js";
import { Connection } from "./connection.js";
import { Repair } from "./repair.js";
import { resumeOfTab } from "./resume-token.js";
import { SocketConnection } from "./socket-connection.js";
import { Watcher } from "./watch.js";

const PROBE_MS = 3000; // enough for a slow path and its TLS handshake
const PROBE_AGAIN_MS = [250, 500, 1000]; // between probes; the last value repeats
const OFFER_AGAIN_S = 1; // after an offer that failed
const LAST_EVENTS_MS = 8000; // for the last events to arrive after the server named final_seq
const PERMANENT = new Set(["bad_token", "forbidden", "role_too_low", "noWebRtc"]); // errors that another attempt cannot change
const BLOCKED = new Set(["iceFailed", "noWebRtc"]); // HTTP works, WebRTC does not

export class Link extends EventTarget {
  connection = null;
  #source;
  #kept; // of the last connection, see resume-token.js; null before the first one
  #isFallback = false;
  #isLive = false;
  #aborter = new AbortController();
  #wake = () => {};

  /** source: see capture.js; transcript: supplies `lastSeq`; kept: what token.kept() returned, null for a new start;
   *  token: keeps the resume token; label: the channel's name; channel: its id, "" for any free one; mayMove: whether
   *  another channel is taken if this one is in use. */
  constructor(source, transcript, options = {}) {
    super();
    const { language = "auto", recorder, kept = null, token = resumeOfTab, label = "", channel = "", mayMove = false } = options;
    this.#source = source;
    this.#kept = kept;
    Object.assign(this, { token, label, channel, mayMove });
    this.transcript = transcript;
    this.language = language;
    this.recorder = recorder;
    this.repair = new Repair(recorder, this.#aborter.signal);
    this.repair.addEventListener("repair", (e) => this.#emit("repair", e.detail));
    const { signal } = this.#aborter;
    addEventListener("online", () => this.#networkChanged(), { signal });
    addEventListener("offline", () => this.#isLive && this.#setState("weak"), { signal });
    navigator.connection?.addEventListener?.("change", () => this.#networkChanged(), { signal });
  }

  async open() {
    this.#setState("connecting");
    try {
      this.#isFallback = this.#kept?.transport === "socket";
      await this.#connect();
    } catch (error) {
      if (!BLOCKED.has(error.code) || !this.#canFallBack()) throw error;
      await this.#fallBack().catch(() => Promise.reject(error)); // the first error is the one to show
    }
    this.#live();
  }

  async #connect() {
    try {
      await this.#connectOnce();
    } catch (error) {
      if (error.status !== 409 || !this.mayMove || !this.channel) throw error;
      this.channel = "";
      await this.#connectOnce();
    }
  }

  async #connectOnce() {
    const connection = this.#isFallback ? this.#socketConnection() : this.#peerConnection();
    connection.addEventListener("event", (e) => this.#emit("event", e.detail));
    connection.addEventListener("lost", (e) => connection === this.connection && this.#reconnect(e.detail));
    connection.addEventListener("weak", () => this.#setState("weak"));
    connection.addEventListener("pong", (e) => this.#onPong(connection, e.detail));
    try {
      await connection.open(this.#aborter.signal);
    } finally {
      if (connection.resume) this.#keep(connection); // also if the server responded and the media path failed
    }
    this.connection = connection;
  }

  #peerConnection() {
    const resumed = this.#kept ? { resume: this.#kept.resume, since: this.transcript.lastSeq } : {};
    const { language, label, channel } = this;
    return new Connection(this.#source.track, { language, label, channel, ...resumed });
  }

  #socketConnection() {
    const { channels, session, resume } = this.#kept;
    const [channel] = channels;
    const { language, transcript } = this;
    return new SocketConnection(this.recorder, { channel, session, resume, language, transcript });
  }

  #keep({ resume, session, channels, transport }) {
    const names = channels.map((one) => one.channel);
    this.#kept = { resume, session, channels: names, language: this.language, transport };
    if (!this.#aborter.signal.aborted) this.token.keep(this.#kept);
  }

  /** A WebSocket continues a channel, so the server must have given one before. */
  #canFallBack() {
    return Boolean(this.#kept?.channels?.length) && this.recorder.isRecording && "WebSocket" in globalThis;
  }

  async #fallBack() {
    this.#setState("fallback");
    this.#isFallback = true;
    await this.#connect();
  }

  #live() {
    this.#isLive = true;
    this.#setState("live");
    this.repair.use(this.connection);
  }

  #onPong(connection, pong) {
    if (connection !== this.connection && this.connection !== null) return;
    this.repair.onPong(connection, pong);
    if (this.#isLive && connection === this.connection) this.#setState("live");
  }

  #networkChanged() {
    this.#wake();
    this.connection?.networkChanged();
  }

  async #reconnect(reason) {
    this.#isLive = false;
    this.#setState("reconnecting");
    let last = new Error(reason);
    while (await this.#serverResponds()) {
      try {
        await this.#connect();
        return this.#live();
      } catch (error) {
        last = error;
        if (PERMANENT.has(error.code)) break;
        if (BLOCKED.has(error.code) && this.#canFallBack()) this.#isFallback = true;
        await this.#pause((error.retryAfterS ?? OFFER_AGAIN_S) * 1000);
      }
    }
    return this.#aborter.signal.aborted ? undefined : this.#emit("failed", last);
  }

  /** Resolves to true when the server responds, to false when this link was abandoned. A probe does not wait for the
   *  probe before it, because a request into a broken network may never get a response. */
  async #serverResponds() {
    let isFound = false;
    const sendProbe = async () => {
      if (!(await probe()) || isFound) return;
      isFound = true;
      this.#wake();
    };
    for (let n = 0; !isFound && !this.#aborter.signal.aborted; n += 1) {
      sendProbe();
      await this.#pause(PROBE_AGAIN_MS[Math.min(n, PROBE_AGAIN_MS.length - 1)]);
    }
    return !this.#aborter.signal.aborted;
  }

  /** Wait for this time, or until the browser reports another network. */
  #pause(ms) {
    return new Promise((done) => {
      this.#wake = done;
      setTimeout(done, ms);
    });
  }

  async changeSource(source) {
    this.#source = source;
    await this.connection?.replaceTrack(source.track);
  }

  /** End the connection and wait for its last events. Resolves to true if all events are known to have arrived. */
  async finish() {
    const connection = this.connection;
    let seq = null;
    this.token.forget();
    try {
      if (this.#isLive) await this.repair.finish();
      seq = (await connection?.finish()) ?? null;
      if (seq !== null && !(await this.#arrived(seq, LAST_EVENTS_MS / 4))) await this.#fetchRest(connection, seq);
    } catch (error) {
      if (error.code === "bad_token") throw error;
      // The server had ended the connection already. It has transcribed the rest: get those events.
      if (connection?.session) await this.#fetchRest(connection, this.transcript.lastSeq + 1);
    } finally {
      this.abandon();
    }
    return seq !== null && this.transcript.lastSeq >= seq;
  }

  /** The data channel closed before the last events came: get them as a watcher does. */
  async #fetchRest(connection, seq) {
    const channels = connection.channels.map((c) => c.channel);
    const watcher = new Watcher(this.transcript, { session: connection.session, channels });
    watcher.addEventListener("event", (e) => this.#emit("event", e.detail));
    watcher.start();
    await this.#arrived(seq, (LAST_EVENTS_MS * 3) / 4);
    watcher.stop();
  }

  async #arrived(seq, withinMs) {
    const deadline = performance.now() + withinMs;
    while (this.transcript.lastSeq < seq && performance.now() < deadline) await sleep(50);
    return this.transcript.lastSeq >= seq;
  }

  /** The page closes. It may be a reload, so the resume token stays. */
  leave() {
    this.connection?.leave();
  }

  abandon() {
    this.#isLive = false;
    this.#aborter.abort();
    this.#wake();
    this.repair.stop();
    this.connection?.abandon();
  }

  #setState(name) {
    this.#emit("state", name);
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** True if the server responds. In a broken network this fails sooner than an offer does. */
async function probe() {
  try {
    const response = await fetch(address("health"), { cache: "no-store", signal: AbortSignal.timeout(PROBE_MS) });
    return response.status < 500; // a proxy sends 502 while the server is down
  } catch {
    return false;
  }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
