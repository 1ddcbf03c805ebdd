/* The last 30 seconds of audio in the browser's database, so that a reloaded page still has them.
 *
 * Owns one IndexedDB store. The times of the pieces are session milliseconds, which are the same after a reload. Errors
 * stay here: without the database (private windows) a reload loses this audio and nothing else. A stop empties the store.
 */

import { KEEP_MS, RATE } from "./recorder.js";

const NAME = "host-stt";
const STORE = "audio";
const FLUSH_MS = 500;

export class KeptAudio {
  #opened = null;
  #waiting = [];
  #timer = 0;

  /** samples: Int16Array at 16 kHz; its first sample is at startMs of the session. */
  add(session, channel, startMs, samples) {
    this.#waiting.push({ session, channel, startMs, samples });
    this.#timer ||= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  async #flush() {
    this.#timer = 0;
    const pieces = this.#waiting;
    this.#waiting = [];
    await this.#write((store) => {
      for (const piece of pieces) store.put(piece);
      const { session, channel, startMs } = pieces[pieces.length - 1];
      store.delete(IDBKeyRange.bound([session, channel, -Infinity], [session, channel, startMs - KEEP_MS]));
    });
  }

  /** [{startMs, samples}] of this channel, oldest first. */
  async read(session, channel) {
    const range = IDBKeyRange.bound([session, channel, -Infinity], [session, channel, Infinity]);
    const found = await this.#write((store) => asked(store.getAll(range)), "readonly");
    return (found ?? []).map(({ startMs, samples }) => ({ startMs, samples }));
  }

  async clear() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#waiting = [];
    await this.#write((store) => store.clear());
  }

  async #write(work, mode = "readwrite") {
    try {
      this.#opened ??= open();
      const transaction = (await this.#opened).transaction(STORE, mode);
      return await work(transaction.objectStore(STORE));
    } catch (error) {
      console.warn("The audio of the last 30 s cannot be kept over a reload:", error.name);
      return null;
    }
  }
}

function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ["session", "channel", "startMs"] });
  return asked(request);
}

function asked(request) {
  return new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

/** The parts of the pieces inside [fromMs, toMs): [{startMs, samples}], with whole milliseconds. */
export function cut(pieces, fromMs, toMs) {
  const found = [];
  for (const { startMs, samples } of pieces) {
    const from = Math.max(0, Math.ceil((fromMs - startMs) * (RATE / 1000)));
    const to = Math.min(samples.length, Math.floor((toMs - startMs) * (RATE / 1000)));
    if (from >= to) continue;
    found.push({ startMs: Math.round(startMs + (from * 1000) / RATE), samples: samples.subarray(from, to) });
  }
  return found;
}
