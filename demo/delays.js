/* The delay of the text as a speaker perceives it, calculated from the server's events. Pure.
 *
 * Final text: from the last word of an utterance to its final. Finals in mid-utterance do not count, because speech
 * goes on. First text: from the beginning of speech to the first text, interim or final. Late finals (from a backfill
 * or from the archive) do not count. Both use the server's `latency_ms`, so the way to the browser is not included.
 */

import { isLate } from "./events.js";

const DELAYS_MAX = 500; // utterances that the figures are made of
const LAST_WORDS_MS = 1000; // a final that ends so close to the end of speech has the last words
const UTTERANCES_MAX = 64; // that are followed at the same time

export class Delays {
  #utterances = new Map(); // utterance -> what is known of it; endMs null: speech goes on
  #first = [];
  #final = [];

  feed(event) {
    if (!event.utterance || isLate(event)) return;
    if (event.type === "speech.started") this.#of(event.utterance).startMs = event.start_ms;
    if (event.type === "speech.ended") this.#onEnded(event);
    if (event.type === "segment.interim" || event.type === "segment.final") this.#onText(event);
  }

  /** Delays of finals in milliseconds, one for each utterance. */
  get final() {
    return this.#final.map((one) => one.ms);
  }

  /** Delays of first texts in milliseconds, one for each utterance. */
  get first() {
    return this.#first;
  }

  #of(utterance) {
    if (!this.#utterances.has(utterance)) {
      this.#utterances.set(utterance, { startMs: null, endMs: null, hasText: false, newest: null, counted: null });
      if (this.#utterances.size > UTTERANCES_MAX) this.#utterances.delete(this.#utterances.keys().next().value);
    }
    return this.#utterances.get(utterance);
  }

  #onEnded({ utterance, end_ms }) {
    const known = this.#of(utterance);
    known.endMs = end_ms;
    // A final can arrive before this event, if its words were ready when the utterance ended.
    if (known.newest && known.newest.end_ms > end_ms - LAST_WORDS_MS) this.#count(known, known.newest);
  }

  #onText(event) {
    if (!event.text?.trim() || !Number.isFinite(event.latency_ms)) return;
    const known = this.#of(event.utterance);
    if (!known.hasText && known.startMs !== null)
      keep(this.#first, event.end_ms + event.latency_ms - known.startMs);
    known.hasText = true;
    if (event.type !== "segment.final") return;
    known.newest = event;
    if (known.endMs !== null) this.#count(known, event);
  }

  /** The last final of an utterance counts; a later one replaces it. */
  #count(known, { latency_ms }) {
    if (known.counted) known.counted.ms = latency_ms;
    else keep(this.#final, (known.counted = { ms: latency_ms }));
  }
}

function keep(values, value) {
  values.push(value);
  if (values.length > DELAYS_MAX) values.shift();
}

