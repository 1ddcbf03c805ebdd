/* The way that always goes: sound over a WebSocket where WebRTC cannot pass, events over another one.
 *
 * Has the face of connection.js, so that link.js need not know which it holds. Sends Opus where the browser can encode
 * it (WebCodecs), else 16-bit samples. Emits "event" and "lost".
 */

import { ServerError, streamAddress } from "./api.js";
import { RATE } from "./recorder.js";
import { Watcher } from "./watch.js";

const OPEN_MS = 6000;
const STOP_MS = 10_000; // the server flushes its last window first
const BACKLOG_S = 5; // so much unsent sound means that the way is dead
const OPUS = { codec: "opus", sampleRate: RATE, numberOfChannels: 1, bitrate: 32_000, opus: { frameDuration: 20_000 } };

export class SocketConnection extends EventTarget {
  id = "";
  session = "";
  channels = [];
  resume = null;
  isResumed = false;
  transport = "socket";
  #socket = null;
  #encoder = null;
  #watcher = null;
  #closing = false;
  #onPiece = (event) => this.#send(event.detail.samples);
  #hear = () => {};

  /** recorder: where the sound comes from; channel, session, resume: as an offer was answered; transcript: for `since`. */
  constructor(recorder, { channel, session, resume, language = "auto", transcript }) {
    super();
    this.recorder = recorder;
    this.transcript = transcript;
    this.resume = resume;
    this.options = { channel, session, language };
  }

  async open(signal) {
    const { channel, session, language } = this.options;
    this.#encoder = await opusEncoder((packet) => this.#socket?.send(packet));
    const encoding = this.#encoder ? "opus" : "pcm_s16le";
    this.#socket = new WebSocket(streamAddress(`ws/pcm/${encodeURIComponent(channel)}`, {}, "ws"));
    signal?.addEventListener("abort", () => this.abandon(), { once: true });
    const opened = new Promise((done, fail) => {
      this.#socket.onopen = done;
      this.#socket.onclose = () => fail(new ServerError("unreachable"));
      setTimeout(() => fail(new ServerError("unreachable")), OPEN_MS);
    });
    try {
      await opened;
      const answered = this.#answer();
      this.#socket.send(JSON.stringify({ encoding, sample_rate: RATE, session, language, resume: this.resume }));
      const started = await answered;
      ({ connection: this.id, session: this.session } = started);
      this.channels = [{ mid: "0", channel }];
      this.isResumed = true;
    } catch (error) {
      this.abandon();
      throw error;
    }
    this.#socket.onclose = (closing) => this.#lose(`closed ${closing.code}`);
    this.recorder.addEventListener("piece", this.#onPiece);
    this.#watch(channel);
  }

  /** The server's next word on the socket. */
  #answer(withinMs = OPEN_MS) {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new ServerError("unreachable")), withinMs);
      this.#hear = (message) => {
        clearTimeout(timer);
        if (message.type === "error") fail(new ServerError("refused", { detail: message.message, status: 409 }));
        else done(message);
      };
      this.#socket.onmessage = (message) => this.#hear(JSON.parse(message.data));
      this.#socket.onclose = (closing) => this.#hear({ type: "error", message: `closed ${closing.code}` });
    });
  }

  #watch(channel) {
    this.#watcher = new Watcher(this.transcript, { session: this.session, channels: [channel] });
    this.#watcher.addEventListener("event", (e) => this.dispatchEvent(new CustomEvent("event", { detail: e.detail })));
    this.#watcher.start();
  }

  #send(samples) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > BACKLOG_S * RATE * (this.#encoder ? 0.3 : 2)) this.#lose("the way is blocked");
    else if (this.#encoder) this.#encoder.feed(samples);
    else this.#socket.send(samples);
  }

  #lose(reason) {
    if (this.#closing) return;
    this.abandon();
    this.dispatchEvent(new CustomEvent("lost", { detail: reason }));
  }

  doubt() {} // TCP finds out by itself, and tells by its backlog

  async replaceTrack() {} // the recorder has the new source

  stats() {
    return Promise.resolve(new Map());
  }

  async finish() {
    this.#closing = true;
    this.recorder.removeEventListener("piece", this.#onPiece);
    await this.#encoder?.flush();
    const answered = this.#answer(STOP_MS);
    this.#socket.send(JSON.stringify({ type: "stop" }));
    const { final_seq } = await answered;
    return final_seq ?? null;
  }

  leave() {
    this.#closing = true;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type: "stop" }));
  }

  abandon() {
    this.#closing = true;
    this.recorder.removeEventListener("piece", this.#onPiece);
    this.#watcher?.stop();
    this.#encoder?.close();
    this.#encoder = null;
    this.#socket?.close();
  }
}

/** {feed(samples), flush(), close()}; null where the browser cannot encode Opus. */
async function opusEncoder(onPacket) {
  try {
    if (!(await AudioEncoder.isConfigSupported(OPUS)).supported) return null;
  } catch {
    return null;
  }
  const output = (chunk) => {
    const packet = new Uint8Array(chunk.byteLength);
    chunk.copyTo(packet);
    onPacket(packet);
  };
  const encoder = new AudioEncoder({ output, error: () => {} }); // a dead encoder sends nothing; the server says so
  encoder.configure(OPUS);
  let made = 0;
  return {
    feed(samples) {
      if (encoder.state !== "configured") return;
      const timestamp = Math.round((made * 1_000_000) / RATE);
      made += samples.length;
      const format = { format: "s16", sampleRate: RATE, numberOfChannels: 1, numberOfFrames: samples.length };
      const data = new AudioData({ ...format, timestamp, data: samples });
      encoder.encode(data);
      data.close();
    },
    flush: () => encoder.flush().catch(() => {}),
    close: () => encoder.state !== "closed" && encoder.close(),
  };
}
