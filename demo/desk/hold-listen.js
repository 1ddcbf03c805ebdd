/* The button that plays the channel on screen for as long as it is pressed: for phones, where the desk is usually silent.
 *
 * After the release, what the user heard before goes on; without that, live audio is paused, so that the next press is
 * heard at once.
 */

import { language, t } from "../i18n.js";
import { setText } from "./parts.js";

export class HoldToListen {
  #before = null; // {held, isPaused} at the press
  #channel = "";

  /** live: LiveDesk; channel(): id of the channel on screen. */
  constructor(button, live, channel) {
    Object.assign(this, { button, live, channel });
    button.addEventListener("pointerdown", (event) => event.button === 0 && this.#press());
    for (const kind of ["pointerup", "pointercancel", "pointerleave", "blur"]) button.addEventListener(kind, () => this.#release());
    button.addEventListener("keydown", (event) => isPress(event) && !event.repeat && this.#press());
    button.addEventListener("keyup", (event) => isPress(event) && this.#release());
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch opens no menu
    language.addEventListener("language", () => this.#draw());
    this.#draw();
  }

  #press() {
    if (this.#channel) return;
    const { live } = this;
    this.#channel = this.channel();
    this.#before = { held: live.isOn ? live.held : "", isPaused: live.isOn ? live.isPaused : true };
    live.start();
    live.hear({ held: this.#channel, isPaused: false });
    this.#draw();
  }

  #release() {
    if (!this.#channel) return;
    this.#channel = "";
    // A touch counts as a press of the user only when it ends; before that, some browsers play nothing.
    if (this.live.isOn) this.live.mixer.unlock();
    if (this.live.isOn) this.live.hear(this.#before);
    this.#draw();
  }

  #draw() {
    setText(this.button, this.#channel ? t("live.holdHears", { channel: this.#channel }) : t("live.holdToListen"));
    this.button.setAttribute("aria-pressed", String(Boolean(this.#channel)));
  }
}

const isPress = ({ key }) => key === " " || key === "Enter";
