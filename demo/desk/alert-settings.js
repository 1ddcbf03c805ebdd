/* How this browser reports alerts: the sound of each level, and notices of the system. Owns the choices, their storage
 * and their dialog.
 */

import { language, t } from "../i18n.js";
import { LEVELS } from "./alerts.js";
import { AlertSound } from "./alert-sound.js";
import { userSettings } from "./user-settings.js";

const KEY = "host-stt.desk-alerts";
const DEFAULTS = { sound: true, notices: false, volumes: { info: 0.3, warning: 0.6, critical: 1 } };

export class AlertSettings {
  #sound = new AlertSound();
  #chosen = DEFAULTS;

  /** dialog: with the switches; button: opens it; hint: says that sound needs a gesture; onOpen(channel). */
  constructor({ dialog, button, hint, onOpen }) {
    Object.assign(this, { dialog, hint, onOpen });
    this.sound = dialog.querySelector("#alert-sound");
    this.notices = dialog.querySelector("#alert-notices");
    this.note = dialog.querySelector("#alert-notices-note");
    this.#restore();
    this.#sound.addEventListener("locked", () => (hint.hidden = false));
    this.#sound.addEventListener("unlocked", () => (hint.hidden = true));
    button.addEventListener("click", () => (this.draw(), dialog.showModal()));
    dialog.querySelector("#alert-close").addEventListener("click", () => dialog.close());
    this.sound.addEventListener("change", () => ((this.#chosen.sound = this.sound.checked), this.#store()));
    this.notices.addEventListener("change", () => this.#chooseNotices());
    language.addEventListener("language", () => this.draw());
    userSettings.addEventListener("part", ({ detail }) => detail === KEY && (this.#restore(), this.draw()));
    this.draw();
  }

  /** Report an alert. sentence: for the notice; empty: only the sound is repeated. */
  report(alert, sentence) {
    if (this.#chosen.sound) this.#sound.play(alert.level, this.#chosen.volumes[alert.level]);
    if (!sentence || !this.#chosen.notices || !document.hidden || globalThis.Notification?.permission !== "granted") return;
    const notice = new Notification(`${t(`al.level.${alert.level}`)}: ${alert.rule}`, {
      body: sentence,
      tag: alert.alert, // an escalation replaces the notice of the same alert
      requireInteraction: alert.level === "critical",
      lang: language.current,
    });
    notice.addEventListener("click", () => {
      focus();
      this.onOpen(alert.channel);
      notice.close();
    });
  }

  draw() {
    this.sound.checked = this.#chosen.sound;
    this.notices.checked = this.#chosen.notices && globalThis.Notification?.permission === "granted";
    this.notices.disabled = !("Notification" in globalThis) || !globalThis.isSecureContext;
    const isDenied = globalThis.Notification?.permission === "denied";
    this.note.textContent = this.notices.disabled ? t("al.noticesMissing") : isDenied ? t("al.noticesDenied") : "";
    this.dialog.querySelector("#alert-volumes").replaceChildren(...LEVELS.map((level) => this.#volume(level)));
  }

  #volume(level) {
    const row = document.createElement("div");
    const label = document.createElement("label");
    label.htmlFor = `alert-volume-${level}`;
    label.textContent = t("al.volume", { level: t(`al.level.${level}`) });
    const slider = Object.assign(document.createElement("input"), { type: "range", id: label.htmlFor, min: 0, max: 1, step: 0.1 });
    slider.value = this.#chosen.volumes[level];
    slider.addEventListener("input", () => ((this.#chosen.volumes[level] = Number(slider.value)), this.#store()));
    const play = document.createElement("button");
    play.type = "button";
    play.className = "quiet";
    play.textContent = t("al.testSound");
    play.setAttribute("aria-label", t("al.testSoundOf", { level: t(`al.level.${level}`) }));
    play.addEventListener("click", () => this.#sound.play(level, Number(slider.value)));
    row.append(label, slider, play);
    return row;
  }

  /** The browser asks the user once, and only after a click. */
  async #chooseNotices() {
    this.#chosen.notices = this.notices.checked;
    if (this.notices.checked && Notification.permission === "default") await Notification.requestPermission();
    this.#store();
    this.draw();
  }

  #store() {
    userSettings.setItem(KEY, JSON.stringify(this.#chosen));
  }

  #restore() {
    this.#chosen = { ...DEFAULTS, volumes: { ...DEFAULTS.volumes } };
    try {
      const { sound, notices, volumes } = JSON.parse(userSettings.getItem(KEY) ?? "{}");
      if (typeof sound === "boolean") this.#chosen.sound = sound;
      this.#chosen.notices = notices === true;
      for (const level of LEVELS) if (volumes?.[level] >= 0 && volumes[level] <= 1) this.#chosen.volumes[level] = volumes[level];
    } catch {
      return; // not JSON: start with the defaults
    }
  }
}
