/* Backfill: gets from the server the ranges that it misses, and sends the audio of these that this page still has.
 *
 * Uses one WebSocket on /ws/backfill for each attempt. The server ignores audio that it has, so audio may be sent twice.
 */

import { streamAddress } from "./api.js";
import { cut } from "./kept-audio.js";

const AROUND_MS = 1000; // sent before and after a gap, so that words at its edges are complete
const JOIN_MS = 30; // pieces that are this close are continuous
const RESPONSE_MS = 90_000; // the server transcribes up to a minute of audio before it responds
const FRAME_SAMPLES = 16_000;

/** pieces(): resolves to [{startMs, samples}] on the session's clock; called after `clock` got a measurement.
 *  onSending(): called once before the first audio is sent.
 *  Resolves to the server's {filled, segments}; to null if this page has no audio that the server misses. */
export async function backfill({ resume, channel, session, clock, pieces, onSending, signal }) {
  const socket = new BackfillSocket(channel, signal);
  try {
    await socket.opened;
    const sentMs = performance.now();
    socket.sendMessage({ resume, start_ms: 0, encoding: "pcm_s16le", sample_rate: 16_000 });
    const ready = await socket.receive();
    clock.add(session, ready.now_ms, sentMs, performance.now());
    const have = await pieces();
    let isAny = false;
    for (const [from, to] of ready.missing) {
      if (cut(have, from, to).length === 0) continue;
      if (!isAny) onSending();
      isAny = true;
      send(socket, cut(have, from - AROUND_MS, to + AROUND_MS));
    }
    if (!isAny) return null;
    socket.sendMessage({ type: "stop" });
    return await socket.receive();
  } finally {
    socket.close();
  }
}

function send(socket, pieces) {
  let endMs = null;
  for (const { startMs, samples } of pieces) {
    if (endMs === null || Math.abs(startMs - endMs) > JOIN_MS) socket.sendMessage({ type: "at", start_ms: startMs });
    for (let at = 0; at < samples.length; at += FRAME_SAMPLES) socket.sendAudio(samples.slice(at, at + FRAME_SAMPLES));
    endMs = startMs + samples.length / 16;
  }
}

/** A WebSocket with JSON messages that are received one at a time. */
class BackfillSocket {
  #received = []; // messages that receive() has not returned yet
  #waiting = null; // resolves a receive() that waits

  constructor(channel, signal) {
    const path = `ws/backfill/${encodeURIComponent(channel)}`;
    this.socket = new WebSocket(streamAddress(path, {}, "ws"));
    this.socket.onmessage = (message) => this.#take(JSON.parse(message.data));
    this.opened = new Promise((done, fail) => {
      this.socket.onopen = done;
      this.socket.onclose = (closing) => {
        fail(new Error(`closed ${closing.code}`));
        this.#take({ type: "error", code: `closed ${closing.code}` });
      };
    });
    signal?.addEventListener("abort", () => this.close(), { once: true });
  }

  #take(message) {
    if (this.#waiting) this.#waiting(message);
    else this.#received.push(message);
    this.#waiting = null;
  }

  sendMessage(message) {
    this.socket.send(JSON.stringify(message));
  }

  sendAudio(samples) {
    this.socket.send(samples);
  }

  /** The next message of the server. Throws if it is an error, or if no message comes in RESPONSE_MS. */
  async receive() {
    const message =
      this.#received.shift() ??
      (await Promise.race([
        new Promise((done) => (this.#waiting = done)),
        new Promise((done) => setTimeout(() => done({ type: "error", code: "no response" }), RESPONSE_MS)),
      ]));
    if (message.type !== "error") return message;
    throw Object.assign(new Error(message.message ?? message.code), { code: message.code });
  }

  close() {
    this.socket.onclose = null;
    this.socket.close();
  }
}
