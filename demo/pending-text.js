/* Utterances that ended and have no text yet.
 *
 * The speech detector may take a cough or a beep for speech. Such an utterance gets no final, and no event reports that.
 * So each utterance has a timer here. When it expires, the page stops waiting and can say so.
 */

const WAIT_MS = 16_000; // the server promises text within 15 s
const KNOWN_MAX = 256; // utterances of all channels

export class PendingText {
  #known = new Map(); // utterance -> {hasText, timer}; timer 0: the utterance has not ended yet

  /** onGiveUp({channel, utterance, hasText}): hasText is true if an earlier part of the utterance became a final. */
  constructor(onGiveUp, waitMs = WAIT_MS) {
    this.onGiveUp = onGiveUp;
    this.waitMs = waitMs;
  }

  feed(event) {
    if (event?.type === "speech.ended") this.#onEnded(event);
    if (event?.type === "segment.final") this.#onFinal(event);
  }

  clear() {
    for (const { timer } of this.#known.values()) clearTimeout(timer);
    this.#known.clear();
  }

  #onEnded({ channel, utterance }) {
    const hasText = this.#known.get(utterance)?.hasText ?? false;
    const timer = setTimeout(() => {
      this.#known.delete(utterance);
      this.onGiveUp({ channel, utterance, hasText });
    }, this.waitMs);
    this.#remember(utterance, { hasText, timer });
  }

  #onFinal({ utterance }) {
    const known = this.#known.get(utterance);
    if (known?.timer) {
      clearTimeout(known.timer);
      this.#known.delete(utterance);
    } else this.#remember(utterance, { hasText: true, timer: 0 });
  }

  #remember(utterance, entry) {
    this.#known.set(utterance, entry);
    if (this.#known.size <= KNOWN_MAX) return;
    const [oldest, { timer }] = this.#known.entries().next().value;
    clearTimeout(timer);
    this.#known.delete(oldest);
  }
}
