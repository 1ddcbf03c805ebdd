/* The tools of a selection on the timeline: play it, or export it in the formats of the server. */

import { address, request, token } from "../../api.js";
import { t } from "../../i18n.js";
import { setText } from "../parts.js";
import { elapsed } from "../parts.js";
import { Mix } from "./mix.js";
import { clockTime } from "./range.js";

const FORMATS = ["txt", "srt", "vtt", "csv", "jsonl", "zip"];
const AUDIO = "opus"; // the audio alone, which one channel has
const PART_MS = 600_000; // of audio in one request
const MIXED_PART_MS = 300_000; // of several channels, whose audio is in memory

export class Tools {
  #selection = null;

  /** view: DeskTimeline; replays: Listening; onError(error). */
  constructor({ view, replays, onError }) {
    Object.assign(this, { view, replays, onError });
    this.mix = new Mix(replays.audio);
    for (const name of ["tools", "legend", "selected", "play", "turn", "export", "clear"]) this[name] = view.querySelector(`.tl-${name}`);
    this.format = view.querySelector("#tl-format");
    view.addEventListener("selected", ({ detail }) => this.draw(detail));
    replays.addEventListener("change", () => {
      if (!replays.line?.open) this.mix.close();
      this.draw(this.#selection);
    });
    this.play.addEventListener("click", () => this.toggle());
    this.turn.addEventListener("click", () => this.#playInTurn());
    view.laneNames.onMute = (id) => this.toggleMute(id);
    this.export.addEventListener("click", () => this.#save());
    this.clear.addEventListener("click", () => {
      view.select(null);
      view.picture.focus({ preventScroll: true });
    });
  }

  get #channels() {
    return this.view.channels.slice(this.#selection.first, this.#selection.last + 1);
  }

  draw(selection) {
    this.#selection = selection;
    this.tools.hidden = selection === null;
    this.legend.hidden = selection !== null;
    this.#drawMutes();
    if (!selection) return;
    const channels = this.#channels;
    const [first, last] = [channels[0].id, channels.at(-1).id];
    const { t0 } = this.view.lanes;
    const values = {
      channels: first === last ? first : `${first}–${last}`,
      from: clockTime(t0 + selection.fromMs),
      to: clockTime(t0 + selection.toMs),
      length: elapsed(selection.toMs - selection.fromMs),
    };
    setText(this.selected, t("tl.selected", values));
    setText(this.play, t(this.#isPlaying ? "tl.stop" : channels.length > 1 ? "tl.playTogether" : "tl.play"));
    this.turn.hidden = channels.length === 1;
    this.#drawFormats(channels.length === 1);
  }

  #drawFormats(isOne) {
    const wanted = isOne ? [...FORMATS, AUDIO] : FORMATS;
    const labels = wanted.map((kind) => t(`tl.format.${kind}`));
    if ([...this.format.options].map((option) => option.text).join() === labels.join()) return;
    const chosen = this.format.value;
    this.format.replaceChildren(...wanted.map((kind, n) => new Option(labels[n], kind)));
    this.format.value = wanted.includes(chosen) ? chosen : FORMATS[0];
  }

  get #isPlaying() {
    return Boolean(this.replays.line?.isSelected);
  }

  /** Play the selection, or stop it. False: nothing is selected. */
  toggle() {
    if (!this.#selection) return false;
    if (this.#isPlaying) this.replays.stop();
    else this.#play();
    return true;
  }

  /** The audio as it was, with its pauses; that of several channels together. */
  #play() {
    const channels = this.#channels.map(({ id }) => id);
    this.replays.playAll(channels.length === 1 ? this.#parts(channels[0]) : this.#mixedParts(channels));
  }

  /** The lines of several channels, one after another and without the pauses between them. */
  async #playInTurn() {
    const items = await this.#lines(this.#channels);
    if (items?.length) this.replays.playAll(items);
  }

  #parts(channel) {
    return this.#ranges(PART_MS).map((range) => ({ channel, ...this.#labelOf(range), path: this.#audioOf(channel, range) }));
  }

  #mixedParts(channels) {
    const label = `${channels[0]}–${channels.at(-1)}`;
    const pathsOf = (range) => new Map(channels.map((channel) => [channel, this.#audioOf(channel, range)]));
    return this.#ranges(MIXED_PART_MS).map((range) => ({ channel: label, ...this.#labelOf(range), open: () => this.mix.open(pathsOf(range)) }));
  }

  /** The selection in parts: [{from_ms, to_ms}]. */
  #ranges(partMs) {
    const { fromMs, toMs } = this.#selection;
    const found = [];
    for (let from = fromMs; from < toMs; from += partMs) found.push({ from_ms: from, to_ms: Math.min(toMs, from + partMs) });
    return found;
  }

  #labelOf({ from_ms, to_ms }) {
    const { t0 } = this.view.lanes;
    return { start_ms: from_ms, text: `${clockTime(t0 + from_ms)} – ${clockTime(t0 + to_ms)}`, isSelected: true };
  }

  #audioOf(channel, range) {
    return address(`api/sessions/${this.view.lanes.data.session}/channels/${channel}/audio`, range).href;
  }

  /** Mute or unmute a channel of the selection. False: the selection has less than two. */
  toggleMute(id) {
    if (!this.#selection || !this.#channels.some((one) => one.id === id) || this.#channels.length < 2) return false;
    this.mix.toggleMute(id);
    this.#drawMutes();
    return true;
  }

  #drawMutes() {
    const ids = this.#selection ? this.#channels.map(({ id }) => id) : [];
    this.view.laneNames.drawMutes(ids.length > 1 ? ids : [], this.mix.muted);
  }

  async #lines(channels) {
    const { fromMs, toMs } = this.#selection;
    const query = { channel: channels.map(({ id }) => id).join(), from_ms: fromMs, to_ms: toMs, columns: 1 };
    try {
      const { lines } = await request("GET", address(`api/sessions/${this.view.lanes.data.session}/timeline`, query));
      if (lines === null || lines.length === 0) this.onError({ code: lines ? "nothingSelected" : "tooMuchSelected" });
      return lines?.map((line) => ({ ...line, isSelected: true }));
    } catch (error) {
      this.onError(error);
      return null;
    }
  }

  #save() {
    const { fromMs, toMs } = this.#selection;
    const kind = this.format.value;
    const session = `api/sessions/${this.view.lanes.data.session}`;
    const channel = this.#channels.map(({ id }) => id).join();
    const range = { from_ms: fromMs, to_ms: toMs, token: token() };
    const link = document.createElement("a");
    link.href = kind === AUDIO ? address(`${session}/channels/${channel}/audio`, range) : address(`${session}/export.${kind}`, { channel, clock: "local", ...range });
    link.download = kind === AUDIO ? `${channel}.opus` : "";
    link.click();
  }
}
