/* Plays the archived audio of lines, from 0.3 s before their first word.
 *
 * Owns the audio element. One line plays at a time. Emits "playing" (detail: the line, or null) and "failed" (detail:
 * a code of the error texts) if the audio is not there.
 */

import { address, token } from "../api.js";

export class Player extends EventTarget {
  line = null;

  constructor(audio) {
    super();
    this.audio = audio;
    audio.addEventListener("ended", () => this.#changed());
    audio.addEventListener("pause", () => this.#changed());
    audio.addEventListener("play", () => this.#changed());
    audio.addEventListener("error", () => this.line && this.dispatchEvent(new CustomEvent("failed", { detail: "noAudio" })));
  }

  get isPlaying() {
    return this.line !== null && !this.audio.paused && !this.audio.ended;
  }

  set speed(value) {
    this.audio.defaultPlaybackRate = value; // also for the lines that are played later
    this.audio.playbackRate = value;
  }

  play(line) {
    this.line = line;
    this.audio.src = address(`api/segments/${line.segment}/audio`, { token: token() });
    this.audio.play().catch(() => {}); // the error event reports it
    this.#changed();
  }

  /** Pause, or continue. Returns false if there is nothing to play. */
  toggle() {
    if (!this.line) return false;
    if (this.isPlaying) this.audio.pause();
    else this.audio.play().catch(() => {});
    return true;
  }

  stop() {
    this.line = null;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new CustomEvent("playing", { detail: this.line }));
  }
}
