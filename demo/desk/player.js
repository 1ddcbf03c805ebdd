/* Plays the archived audio of lines, from 0.3 s before their first word.
 *
 * Owns the audio element. One line plays at a time. Emits "playing" (detail: the line, or null), "ended" (detail: the
 * line) and "failed" (detail: a code of the error texts) if the audio is not there.
 */

import { address, token } from "../api.js";
import { silencesOf } from "./silences.js";

const NEAR_S = 0.1; // a pause that is nearly over is not worth a jump

export class Player extends EventTarget {
  line = null;
  skipsSilence = false;
  #pauses = [];

  constructor(audio) {
    super();
    this.audio = audio;
    audio.addEventListener("ended", () => {
      this.#changed();
      this.dispatchEvent(new CustomEvent("ended", { detail: this.line }));
    });
    audio.addEventListener("timeupdate", () => this.#skipPause());
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

  /** line: a final; or {path} of its audio; or {open()}, which returns a promise of a local address, "" without audio. */
  play(line) {
    this.line = line;
    this.#pauses = silencesOf(line);
    if (line.open) this.#playOpened(line);
    else this.#begin(address(line.path ?? `api/segments/${line.segment}/audio`, { token: token() }));
    this.#changed();
  }

  async #playOpened(line) {
    this.audio.pause();
    const source = await line.open().catch(() => "");
    if (this.line !== line) return; // the user chose another one meanwhile
    if (source) this.#begin(source);
    else this.dispatchEvent(new CustomEvent("failed", { detail: "noAudio" }));
  }

  #begin(source) {
    this.audio.src = source;
    this.audio.play().catch(() => {}); // the error event reports it
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

  #skipPause() {
    if (!this.skipsSilence) return;
    const at = this.audio.currentTime;
    const pause = this.#pauses.find(({ from, to }) => at >= from && at < to - NEAR_S);
    if (pause) this.audio.currentTime = pause.to;
  }

  #changed() {
    this.dispatchEvent(new CustomEvent("playing", { detail: this.line }));
  }
}
