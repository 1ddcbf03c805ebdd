/* <desk-tile>: one channel on the wall. Header with state, meter and time; the newest lines; the interim; figures.
 *
 * The tile has a fixed place and fixed rows: new text never moves anything outside of its own rows.
 */

import { language, t } from "../i18n.js";
import { LiveText } from "../live-text.js";
import { Meter, drawIcon, elapsed, setText, stateName, waitedText } from "./parts.js";
import { FOOTER, TileFooter } from "./tile-footer.js";
import { fitTiles } from "./tile-size.js";

const ROWS_MAX = 8; // more do not fit, whatever their length

const TEMPLATE = `
  <header>
    <h2><b></b> <span class="name" dir="auto"></span></h2>
    <span class="state"><svg viewBox="0 0 24 24" aria-hidden="true"></svg><em></em></span>
    <span class="figure"><span class="meter" aria-hidden="true"></span><span class="ago"></span></span>
  </header>
  <div class="lines"></div>
  <p class="interim" aria-hidden="true"><span><span class="steady"></span><span class="loose"></span></span></p>${FOOTER}`;

export class DeskTile extends HTMLElement {
  /** desk: {model, terms, afterMs, onOpen(id), onLine(line)} */
  begin(id, desk) {
    Object.assign(this, { id: `tile-${id}`, desk, channelId: id });
    this.className = "tile";
    this.setAttribute("role", "listitem");
    this.tabIndex = -1;
    this.innerHTML = TEMPLATE;
    this.querySelector("h2").id = `tile-name-${id}`;
    this.setAttribute("aria-labelledby", `tile-name-${id}`);
    this.parts = Object.fromEntries(
      ["b", ".name", ".state", "svg", "em", ".ago", ".lines", ".interim", ".steady", ".loose"].map((selector) => [
        selector,
        this.querySelector(selector),
      ]),
    );
    this.footer = new TileFooter(this);
    this.meter = new Meter(this.querySelector(".meter"));
    this.text = new LiveText({
      box: this.parts[".lines"],
      empty: document.createElement("p"),
      more: document.createElement("button"),
      terms: desk.terms,
      showsChannel: () => false,
      transcript: desk.model.transcript,
      shows: (entry) => entry.channel === id,
      rowsMax: ROWS_MAX,
      isScrolled: false,
    });
    this.addEventListener("click", (event) => this.#onClick(event));
    setText(this.parts.b, id);
    fitTiles(this);
    return this;
  }

  get channel() {
    return this.desk.model.channel(this.channelId);
  }

  #onClick(event) {
    const row = event.target.closest("[data-segment]");
    const line = row && this.channel.entries.find((one) => one.segment === row.dataset.segment);
    if (line && !getSelection().toString()) this.desk.onLine(line);
    else this.desk.onOpen(this.channelId);
  }

  /** Everything that changes with time: state, meter, time since the newest speech, figures. */
  tick(nowMs) {
    const { channel, parts } = this;
    const state = this.desk.model.shownState(channel, nowMs, this.desk.afterMs);
    if (this.dataset.state !== state) this.dataset.state = state;
    drawIcon(parts.svg, state);
    setText(parts.em, stateName(channel, state));
    this.meter.draw(channel.levelAt(nowMs), nowMs);
    setText(parts[".ago"], this.#ago(nowMs, state));
    this.footer.tick(channel, nowMs);
  }

  #ago(nowMs, state) {
    const { channel } = this;
    if (state === "no_signal" || state === "disconnected") return elapsed(nowMs - channel.stateAtMs);
    if (state === "talking") return this.meter.kind && t(`desk.level.${this.meter.kind}`);
    if (state === "text" || state === "behind") return waitedText(channel, state, nowMs);
    if (!channel.spokeAtMs) return "";
    return t("desk.ago", { time: elapsed(nowMs - channel.spokeAtMs) });
  }

  /** The name and the interim, from the model. The lines are drawn by `text`. */
  draw() {
    setText(this.parts[".name"], this.channel.name);
    this.parts[".name"].title = this.channel.name; // a very long one is cut
    this.drawInterim();
  }

  drawInterim() {
    const interim = this.desk.model.transcript.interim(this.channelId);
    const text = interim?.text ?? "";
    const { ".steady": steady, ".loose": loose, ".interim": row } = this.parts;
    setText(steady, text.slice(0, interim?.stableChars ?? 0));
    setText(loose, text ? `${text.slice(interim.stableChars)} …` : "");
    row.lang = interim?.language || language.current;
  }
}

customElements.define("desk-tile", DeskTile);
