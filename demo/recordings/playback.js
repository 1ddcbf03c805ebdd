/* Plays a channel of a recording from the archive, in pieces of ten minutes one behind the other.
 *
 * Owns the audio element and the controls. Emits "at" (detail: {channel, ms}) as it plays, and with ms null when it stops.
 */

import { address, token } from "../api.js";
import { language, t } from "../i18n.js";
import { labelText } from "./labels.js";
import { shortTime } from "./times.js";

const PIECE_MS = 600_000;
const LEAD_MS = 200; // before the word that was pressed

export class Playback extends EventTarget {
  #session = null;
  #from = 0; // of the piece that is loaded
  #length = 0;
  #frame = 0;

  constructor({ audio, box, play, seek, place, heard, speed }) {
    super();
    Object.assign(this, { audio, box, play, seek, place, heard, speed });
    play.addEventListener("click", () => this.toggle());
    seek.addEventListener("change", () => this.from(this.heard.value, Number(seek.value)));
    seek.addEventListener("input", () => this.#showPlace(Number(seek.value)));
    heard.addEventListener("change", () => this.isPlaying && this.from(heard.value, this.ms));
    speed.addEventListener("change", () => this.#setSpeed());
    audio.addEventListener("play", () => (this.#label(), this.#follow()));
    audio.addEventListener("pause", () => this.#label());
    audio.addEventListener("ended", () => this.#next());
    audio.addEventListener("error", () => this.#session && this.audio.src && this.dispatchEvent(new Event("failed")));
    language.addEventListener("language", () => (this.#label(), this.#showPlace(this.ms)));
  }

  /** channels: [{channel, label}]. */
  open(session, channels) {
    this.stop();
    this.#session = session;
    this.heard.replaceChildren(...channels.map(({ channel, label }) => new Option(`${channel} ${labelText(label)}`, channel)));
    this.heard.hidden = channels.length < 2;
    this.box.hidden = session === null;
  }

  /** The recording is at least this long. */
  set length(ms) {
    this.#length = Math.max(0, Math.floor(ms));
    this.seek.max = String(this.#length);
    this.#showPlace(this.ms);
  }

  get isPlaying() {
    return this.#session !== null && !this.audio.paused && !this.audio.ended && this.audio.src !== "";
  }

  get ms() {
    return this.audio.src ? this.#from + this.audio.currentTime * 1000 : Number(this.seek.value);
  }

  toggle() {
    if (this.isPlaying) this.audio.pause();
    else if (this.audio.src && !this.audio.ended) this.audio.play().catch(() => {});
    else this.from(this.heard.value, Number(this.seek.value) >= this.#length ? 0 : Number(this.seek.value));
  }

  /** Play the channel from this time. */
  from(channel, ms) {
    if (this.#session === null) return;
    this.heard.value = channel;
    this.#from = Math.max(0, Math.floor(ms - LEAD_MS));
    const range = { from_ms: this.#from, to_ms: this.#from + PIECE_MS, token: token() };
    this.audio.src = address(`api/sessions/${this.#session}/channels/${channel}/audio`, range);
    this.#setSpeed();
    this.audio.play().catch(() => {}); // the error event reports it
  }

  stop() {
    this.#session = null;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.#from = 0;
    this.seek.value = "0";
    this.#showPlace(0);
    this.#label();
    this.dispatchEvent(new CustomEvent("at", { detail: { channel: "", ms: null } }));
  }

  #setSpeed() {
    this.audio.defaultPlaybackRate = this.audio.playbackRate = Number(this.speed.value);
  }

  #next() {
    const end = this.#from + PIECE_MS;
    if (end < this.#length) return this.from(this.heard.value, end + LEAD_MS);
    this.#label();
    this.dispatchEvent(new CustomEvent("at", { detail: { channel: "", ms: null } }));
  }

  #follow() {
    cancelAnimationFrame(this.#frame);
    if (!this.isPlaying) return;
    const { ms } = this;
    if (document.activeElement !== this.seek) this.seek.value = String(Math.floor(ms));
    this.#showPlace(ms);
    this.dispatchEvent(new CustomEvent("at", { detail: { channel: this.heard.value, ms } }));
    this.#frame = requestAnimationFrame(() => this.#follow());
  }

  #showPlace(ms) {
    const text = `${shortTime(ms)} / ${shortTime(this.#length)}`;
    if (this.place.textContent !== text) this.place.textContent = text;
    this.seek.setAttribute("aria-valuetext", shortTime(ms));
  }

  #label() {
    this.play.textContent = t(this.isPlaying ? "rec.pause" : "rec.play");
  }
}
