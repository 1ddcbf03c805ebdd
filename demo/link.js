/* A connection that comes back: opens again after a break, resumes where it stopped, and ends without losing words.
 *
 * Owns the tries and the wait for `final_seq`; the peer connection itself is connection.js. Emits "event",
 * "state" (detail: connecting, live, reconnecting) and "dead" (detail: the error; no more tries).
 */

import { Connection } from "./connection.js";
import { Watcher } from "./watch.js";

const AGAIN_MS = [300, 1000, 2000, 4000, 8000, 8000];
const LAST_WORDS_MS = 8000; // for final_seq to arrive after the server said it
const HOPELESS = new Set(["bad_token", "forbidden", "noWebRtc"]);

export class Link extends EventTarget {
  connection = null;
  #source;
  #aborter = new AbortController();

  constructor(source, transcript, { language = "auto" } = {}) {
    super();
    this.#source = source;
    this.transcript = transcript;
    this.language = language;
  }

  async open() {
    this.#state("connecting");
    await this.#connect({});
    this.#state("live");
  }

  async #connect(again) {
    const connection = new Connection(this.#source.track, { language: this.language, ...again });
    connection.addEventListener("event", (e) => this.#pass(e.detail));
    connection.addEventListener("lost", (e) => this.#recover(e.detail));
    await connection.open(this.#aborter.signal);
    this.connection = connection;
  }

  #pass(event) {
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
  }

  async #recover(reason) {
    this.#state("reconnecting");
    let last = new Error(reason);
    for (const wait of AGAIN_MS) {
      await sleep(wait);
      if (this.#aborter.signal.aborted) return;
      const { resume, session } = this.connection;
      try {
        await this.#connect({ resume, session, since: session ? this.transcript.lastSeq : null });
        this.#state("live");
        return;
      } catch (error) {
        last = error;
        if (this.#aborter.signal.aborted) return;
        if (HOPELESS.has(error.code)) break;
        if (error.status === 404) this.connection.resume = this.connection.session = null; // the server began anew
      }
    }
    this.dispatchEvent(new CustomEvent("dead", { detail: last }));
  }

  async changeSource(source) {
    this.#source = source;
    await this.connection?.replaceTrack(source.track);
  }

  /** Flush, wait for the last event, close. Returns true when every word is known to have arrived. */
  async finish() {
    const connection = this.connection;
    let seq = null;
    try {
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
    watcher.addEventListener("event", (e) => this.#pass(e.detail));
    watcher.start();
    await this.#arrived(seq, (LAST_WORDS_MS * 3) / 4);
    watcher.stop();
  }

  async #arrived(seq, withinMs) {
    const deadline = performance.now() + withinMs;
    while (this.transcript.lastSeq < seq && performance.now() < deadline) await sleep(50);
    return this.transcript.lastSeq >= seq;
  }

  leave() {
    this.connection?.leave();
  }

  abandon() {
    this.#aborter.abort();
    this.connection?.abandon();
  }

  #state(name) {
    this.dispatchEvent(new CustomEvent("state", { detail: name }));
  }
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
