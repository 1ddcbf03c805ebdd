/* The fallback where a network blocks WebRTC: sends audio over one WebSocket and receives events over another one.
 *
 * Has the same interface as connection.js, so link.js uses both in the same way. Sends Opus if the browser can encode it
 * (WebCodecs), otherwise 16-bit samples. Emits "event" and "lost".
 */

import { ServerError, streamAddress } from "./api.js";
import { RATE } from "./recorder.js";
import { Watcher } from "./watch.js";

const OPEN_MS = 6000;
const STOP_MS = 10_000; // the server transcribes the last window first
const BACKLOG_S = 5; // with this much unsent audio the connection counts as broken
const OPUS = { codec: "opus", sampleRate: RATE, numberOfChannels: 1, bitrate: 32_000, opus: { frameDuration: 20_000 } };

export class SocketConnection extends EventTarget {
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
  #onMessage = () => {};

  /** recorder: supplies the audio; channel, session, resume: of an earlier response to an offer; transcript: supplies
   *  `lastSeq` for the events. */
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
      const response = this.#nextMessage();
      this.#socket.send(JSON.stringify({ encoding, sample_rate: RATE, session, language, resume: this.resume }));
      const started = await response;
      this.session = started.session;
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

  /** The next message of the server. Rejects if it is an error, or if none comes in this time. */
  #nextMessage(withinMs = OPEN_MS) {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new ServerError("unreachable")), withinMs);
      this.#onMessage = (message) => {
        clearTimeout(timer);
        if (message.type === "error") fail(new ServerError("refused", { detail: message.message, status: 409 }));
        else done(message);
      };
      this.#socket.onmessage = (message) => this.#onMessage(JSON.parse(message.data));
      this.#socket.onclose = (closing) => this.#onMessage({ type: "error", message: `closed ${closing.code}` });
    });
  }

  #watch(channel) {
    this.#watcher = new Watcher(this.transcript, { session: this.session, channels: [channel] });
    this.#watcher.addEventListener("event", (e) => this.dispatchEvent(new CustomEvent("event", { detail: e.detail })));
    this.#watcher.start();
  }

  #send(samples) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > BACKLOG_S * RATE * (this.#encoder ? 0.3 : 2)) this.#lose("the connection is too slow");
    else if (this.#encoder) this.#encoder.feed(samples);
    else this.#socket.send(samples);
  }

  #lose(reason) {
    if (this.#closing) return;
    this.abandon();
    this.dispatchEvent(new CustomEvent("lost", { detail: reason }));
  }

  networkChanged() {} // a broken TCP connection shows as a close or as a backlog

  async replaceTrack() {} // the recorder gets the new source

  stats() {
    return Promise.resolve(new Map());
  }

  async finish() {
    this.#closing = true;
    this.recorder.removeEventListener("piece", this.#onPiece);
    await this.#encoder?.flush();
    const response = this.#nextMessage(STOP_MS);
    this.#socket.send(JSON.stringify({ type: "stop" }));
    const { final_seq } = await response;
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
  // After an error the encoder sends nothing, and the server reports that no audio comes.
  const encoder = new AudioEncoder({ output, error: () => {} });
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
