/* Replays on the desk: the player bar, clicks on lines, the steps from line to line, and several lines in turn.
 *
 * Emits "change" when another line plays, or when it plays no more.
 */

import { t } from "../i18n.js";
import { $ } from "../page.js";
import { timecode } from "../timecode.js";
import { HeardWord } from "./heard-word.js";
import { setText } from "./parts.js";
import { Player } from "./player.js";
import { LEAD_S } from "./silences.js";

export class Listening extends EventTarget {
  #player = new Player($("audio"));
  #queue = []; // lines that play after this one

  /** model: the DeskModel; boxes: elements whose lines are played on a click; onError({code}); onPlay(line). */
  constructor({ model, boxes, onError, onPlay = () => {} }) {
    super();
    Object.assign(this, { model, onPlay });
    this.#player.addEventListener("playing", ({ detail }) => this.#draw(detail));
    this.#player.addEventListener("ended", () => this.#queue.length && this.#next());
    this.#player.addEventListener("failed", ({ detail }) => (this.#queue.length ? this.#next() : onError({ code: detail })));
    $("play").addEventListener("click", () => this.toggle());
    $("close-player").addEventListener("click", () => this.stop());
    $("skips").addEventListener("change", (event) => (this.#player.skipsSilence = event.target.checked));
    $("speed").addEventListener("change", (event) => (this.#player.speed = Number(event.target.value)));
    for (const box of boxes) box.addEventListener("click", (event) => this.#onClick(event));
    new HeardWord({ listening: this, root: $("views"), shown: $("playing-text") });
  }

  get line() {
    return this.#player.line;
  }

  get audio() {
    return this.#player.audio;
  }

  /** What is heard now: {channel, ms}; ms: of the session; channel: its id, or of several together "". Null: nothing plays. */
  get place() {
    const { line } = this.#player;
    if (!line) return null;
    const fromMs = line.path || line.open ? line.start_ms : Math.max(0, line.start_ms - LEAD_S * 1000);
    return { channel: line.channel, ms: fromMs + this.#player.audio.currentTime * 1000 };
  }

  get isPlaying() {
    return this.#player.isPlaying || this.#queue.length > 0;
  }

  /** line: a final, or a hit of the search. */
  play(line) {
    this.#queue = [];
    this.onPlay(line);
    this.#player.play(line);
  }

  /** Play these lines one after another. A line may have the `path` of its audio, from start_ms on, or `open` (player.js). */
  playAll(lines) {
    this.#queue = [...lines];
    this.#next();
  }

  /** The next of several lines; after the last one, the end. */
  skip() {
    if (this.#queue.length) this.#next();
    else this.stop();
  }

  stop() {
    this.#queue = [];
    this.#player.stop();
  }

  #next() {
    this.#player.play(this.#queue.shift());
  }

  /** Pause, or continue. Returns false if there is nothing to play. */
  toggle() {
    return this.#player.toggle();
  }

  /** Play the line that is `step` lines from the one that plays; without one, the channel's newest line. */
  step(channel, step) {
    const { lines } = this.model.channel(channel);
    if (lines.length === 0) return false;
    const at = lines.findIndex((line) => line.segment === this.#player.line?.segment);
    this.play(lines[at < 0 ? lines.length - 1 : Math.max(0, Math.min(lines.length - 1, at + step))]);
    return true;
  }

  #onClick(event) {
    const { segment } = event.target.closest("[data-segment]")?.dataset ?? {};
    if (!segment || getSelection().toString()) return; // a user who marks text wants to copy it
    const line = this.model.transcript.lines.find((one) => one.segment === segment);
    if (line) this.play(line);
  }

  #draw(line) {
    this.dispatchEvent(new Event("change"));
    $("player").hidden = line === null;
    if (!line) return;
    const name = this.model.channels.get(line.channel)?.name;
    setText($("playing-channel"), name ? `${line.channel} ${name}` : line.channel);
    setText($("playing-time"), line.start ?? timecode(line.start_ms));
    setText($("playing-text"), line.text);
    $("play").textContent = t(this.#player.isPlaying ? "desk.pause" : "desk.play");
  }
}
