/* The sounds of alerts, made by Web Audio: one melody for each level, so that they are told apart without looking.
 *
 * A browser plays nothing before a key or a click on the page. Emits "locked" when a sound could not be played for
 * that reason, and "unlocked" at the first gesture.
 */

/** Notes of each level: [frequency in Hz, start in s, length in s]. */
const MELODIES = {
  info: [[523, 0, 0.16]],
  warning: [[659, 0, 0.16], [659, 0.24, 0.16]],
  critical: [[880, 0, 0.14], [698, 0.18, 0.14], [880, 0.36, 0.14], [698, 0.54, 0.2]],
};
const FADE_S = 0.02; // without it, a note begins and ends with a click
const APART_MS = 800; // several alerts of one moment have one sound
const ORDER = Object.keys(MELODIES);

export class AlertSound extends EventTarget {
  #context = null;
  #last = { atMs: -Infinity, order: -1 };

  constructor() {
    super();
    const unlock = () => this.#unlock();
    for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, unlock, { capture: true, passive: true });
  }

  /** level: of the alert; volume: 0 to 1. */
  play(level, volume) {
    if (!volume) return;
    if (this.#context?.state !== "running") {
      this.dispatchEvent(new Event("locked"));
      return;
    }
    const [atMs, order] = [performance.now(), ORDER.indexOf(level)];
    if (atMs - this.#last.atMs < APART_MS && order <= this.#last.order) return;
    this.#last = { atMs, order };
    for (const [frequency, startS, lengthS] of MELODIES[level]) this.#note(frequency, startS, lengthS, volume);
  }

  #note(frequency, startS, lengthS, volume) {
    const context = this.#context;
    const [from, to] = [context.currentTime + startS, context.currentTime + startS + lengthS];
    const tone = new OscillatorNode(context, { type: "triangle", frequency });
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setValueAtTime(0, from);
    gain.gain.linearRampToValueAtTime(volume, from + FADE_S);
    gain.gain.setValueAtTime(volume, to - FADE_S);
    gain.gain.linearRampToValueAtTime(0, to);
    tone.connect(gain).connect(context.destination);
    tone.start(from);
    tone.stop(to);
  }

  async #unlock() {
    this.#context ??= new AudioContext();
    if (this.#context.state === "suspended") await this.#context.resume().catch(() => {});
    if (this.#context.state === "running") this.dispatchEvent(new Event("unlocked"));
  }
}
