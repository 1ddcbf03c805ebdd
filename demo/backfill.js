/* What the network lost, sent afterwards: asks the server what it misses, and sends what this page still has of it.
 *
 * Owns one conversation on /ws/backfill at a time. The server ignores what it has, so sending twice does no harm.
 */

import { streamAddress } from "./api.js";
import { cut } from "./kept-audio.js";

const AROUND_MS = 1000; // sent around a gap, so that words on its edges are heard whole
const JOIN_MS = 30; // pieces this close follow each other
const ANSWER_MS = 90_000; // a minute of sound is read before the server answers
const FRAME_SAMPLES = 16_000;

/** pieces(): [{startMs, samples}] on the session's clock, once that is known. onSending: called when there is something.
 *  Returns {filled, segments}; null when the server misses nothing that is here. */
export async function backfill({ resume, channel, session, clock, pieces, onSending, signal }) {
  const talk = new Talk(channel, signal);
  try {
    await talk.opened;
    const sentMs = performance.now();
    talk.say({ resume, start_ms: 0, encoding: "pcm_s16le", sample_rate: 16_000 });
    const ready = await talk.hear();
    clock.add(session, ready.now_ms, sentMs, performance.now());
    const have = await pieces();
    let isAny = false;
    for (const [from, to] of ready.missing) {
      if (cut(have, from, to).length === 0) continue;
      if (!isAny) onSending();
      isAny = true;
      send(talk, cut(have, from - AROUND_MS, to + AROUND_MS));
    }
    if (!isAny) return null;
    talk.say({ type: "stop" });
    return await talk.hear();
  } finally {
    talk.close();
  }
}

function send(talk, pieces) {
  let endMs = null;
  for (const { startMs, samples } of pieces) {
    if (endMs === null || Math.abs(startMs - endMs) > JOIN_MS) talk.say({ type: "at", start_ms: startMs });
    for (let at = 0; at < samples.length; at += FRAME_SAMPLES) talk.send(samples.slice(at, at + FRAME_SAMPLES));
    endMs = startMs + samples.length / 16;
  }
}

class Talk {
  #heard = [];
  #wanted = null;

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
    if (this.#wanted) this.#wanted(message);
    else this.#heard.push(message);
    this.#wanted = null;
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  send(samples) {
    this.socket.send(samples);
  }

  /** The next message of the server; throws when it is an error or does not come. */
  async hear() {
    const message =
      this.#heard.shift() ??
      (await Promise.race([
        new Promise((done) => (this.#wanted = done)),
        new Promise((done) => setTimeout(() => done({ type: "error", code: "no answer" }), ANSWER_MS)),
      ]));
    if (message.type === "error") throw Object.assign(new Error(message.message ?? message.code), { code: message.code });
    return message;
  }

  close() {
    this.socket.onclose = null;
    this.socket.close();
  }
}
