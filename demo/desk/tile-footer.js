/* The footer of a tile: who talked last, confidence of the newest line, the delay of the text, words per minute.
 *
 * The most important comes first, because what does not fit into a narrow tile is not shown (desk.css).
 */

import { t } from "../i18n.js";
import { namesOfTalkers } from "../talkers.js";
import { seconds, setText } from "./parts.js";

export const FOOTER = `
  <footer>
    <span class="talker" hidden></span>
    <span class="conf" role="img"><i></i></span><span class="us-gauge" data-figure="confidence" hidden></span>
    <span class="delay"></span><span class="us-gauge" data-figure="delay_ms" hidden></span>
    <span class="wpm"></span><span class="us-gauge" data-figure="words" hidden></span>
    <span class="us-gauge" data-figure="level_db" hidden></span>
  </footer>`;

export class TileFooter {
  #percent = null; // of the confidence, as it is drawn; -1: hidden

  constructor(tile) {
    const [talker, words, conf, delay] = [".talker", ".wpm", ".conf", ".delay"].map((one) => tile.querySelector(one));
    Object.assign(this, { talker, words, conf, delay });
  }

  /** channel: a DeskChannel. */
  tick(channel, nowMs) {
    this.#drawTalker(channel.lastSaid);
    const words = channel.wordsPerMinute(nowMs);
    setText(this.words, words ? t("desk.wpm", { n: words }) : "");
    this.#drawConfidence(channel.confidence);
    this.#drawDelay(channel.delayMs);
  }

  #drawDelay(delayMs) {
    const delay = delayMs === null ? "" : seconds(delayMs);
    const text = delay && t("desk.lag", { delay });
    if (this.delay.textContent === text) return;
    setText(this.delay, text);
    this.delay.title = delay && t("desk.delay", { delay });
  }

  /** The radios of the newest line, where the radio system names them. */
  #drawTalker(line) {
    const names = line ? namesOfTalkers([line]).join(", ") : "";
    if (this.talker.textContent === names) return;
    this.talker.hidden = false; // from now on its place is kept, also for a line without a name
    setText(this.talker, names);
    this.talker.title = names;
  }

  #drawConfidence(confidence) {
    const percent = confidence === null ? -1 : Math.round(confidence * 100);
    const words = percent < 0 ? "" : t("desk.confidence", { n: percent });
    if (percent === this.#percent && this.conf.title === words) return;
    this.#percent = percent;
    this.conf.hidden = percent < 0;
    this.conf.style.setProperty("--conf", percent / 100);
    this.conf.title = words;
    this.conf.setAttribute("aria-label", words);
  }
}
