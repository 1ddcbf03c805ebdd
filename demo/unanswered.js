/* Utterances that ended and still wait for their words.
 *
 * The server may find no words in what it took for speech (a cough, a beep); nothing on the wire says so at once. Owns
 * one timer for each and calls back when the wait is over, so that no page shows "hearing you" for ever.
 */

const WAIT_MS = 16_000; // the server promises text within 15 s
const KEPT_MAX = 256; // utterances of all channels

export class Unanswered {
  #known = new Map(); // utterance -> {channel, hasWords, timer}

  /** onGiveUp(channel, utterance, hasWords): hasWords tells whether an earlier part of it became text. */
  constructor(onGiveUp, waitMs = WAIT_MS) {
    this.onGiveUp = onGiveUp;
    this.waitMs = waitMs;
  }

  feed(event) {
    if (event.type === "speech.ended") this.#ended(event);
    if (event.type === "segment.final") this.#answered(event);
  }

  clear() {
    for (const { timer } of this.#known.values()) clearTimeout(timer);
    this.#known.clear();
  }

  #ended({ channel, utterance }) {
    const hasWords = this.#known.get(utterance)?.hasWords ?? false;
    const timer = setTimeout(() => {
      this.#known.delete(utterance);
      this.onGiveUp(channel, utterance, hasWords);
    }, this.waitMs);
    this.#keep(utterance, { channel, hasWords, timer });
  }

  #answered({ channel, utterance }) {
    const known = this.#known.get(utterance);
    if (known?.timer) {
      clearTimeout(known.timer);
      this.#known.delete(utterance);
    } else this.#keep(utterance, { channel, hasWords: true, timer: 0 });
  }

  #keep(utterance, entry) {
    this.#known.set(utterance, entry);
    if (this.#known.size <= KEPT_MAX) return;
    const [oldest, { timer }] = this.#known.entries().next().value;
    clearTimeout(timer);
    this.#known.delete(oldest);
  }
}
