/* A connection that comes back: opens again after a break, resumes its channel, makes up for what was lost, and ends
 * without losing words.
 *
 * Owns the tries and the wait for `final_seq`; the ways to the server are connection.js and socket-connection.js, what is
 * sent again is repair.js. Emits "event", "state" (detail: connecting, live, weak, reconnecting, fallback), "repair"
 * (detail: {state, seconds}) and "dead" (detail: the error; no more tries).
 */

import { address } from "./api.js";
import { forgetClaim, rememberClaim } from "./claim.js";
import { Connection } from "./connection.js";
import { Repair } from "./repair.js";
import { SocketConnection } from "./socket-connection.js";
import { Watcher } from "./watch.js";

const PROBE_MS = 3000; // enough for a slow path and its TLS handshake; three are on their way at most
const AGAIN_MS = [250, 500, 1000]; // between probes; the last for ever: the network is back within a second of it
const AGAIN_S = 1; // after an offer that failed
const LAST_WORDS_MS = 8000; // for final_seq to arrive after the server said it
const HOPELESS = new Set(["bad_token", "forbidden", "noWebRtc"]);
const BLOCKED = new Set(["iceFailed", "noWebRtc"]); // HTTP goes, WebRTC does not

export class Link extends EventTarget {
  connection = null;
  #source;
  #claim;
  #isFallback = false;
  #isLive = false;
  #aborter = new AbortController();
  #wake = () => {};

  /** claim: of an earlier connection, also of this tab's page before a reload; null for a new start. */
  constructor(source, transcript, { language = "auto", recorder, claim = null } = {}) {
    super();
    this.#source = source;
    this.#claim = claim;
    this.transcript = transcript;
    this.language = language;
    this.recorder = recorder;
    this.repair = new Repair(recorder, this.#aborter.signal);
    this.repair.addEventListener("repair", (e) => this.#tell("repair", e.detail));
    const { signal } = this.#aborter;
    addEventListener("online", () => this.#networkChanged(), { signal });
    addEventListener("offline", () => this.#isLive && this.#state("weak"), { signal });
    navigator.connection?.addEventListener?.("change", () => this.#networkChanged(), { signal });
  }

  async open() {
    this.#state("connecting");
    try {
      this.#isFallback = this.#claim?.transport === "socket";
      await this.#connect();
    } catch (error) {
      if (!BLOCKED.has(error.code) || !this.#canFallBack()) throw error;
      await this.#fallBack().catch(() => Promise.reject(error)); // the first reason is the one to be mended
    }
    this.#live();
  }

  async #connect() {
    const connection = this.#isFallback ? this.#socketConnection() : this.#peerConnection();
    connection.addEventListener("event", (e) => this.#tell("event", e.detail));
    connection.addEventListener("lost", (e) => connection === this.connection && this.#recover(e.detail));
    connection.addEventListener("weak", () => this.#state("weak"));
    connection.addEventListener("pong", (e) => this.#onPong(connection, e.detail));
    try {
      await connection.open(this.#aborter.signal);
    } finally {
      if (connection.resume) this.#keepClaim(connection); // also of one that was answered and never came about
    }
    this.connection = connection;
  }

  #peerConnection() {
    const again = this.#claim ? { resume: this.#claim.resume, since: this.transcript.lastSeq } : {};
    return new Connection(this.#source.track, { language: this.language, ...again });
  }

  #socketConnection() {
    const { channels, session, resume } = this.#claim;
    const [channel] = channels;
    const { language, transcript } = this;
    return new SocketConnection(this.recorder, { channel, session, resume, language, transcript });
  }

  #keepClaim({ resume, session, channels, transport }) {
    this.#claim = { resume, session, channels: channels.map((one) => one.channel), transport };
    if (!this.#aborter.signal.aborted) rememberClaim({ resume, session, channels, language: this.language, transport });
  }

  /** WebRTC was answered and cannot pass: the same channel over a WebSocket. */
  #canFallBack() {
    return Boolean(this.#claim?.channels?.length) && this.recorder.isRecording && "WebSocket" in globalThis;
  }

  async #fallBack() {
    this.#state("fallback");
    this.#isFallback = true;
    await this.#connect();
  }

  #live() {
    this.#isLive = true;
    this.#state("live");
    this.repair.follow(this.connection);
  }

  #onPong(connection, pong) {
    if (connection !== this.connection && this.connection !== null) return;
    this.repair.onPong(connection, pong);
    if (this.#isLive && connection === this.connection) this.#state("live");
  }

  #networkChanged() {
    this.#wake();
    this.connection?.doubt();
  }

  async #recover(reason) {
    this.#isLive = false;
    this.#state("reconnecting");
    let last = new Error(reason);
    while (await this.#isThereAgain()) {
      try {
        await this.#connect();
        return this.#live();
      } catch (error) {
        last = error;
        if (HOPELESS.has(error.code)) break;
        if (BLOCKED.has(error.code) && this.#canFallBack()) this.#isFallback = true;
        await this.#pause((error.retryAfterS ?? AGAIN_S) * 1000);
      }
    }
    return this.#aborter.signal.aborted ? undefined : this.#tell("dead", last);
  }

  /** Resolves to true when the server answers, false when nobody waits for it any more. The next question does not
   *  wait for the one before: what was sent into a dead network may never be answered. */
  async #isThereAgain() {
    let isFound = false;
    const ask = async () => {
      if (!(await isThere()) || isFound) return;
      isFound = true;
      this.#wake();
    };
    for (let tries = 0; !isFound && !this.#aborter.signal.aborted; tries += 1) {
      ask();
      await this.#pause(AGAIN_MS[Math.min(tries, AGAIN_MS.length - 1)]);
    }
    return !this.#aborter.signal.aborted;
  }

  /** Wait, or until the browser says that the network is another one. */
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

  /** Flush, wait for the last event, close. Returns true when every word is known to have arrived. */
  async finish() {
    const connection = this.connection;
    let seq = null;
    forgetClaim();
    try {
      if (this.#isLive) await this.repair.finish();
      seq = (await connection?.finish()) ?? null;
      if (seq !== null && !(await this.#arrived(seq, LAST_WORDS_MS / 4))) await this.#fetchRest(connection, seq);
    } catch (error) {
      if (error.code === "bad_token") throw error;
      // The connection was already gone on the server: what it flushed by itself is in the log.
      if (connection?.session) await this.#fetchRest(connection, this.transcript.lastSeq + 1);
    } finally {
      this.abandon();
    }
    return seq !== null && this.transcript.lastSeq >= seq;
  }

  /** The data channel closed before the last events: read them as a watcher would. */
  async #fetchRest(connection, seq) {
    const channels = connection.channels.map((c) => c.channel);
    const watcher = new Watcher(this.transcript, { session: connection.session, channels });
    watcher.addEventListener("event", (e) => this.#tell("event", e.detail));
    watcher.start();
    await this.#arrived(seq, (LAST_WORDS_MS * 3) / 4);
    watcher.stop();
  }

  async #arrived(seq, withinMs) {
    const deadline = performance.now() + withinMs;
    while (this.transcript.lastSeq < seq && performance.now() < deadline) await sleep(50);
    return this.transcript.lastSeq >= seq;
  }

  /** The page is going away; it may be a reload, so the claim stays. */
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

  #state(name) {
    this.#tell("state", name);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Does anything answer? Asked before an offer is made, for a dead network swallows a request for long. */
async function isThere() {
  try {
    const answer = await fetch(address("health"), { cache: "no-store", signal: AbortSignal.timeout(PROBE_MS) });
    return answer.status < 500; // a proxy says 502 for a server that is away
  } catch {
    return false;
  }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
