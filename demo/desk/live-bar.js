/* The bar of live audio: what is heard now, and the buttons that scanner users know. It is there while the user listens. */

import { language, t } from "../i18n.js";
import { $ } from "../page.js";
import { setText } from "./parts.js";

const AVOIDANCES = ["30", "60", "120", "released", "0"];

export class LiveBar {
  /** live: LiveDesk; onSound(): opens the sound settings. */
  constructor(live, { onSound }) {
    this.live = live;
    $("listen").addEventListener("click", () => (live.isOn ? live.stop() : live.start()));
    $("live-hold").addEventListener("click", () => live.toggleHold(live.target));
    $("live-skip").addEventListener("click", () => live.skip());
    $("live-replay").addEventListener("click", () => live.replay());
    $("live-pause").addEventListener("click", () => (live.isPaused || live.isReplaying ? live.goLive() : live.pause()));
    $("live-missed").addEventListener("click", () => live.playMissed());
    $("live-volume").addEventListener("input", ({ target }) => live.settings.setAll({ volume: Number(target.value) }));
    $("live-sound-open").addEventListener("click", onSound);
    $("live-avoid").addEventListener("change", ({ target }) => this.#avoid(target));
    live.addEventListener("change", () => this.draw());
    language.addEventListener("language", () => this.draw());
    this.draw();
  }

  #avoid(select) {
    const { value } = select;
    select.value = "";
    if (value) this.live.avoid(this.live.target, value === "released" ? value : Number(value));
  }

  draw() {
    const { live } = this;
    setText($("listen"), t(live.isOn ? "live.stop" : "live.listen"));
    $("listen").setAttribute("aria-pressed", String(live.isOn));
    $("live-bar").hidden = !live.isOn;
    document.body.classList.toggle("listening", live.isOn);
    if (!live.isOn) return;
    this.#drawState();
    const { target } = live;
    setText($("live-hold"), live.held ? t("live.held", { channel: live.held }) : t("live.hold.on", { channel: target }));
    $("live-hold").setAttribute("aria-pressed", String(Boolean(live.held)));
    this.#drawAvoid(target);
    const isAway = live.isPaused || live.isReplaying;
    setText($("live-pause"), t(isAway ? "live.goLive" : "live.pause"));
    $("live-pause").setAttribute("aria-pressed", String(live.isPaused));
    const n = live.missed.lines.length;
    $("live-missed").hidden = n === 0;
    setText($("live-missed"), t(n === 1 ? "live.missed.one" : "live.missed.many", { n }));
    $("live-missed").title = t("live.missed.title");
    if (document.activeElement !== $("live-volume")) $("live-volume").value = live.settings.all.volume;
  }

  #drawState() {
    const { live } = this;
    const { state } = live.connection;
    const name = state !== "live" ? state : live.isReplaying ? "replay" : live.isPaused ? "paused" : "live";
    $("live-now").dataset.state = name;
    setText($("live-now").querySelector("b"), name === "off" ? "" : t(`live.state.${name}`));
    const heard = live.heard.map((id) => {
      const label = live.model.channel(id).name;
      return label ? `${id} ${label}` : id;
    });
    setText($("live-now").querySelector("span"), heard.join(" · ") || t("live.nothing"));
  }

  #drawAvoid(target) {
    const select = $("live-avoid");
    const drawn = `${target} ${language.current}`;
    if (select.dataset.drawn === drawn) return;
    select.dataset.drawn = drawn;
    const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
    const options = AVOIDANCES.map((value) => option(value, t(`live.avoid.${value}`)));
    select.replaceChildren(option("", t("live.avoid", { channel: target })), ...options);
  }
}
