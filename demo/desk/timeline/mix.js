/* Plays the same range of several channels at once, through one audio element for each channel.
 *
 * The element of the player leads: it has the audio of one channel, and the user pauses, seeks and changes the speed
 * there. The others follow it. All files of a range begin and end at the same moments (the server fills pauses with
 * silence), so their positions are equal, and one that has drifted is put back. The browser plays them without a timer of
 * this page, so they go on in a tab in the background.
 */

import { token } from "../../api.js";

const AT_ONCE = 2; // requests; the server reads audio for few at a time
const TRIES = 4; // while the server is busy with the audio of others
const BUSY_MS = 2000;
const DRIFT_S = 0.15; // two elements start a few hundredths of a second apart

export class Mix {
  muted = new Set(); // channels
  #leader = ""; // the channel in the element of the player
  #followers = new Map(); // channel -> its element
  #urls = []; // of the audio in memory
  #generation = 0; // of what is open

  /** audio: the element of the player. */
  constructor(audio) {
    this.audio = audio;
    const each = (act) => () => this.#followers.forEach(act);
    audio.addEventListener("play", each((one) => this.#start(one)));
    audio.addEventListener("pause", each((one) => one.pause()));
    audio.addEventListener("ratechange", each((one) => (one.playbackRate = audio.playbackRate)));
    audio.addEventListener("seeked", each((one) => (one.currentTime = audio.currentTime)));
    audio.addEventListener("timeupdate", each((one) => this.#adjust(one)));
  }

  /** The channels that play together. */
  get channels() {
    return this.#leader ? [this.#leader, ...this.#followers.keys()] : [];
  }

  /** paths: channel -> the address of its audio. Returns the address for the player; "" if no channel has audio, or if
   *  close() was called meanwhile. Throws if the server refuses to play it. */
  async open(paths) {
    this.close();
    const generation = this.#generation;
    const urls = new Map();
    const waiting = [...paths];
    const loadNext = async () => {
      for (let next = waiting.shift(); next && generation === this.#generation; next = waiting.shift()) {
        const audio = await load(next[1]);
        if (audio && generation === this.#generation) urls.set(next[0], this.#urlOf(audio));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, loadNext));
    if (generation !== this.#generation) return "";
    const [leader, ...others] = [...paths.keys()].filter((channel) => urls.has(channel));
    this.#leader = leader ?? "";
    for (const channel of others) this.#followers.set(channel, Object.assign(new Audio(urls.get(channel)), { playbackRate: this.audio.playbackRate }));
    this.#applyMutes();
    return urls.get(leader) ?? "";
  }

  close() {
    this.#generation += 1;
    for (const one of this.#followers.values()) {
      one.pause();
      one.removeAttribute("src");
    }
    this.#followers.clear();
    this.#leader = "";
    this.audio.muted = false;
    for (const url of this.#urls) URL.revokeObjectURL(url);
    this.#urls = [];
  }

  #urlOf(audio) {
    this.#urls.push(URL.createObjectURL(audio));
    return this.#urls.at(-1);
  }

  toggleMute(channel) {
    if (!this.muted.delete(channel)) this.muted.add(channel);
    this.#applyMutes();
  }

  #applyMutes() {
    this.audio.muted = this.#leader !== "" && this.muted.has(this.#leader);
    for (const [channel, one] of this.#followers) one.muted = this.muted.has(channel);
  }

  #start(one) {
    one.currentTime = this.audio.currentTime;
    one.play().catch(() => {}); // the leader reports what a browser does not allow
  }

  #adjust(one) {
    if (!one.seeking && Math.abs(one.currentTime - this.audio.currentTime) > DRIFT_S) one.currentTime = this.audio.currentTime;
  }
}

/** The audio, or null: none of this channel is kept. Throws the response if it is refused. */
async function load(path) {
  for (let tries = 1; ; tries += 1) {
    const response = await fetch(path, { headers: token() ? { Authorization: `Bearer ${token()}` } : {} });
    if (response.ok) return response.blob();
    if (response.status === 404) return null;
    if (response.status !== 503 || tries === TRIES) throw response;
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
  }
}
