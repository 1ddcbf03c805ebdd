/* Transmissions that the operator wanted to hear and could not: muted, beside a solo, another channel's turn, a pause.
 *
 * Pure. An utterance of which nothing was heard is missed; its lines can be played afterwards. Channels that the operator
 * avoids are not missed. The list is bounded: the oldest lines leave first, and stay in the text.
 */

const LINES_MAX = 200;
const UTTERANCES_MAX = 1000;

export class Missed {
  lines = []; // oldest first
  #utterances = new Map(); // utterance -> true if a part of it was heard

  /** Speech began, or goes on; isHeard: the operator hears it now. */
  note(utterance, isHeard) {
    this.#utterances.set(utterance, isHeard || (this.#utterances.get(utterance) ?? false));
    if (this.#utterances.size > UTTERANCES_MAX) this.#utterances.delete(this.#utterances.keys().next().value);
  }

  /** The operator does not want to hear this utterance. */
  forget(utterance) {
    this.#utterances.delete(utterance);
  }

  /** A line came. Returns true if it was missed. */
  take(line) {
    if (this.#utterances.get(line.utterance) !== false) return false;
    this.lines = [...this.lines, line].slice(-LINES_MAX);
    return true;
  }

  remove(line) {
    this.lines = this.lines.filter((one) => one.segment !== line.segment);
  }

  clear() {
    this.lines = [];
    this.#utterances.clear();
  }
}
