/* One channel of an input: its link to the server, which connects again by itself, and its recorder for gaps.
 *
 * Emits "change" when `state`, `channel`, `error` or `text` changed.
 *   off -> connecting -> live <-> weak, reconnecting; connecting <-> waiting (the server refuses or does not respond);
 *   from each of them -> stopping -> off. failed: another attempt would fail in the same way.
 */

import { Link } from "../link.js";
import { Recorder } from "../recorder.js";
import { ResumeToken } from "../resume-token.js";
import { Transcript } from "../transcript.js";

const AGAIN_MS = 3000; // after an attempt that failed before there was a connection
const PERMANENT = new Set(["bad_token", "forbidden", "role_too_low", "noWebRtc"]);

export class Strip extends EventTarget {
  state = "off";
  channel = ""; // that the server gave
  error = null; // {code, detail} while waiting or failed
  text = ""; // the newest line
  #source = null;
  #link = null;
  #recorder = null;
  #run = 0; // counts starts; what an earlier run still does is ignored
  #wake = () => {};

  /** key: of the storage for its resume token. */
  constructor(key) {
    super();
    this.token = new ResumeToken(key, localStorage);
  }

  get isRunning() {
    return this.state !== "off" && this.state !== "failed";
  }

  /** wanted: {name, place, last, language}. Resolves at the first connection, or when it is over. Never rejects. */
  async start(source, wanted) {
    const run = ++this.#run;
    this.#source = source;
    this.#set("connecting");
    this.#recorder = new Recorder();
    await this.#recorder.attach(source.node);
    while (run === this.#run) {
      const link = this.#makeLink(run, wanted);
      try {
        await link.open();
        return;
      } catch (error) {
        if (run !== this.#run) return;
        link.abandon();
        if (PERMANENT.has(error.code)) return this.#fail(error);
        this.#set("waiting", error);
        await new Promise((done) => {
          this.#wake = done;
          setTimeout(done, (error.retryAfterS ?? AGAIN_MS / 1000) * 1000);
        });
      }
    }
  }

  #makeLink(run, { name, place, last, language }) {
    const isMine = () => run === this.#run;
    const transcript = new Transcript();
    const options = { label: name, channel: place || last, mayMove: !place, language, recorder: this.#recorder };
    const link = new Link(this.#source, transcript, { ...options, kept: this.token.kept(), token: this.token });
    link.addEventListener("event", ({ detail }) => this.#read(transcript, detail));
    link.addEventListener("state", ({ detail }) => isMine() && this.#onLink(link, detail));
    link.addEventListener("failed", ({ detail }) => isMine() && this.#fail(detail));
    this.#link = link;
    return link;
  }

  #onLink(link, state) {
    if (state === "live") {
      this.channel = link.connection.channels[0]?.channel ?? "";
      if (link.mayMove) link.channel = this.channel; // after a new session, the same place again
    }
    if (state !== this.state || state === "live") this.#set(state === "fallback" ? "connecting" : state);
  }

  #read(transcript, event) {
    for (const change of transcript.feed(event)) {
      if (change.type !== "line" && change.type !== "revised") continue;
      this.text = change.line.text;
      this.dispatchEvent(new Event("change"));
    }
  }

  /** The device was opened again: go on with its new source. */
  async changeSource(source) {
    this.#source = source;
    await this.#recorder?.attach(source.node);
    await this.#link?.changeSource(source);
  }

  /** Send what is left and end the connection. */
  async stop() {
    if (!this.isRunning) return;
    this.#run += 1;
    this.#wake();
    this.#set("stopping");
    await this.#link?.finish().catch(() => {}); // it is over either way
    this.#close();
    this.#set("off");
  }

  /** The page closes; it may be a reload, so the resume token stays. */
  leave() {
    this.#link?.leave();
  }

  #fail(error) {
    this.#run += 1;
    this.#close();
    this.#set("failed", error);
  }

  #close() {
    this.#link?.abandon();
    this.token.forget();
    this.#recorder?.stop();
    this.#link = this.#recorder = null;
    this.channel = "";
  }

  #set(state, error = null) {
    const isSame = state === this.state && error === this.error && this.channel === this.shownChannel;
    Object.assign(this, { state, error, shownChannel: this.channel });
    if (!isSame) this.dispatchEvent(new Event("change"));
  }
}
