/* One channel in full, beside the list: its state, figures, whole text and interim. */

import { t } from "../i18n.js";
import { LiveText, drawInterim } from "../live-text.js";
import { $ } from "../page.js";
import { drawWave } from "./level-history.js";
import { Meter, drawIcon, elapsed, seconds, setText, stateWord } from "./parts.js";

/** The keys of the timeline for earlier, later and now move the text where a text is shown. text(): its LiveText, or null. */
export function withReading(actions, text) {
  const page = (act, step) => (event) => {
    if (act(event) !== false) return true;
    const box = text()?.box;
    if (!box || box.contains(document.activeElement)) return false; // the browser scrolls it
    box.scrollBy({ top: step * box.clientHeight * 0.9 });
    return true;
  };
  const newest = (event) => actions.newest(event) !== false || (text() ? (text().toEnd(), true) : false);
  return { ...actions, earlier: page(actions.earlier, -1), later: page(actions.later, 1), newest };
}

export class FocusPanel {
  #meter = new Meter($("focus-meter"));

  /** desk: {model, terms, afterMs, focused}; `focused` is the id of the channel that is shown. */
  constructor(desk) {
    this.desk = desk;
    this.text = new LiveText({
      box: $("focus-log"),
      empty: $("focus-empty"),
      more: $("focus-more"),
      terms: desk.terms,
      showsChannel: () => false,
      transcript: desk.model.transcript,
      shows: (entry) => entry.channel === desk.focused,
    });
  }

  get #channel() {
    return this.desk.model.channel(this.desk.focused);
  }

  /** Show the focused channel from its newest line. */
  open() {
    this.text.reload();
    this.text.toEnd();
    this.draw();
  }

  /** The name and the interim. The channel is on screen, so its lines are read. */
  draw() {
    const channel = this.#channel;
    channel.unread = 0;
    setText($("focus-name"), channel.name ? `${channel.id} ${channel.name}` : channel.id);
    $("focus-name").title = channel.name;
    drawInterim($("focus-interim"), this.desk.model.transcript.interim(channel.id));
  }

  tick(nowMs) {
    const channel = this.#channel;
    const state = this.desk.model.shownState(channel, nowMs, this.desk.afterMs);
    $("focus-state").dataset.state = state;
    drawIcon($("focus-state").querySelector("svg"), state);
    setText($("focus-state").querySelector("em"), stateWord(channel, state, nowMs));
    this.#meter.draw(channel.levelAt(nowMs), nowMs);
    drawWave($("focus-wave"), channel.levels.peaks(nowMs), getComputedStyle($("focus-wave")).color);
    const words = channel.wordsPerMinute(nowMs);
    const figures = [
      words ? t("desk.wpm", { n: words }) : "",
      channel.delayMs === null ? "" : t("desk.delay", { delay: seconds(channel.delayMs) }),
      channel.spokeAtMs ? t("desk.ago", { time: elapsed(nowMs - channel.spokeAtMs) }) : "",
    ];
    setText($("focus-figures"), figures.filter(Boolean).join(" · "));
  }
}
