/* What a tile and a row of the list show of live audio: an icon and a word, and on tiles two buttons (mute, solo).
 *
 * Only drawn while the user listens. The marks: a crossed speaker, a pin, a violet frame for solo; never colour alone.
 */

import { language, t } from "../i18n.js";
import { setText } from "./parts.js";

const SPEAKER = '<path d="M4 9.5v5h3.5L12 18V6L7.5 9.5z"/>';
const PIN = '<path d="M9 4h6l-1 6 3 3H7l3-3zM12 13v7"/>';
const CLOCK = '<circle cx="12" cy="12" r="7"/><path d="M12 8v4l3 2"/>';
const ICONS = {
  on: `${SPEAKER}<path d="M15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11"/>`,
  off: `${SPEAKER}<path d="M16 9.5l5 5M21 9.5l-5 5"/>`,
};
ICONS.quiet = `${SPEAKER}<path d="M15.5 10.5a2 2 0 0 1 0 3"/>`;
/** The icon of each mark; a channel that is heard as usual has none. */
const ICON_OF = {
  muted: ICONS.off, avoided: ICONS.off, solo: ICONS.off, held: ICONS.off, skipped: ICONS.off, waiting: CLOCK,
  beside: ICONS.quiet, ducked: ICONS.quiet, "is-held": PIN, "is-solo": ICONS.on,
};

export class LiveMarks {
  #places = new Map(); // channel -> {tile, row, icon, word, mute, solo, rowWord}

  constructor(live) {
    this.live = live;
    live.addEventListener("change", () => this.draw());
    language.addEventListener("language", () => this.draw());
  }

  /** Add the marks to the tile and the row of a channel. */
  add(id, tile, row) {
    const box = document.createElement("span");
    box.className = "ears";
    const word = document.createElement("em");
    const icon = document.createElement("span");
    icon.className = "ear-icon";
    const mute = this.#button("mute", () => this.live.toggleMute(id));
    const solo = this.#button("solo", () => this.live.toggleSolo(id));
    solo.textContent = "S";
    mute.innerHTML = '<svg viewBox="0 0 24 24" aria-hidden="true"></svg>';
    box.append(word, mute, solo);
    tile.querySelector("header .state").after(icon);
    tile.querySelector("footer .conf").after(box);
    const rowWord = document.createElement("em");
    rowWord.className = "ear";
    row.querySelector("button").append(rowWord);
    this.#places.set(id, { tile, row, icon, word, mute, solo, rowWord });
    this.#drawOne(id);
  }

  #button(kind, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `quiet ear-${kind}`;
    button.tabIndex = -1; // the keys M and S do the same for the focused channel
    button.addEventListener("click", (event) => {
      event.stopPropagation(); // a click on the tile opens the channel
      act();
    });
    return button;
  }

  draw() {
    for (const id of this.#places.keys()) this.#drawOne(id);
  }

  #drawOne(id) {
    const { tile, row, icon, word, mute, solo, rowWord } = this.#places.get(id);
    const { live } = this;
    const { isMuted, isSolo } = live.settings.of(id);
    const mark = live.isOn ? this.#mark(id, isSolo) : "";
    if (tile.dataset.ear !== mark) {
      tile.dataset.ear = mark;
      row.dataset.ear = mark;
      icon.innerHTML = mark ? `<svg viewBox="0 0 24 24" aria-hidden="true">${ICON_OF[mark]}</svg>` : "";
    }
    setText(word, this.#word(mark));
    setText(rowWord, this.#word(mark));
    const speaker = isMuted ? "off" : "on";
    if (mute.dataset.icon !== speaker) {
      mute.dataset.icon = speaker;
      mute.firstElementChild.innerHTML = ICONS[speaker];
    }
    label(mute, t("live.mute", { channel: id }), isMuted);
    label(solo, t("live.solo", { channel: id }), isSolo);
  }

  #mark(id, isSolo) {
    if (this.live.held === id) return "is-held";
    const why = this.live.plan.get(id)?.why ?? "";
    if (why && !["paused", "replay"].includes(why)) return why;
    return isSolo ? "is-solo" : "";
  }

  #word(mark) {
    if (!mark) return "";
    if (mark === "is-held") return t("live.is.held");
    return mark === "is-solo" ? t("live.is.solo") : t(`live.why.${mark}`);
  }
}

function label(button, text, isPressed) {
  if (button.title === text && button.getAttribute("aria-pressed") === String(isPressed)) return;
  button.title = text;
  button.setAttribute("aria-label", text);
  button.setAttribute("aria-pressed", String(isPressed));
}
