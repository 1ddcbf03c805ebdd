/* The parts of the timeline around its picture. */

import { t } from "../../i18n.js";

export const TEMPLATE = `
  <div class="tl-bar" role="group" aria-label="Range" data-i18n-label="tl.range">
    <button type="button" class="quiet tl-earlier" aria-label="Earlier" data-i18n-label="tl.earlier"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M15 5l-7 7 7 7"/></svg></button>
    <button type="button" class="quiet tl-later" aria-label="Later" data-i18n-label="tl.later"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M9 5l7 7-7 7"/></svg></button>
    <button type="button" class="quiet tl-now" aria-pressed="true" data-i18n="tl.now">Now</button>
    <button type="button" class="quiet tl-out" aria-label="Longer range" data-i18n-label="tl.out"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 12h14"/></svg></button>
    <select class="tl-length" aria-label="Length" data-i18n-label="tl.length"></select>
    <button type="button" class="quiet tl-in" aria-label="Shorter range" data-i18n-label="tl.in"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 12h14M12 5v14"/></svg></button>
    <p class="tl-hint" data-i18n="tl.hint"></p>
  </div>
  <div class="tl-box">
    <div class="tl-picture" role="slider" tabindex="0" aria-label="Timeline" data-i18n-label="tl.picture" aria-valuemin="0" aria-valuemax="0" aria-valuenow="0">
      <canvas aria-hidden="true"></canvas>
    </div>
    <div class="tl-names"></div>
  </div>
  <div class="tl-tip" aria-hidden="true" hidden><p><b></b> <time></time> <em></em></p><p class="tl-text"></p></div>
  <div class="tl-foot">
    <ul class="tl-legend" aria-label="Legend" data-i18n-label="tl.legend"></ul>
    <div class="tl-tools" role="group" aria-label="Selection" data-i18n-label="tl.selection" hidden>
      <p class="tl-selected" role="status"></p>
      <button type="button" class="tl-play"></button>
      <button type="button" class="quiet tl-turn" data-i18n="tl.playInTurn" hidden>In turn</button>
      <label class="hidden" for="tl-format" data-i18n="tl.format">Format</label>
      <select id="tl-format"></select>
      <button type="button" class="quiet tl-export" data-i18n="tl.export">Export</button>
      <button type="button" class="quiet tl-clear" data-i18n="tl.clear">Clear</button>
    </div>
  </div>`;

/** The states in the order of the legend, by their letters. */
const LETTERS = ["t", "s", "l", "h", "f", "d", "r"];

/** The items of the legend: a sample of each state, and its word. */
export function legend() {
  return LETTERS.map((letter) => {
    const item = document.createElement("li");
    const sample = document.createElement("i");
    sample.dataset.letter = letter;
    item.append(sample, t(`tl.state.${letter}`));
    return item;
  });
}
