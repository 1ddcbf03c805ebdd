/* The audio panel: spoken language, microphone, switches for processing. Owns the choices and stores them. */

import { microphones } from "./capture.js";
import { language, t } from "./i18n.js";

const KEY = "host-stt.sound"; // choices of earlier versions are stored under this name
const SWITCHES = ["echo", "noise", "gain"];

export class Settings extends EventTarget {
  #devices = [];
  #chosen = "";
  #isLive = false;

  /** Emits "source" when the microphone or a switch changes: then a running capture must be opened again. */
  constructor() {
    super();
    this.spoken = document.getElementById("spoken");
    this.device = document.getElementById("device");
    this.spokenNote = document.getElementById("spoken-note");
    this.deviceNote = document.getElementById("device-note");
    this.switches = Object.fromEntries(SWITCHES.map((name) => [name, document.getElementById(name)]));
    this.#restore();
    this.spoken.addEventListener("change", () => this.#changed(false));
    this.device.addEventListener("change", () => ((this.#chosen = this.device.value), this.#changed(true)));
    for (const name of SWITCHES) this.switches[name].addEventListener("change", () => this.#changed(true));
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.list());
    language.addEventListener("language", () => this.#draw());
    this.list();
  }

  /** The options for openMicrophone(). */
  get capture() {
    const switches = Object.fromEntries(SWITCHES.map((name) => [name, this.switches[name].checked]));
    return { deviceId: this.device.value, ...switches };
  }

  get language() {
    return this.spoken.value;
  }

  set isLive(value) {
    this.#isLive = value;
    this.spokenNote.textContent = "";
  }

  /** Names are empty before the permission, so this must be called again after it. */
  async list() {
    this.#devices = await microphones().catch(() => []);
    this.#draw();
  }

  #draw() {
    const options = [new Option(t("settings.deviceDefault"), "")];
    this.#devices
      .filter((device) => device.deviceId !== "default")
      .forEach((device, i) => {
        const name = device.label || t("settings.deviceUnnamed", { n: i + 1 });
        options.push(new Option(name, device.deviceId));
      });
    this.device.replaceChildren(...options);
    const isThere = options.some((option) => option.value === this.#chosen);
    this.device.value = isThere ? this.#chosen : "";
    this.device.disabled = this.#devices.length === 0;
    this.deviceNote.textContent = this.#devices.length === 0 ? t("settings.deviceLater") : "";
    if (this.spokenNote.textContent) this.spokenNote.textContent = t("settings.nextStart");
  }

  #changed(isSource) {
    const { language: spoken } = this;
    const kept = { spoken, device: this.#chosen, ...this.capture };
    localStorage.setItem(KEY, JSON.stringify(kept));
    if (isSource) this.dispatchEvent(new Event("source"));
    else if (this.#isLive) this.spokenNote.textContent = t("settings.nextStart");
  }

  #restore() {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    } catch {
      localStorage.removeItem(KEY); // not JSON: start with the defaults
    }
    if ([...this.spoken.options].some((option) => option.value === kept.spoken)) this.spoken.value = kept.spoken;
    this.#chosen = kept.device ?? "";
    for (const name of SWITCHES) this.switches[name].checked = kept[name] === true;
  }
}
