/* Listening on the desk: the player bar, clicks on lines, and the steps from line to line. */

import { t } from "../i18n.js";
import { $ } from "../page.js";
import { timecode } from "../timecode.js";
import { setText } from "./parts.js";
import { Player } from "./player.js";

export class Listening {
  #player = new Player($("audio"));

  /** model: the DeskModel; boxes: elements whose lines are played on a click; onError({code}). */
  constructor({ model, boxes, onError }) {
    this.model = model;
    this.#player.addEventListener("playing", ({ detail }) => this.#draw(detail));
    this.#player.addEventListener("failed", ({ detail }) => onError({ code: detail }));
    $("play").addEventListener("click", () => this.toggle());
    $("close-player").addEventListener("click", () => this.#player.stop());
    $("speed").addEventListener("change", (event) => (this.#player.speed = Number(event.target.value)));
    for (const box of boxes) box.addEventListener("click", (event) => this.#onClick(event));
  }

  /** line: a final, or a hit of the search. */
  play(line) {
    this.#player.play(line);
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
    $("player").hidden = line === null;
    if (!line) return;
    const name = this.model.channels.get(line.channel)?.name;
    setText($("playing-channel"), name ? `${line.channel} ${name}` : line.channel);
    setText($("playing-time"), line.start ?? timecode(line.start_ms));
    setText($("playing-text"), line.text);
    $("play").textContent = t(this.#player.isPlaying ? "desk.pause" : "desk.play");
  }
}
