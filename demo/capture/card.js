/* <capture-card>: one input of the machine, with its choices, and with one or two strips.
 *
 * Owns the life of the device: it is opened, closed, and opened again after it was unplugged.
 *   off -> opening -> on <-> gone; from each of them -> stopping -> off
 * The choices can be changed only while the card is off. Emits "change" (something shown has changed), "setup" (a choice
 * has changed), "opened" (so devices have names now), "removed" (the user wants that).
 */

import { audioContext, microphones } from "../capture.js";
import { t } from "../i18n.js";
import { findDevice, openDevice } from "./device.js";
import { LANGUAGES } from "./setup.js";
import { StripView } from "./strip-view.js";

const AGAIN_MS = 5000; // between attempts to open a device that is not there
const TO_USER = new Set(["blocked", "insecure"]); // errors that only the user can change

const TEMPLATE = `
  <header>
    <h2></h2><p class="state" role="status"></p>
    <button type="button" class="run"></button>
    <button type="button" class="quiet remove"></button>
  </header>
  <p class="trouble" hidden></p>
  <fieldset>
    <legend class="hidden"></legend>
    <div class="field"><label class="device-label"></label><select class="device"></select></div>
    <div class="field"><label class="language-label"></label><select class="language"></select></div>
    <label class="switch"><input type="checkbox" class="split"><span></span></label>
  </fieldset>
  <div class="strips"></div>`;

export class CaptureCard extends HTMLElement {
  state = "off";
  #error = null; // why the device is not open
  #device = null;
  #devices = [];
  #run = 0; // counts starts; what an earlier run still does is ignored
  #wake = () => {};

  /** setup: see setup.js, changed in place; taken(card): ids of the devices that other running cards use; mayStart():
   *  resolves to whether the server accepts this user. */
  begin(setup, { taken, mayStart }) {
    Object.assign(this, { setup, taken, mayStart });
    this.className = "card input";
    this.innerHTML = TEMPLATE;
    this.parts = Object.fromEntries(
      ["h2", ".state", ".run", ".remove", ".trouble", "fieldset", "legend", ".device", ".language", ".split", ".strips"].map(
        (selector) => [selector, this.querySelector(selector)],
      ),
    );
    for (const name of ["device", "language"]) {
      this.parts[`.${name}`].id = `${name}-${setup.id}`;
      this.querySelector(`.${name}-label`).htmlFor = `${name}-${setup.id}`;
    }
    this.strips = [0, 1].map((side) => new StripView({ card: setup, side, onSetup: () => this.#emit("setup"), onChange: () => this.#drawState() }));
    this.parts[".strips"].append(...this.strips.map((strip) => strip.element));
    this.parts[".run"].addEventListener("click", () => this.#press());
    this.parts[".remove"].addEventListener("click", () => this.#emit("removed"));
    this.parts["fieldset"].addEventListener("change", () => this.#choose());
    this.draw();
    return this;
  }

  get isRunning() {
    return this.state !== "off";
  }

  get shown() {
    return this.strips.slice(0, this.setup.isSplit ? 2 : 1);
  }

  get deviceId() {
    return this.#device?.deviceId ?? "";
  }

  async #press() {
    if (this.isRunning) return this.stop();
    audioContext().catch(() => {}); // must begin inside the click, or it stays suspended
    return (await this.mayStart()) && this.start();
  }

  /** Open the device and send it, until stop(). */
  async start() {
    if (this.isRunning) return;
    const run = ++this.#run;
    this.#error = null;
    this.setup.isOn = true;
    this.#emit("setup");
    this.#set("opening");
    if (!(await this.#open(run))) return;
    this.shown.forEach((strip, side) => strip.start(this.#device.sources[side]));
  }

  /** Try until the device is open. False: the card was stopped meanwhile, or only the user can help. */
  async #open(run) {
    while (run === this.#run) {
      try {
        const device = await this.#find();
        if (run !== this.#run) {
          device.stop();
          return false;
        }
        this.#take(run, device);
        return true;
      } catch (error) {
        if (run !== this.#run) return false;
        if (TO_USER.has(error.code)) return this.#giveUp(error);
        this.#error = error;
        this.#set("gone");
        await new Promise((done) => {
          this.#wake = done;
          setTimeout(done, AGAIN_MS);
        });
      }
    }
    return false;
  }

  async #find() {
    const found = findDevice(this.#devices, this.setup, this.taken(this));
    // Before the permission the list is empty; then the browser looks for the device itself.
    if (!found && this.#devices.length) throw Object.assign(new Error(this.setup.label), { code: "noDevice" });
    return openDevice({ deviceId: found?.deviceId ?? this.setup.deviceId, isSplit: this.setup.isSplit });
  }

  #take(run, device) {
    this.#device = device;
    this.#error = null;
    if (this.setup.deviceId) Object.assign(this.setup, { deviceId: device.deviceId, label: device.label });
    this.#emit("setup");
    device.onEnded(() => run === this.#run && this.#lose(run));
    this.#set("on");
    this.#emit("opened");
  }

  /** The device was unplugged: the connections stay, and the device is opened again when it is back. */
  async #lose(run) {
    this.#device.stop();
    this.#device = null;
    for (const strip of this.shown) strip.mute();
    this.#error = { code: "noDevice" };
    this.#set("gone");
    if (await this.#open(run)) this.shown.forEach((strip, side) => strip.changeSource(this.#device.sources[side]));
  }

  #giveUp(error) {
    this.#run += 1;
    this.setup.isOn = false;
    this.#error = error;
    this.#set("off");
    for (const strip of this.strips) strip.stop();
    this.#emit("setup");
    return false;
  }

  async stop() {
    if (!this.isRunning || this.state === "stopping") return;
    this.#run += 1;
    this.#wake();
    this.#error = null;
    this.setup.isOn = false;
    this.#emit("setup");
    this.#device?.stop();
    this.#device = null;
    this.#set("stopping");
    await Promise.all(this.strips.map((strip) => strip.stop()));
    this.#set("off");
  }

  leave() {
    for (const strip of this.strips) strip.leave();
  }

  /** The list of devices has changed. */
  async listDevices() {
    this.#devices = await microphones().catch(() => []);
    this.#drawDevices();
    if (this.state === "gone") this.#wake();
  }

  #choose() {
    const { ".device": device, ".language": language, ".split": split } = this.parts;
    const label = device.value ? (device.selectedOptions[0]?.text ?? "") : "";
    Object.assign(this.setup, { deviceId: device.value, label, language: language.value, isSplit: split.checked });
    this.#emit("setup");
    this.draw();
  }

  #set(state) {
    this.state = state;
    this.draw();
    this.#emit("change");
  }

  #emit(name) {
    this.dispatchEvent(new Event(name));
  }

  draw() {
    const { setup, parts } = this;
    const name = setup.label || t("settings.deviceDefault");
    parts["h2"].textContent = name;
    parts["legend"].textContent = t("cap.choices", { name });
    parts["fieldset"].disabled = this.isRunning;
    parts[".run"].textContent = t(this.isRunning ? "button.stop" : "button.start");
    parts[".run"].setAttribute("aria-label", t(this.isRunning ? "cap.stopOne" : "cap.startOne", { name }));
    parts[".run"].disabled = this.state === "stopping";
    parts[".remove"].textContent = t("cap.remove");
    parts[".remove"].setAttribute("aria-label", t("cap.removeOne", { name }));
    parts[".remove"].disabled = this.isRunning;
    this.querySelector(".device-label").textContent = t("cap.device");
    this.querySelector(".language-label").textContent = t("settings.spoken");
    this.querySelector(".switch span").textContent = t("cap.split");
    parts[".split"].checked = setup.isSplit;
    parts[".language"].replaceChildren(...LANGUAGES.map((one) => new Option(t(`settings.${one}`), one)));
    parts[".language"].value = setup.language;
    this.#drawDevices();
    this.strips.forEach((strip, side) => {
      strip.element.hidden = side > 0 && !setup.isSplit;
      strip.draw(this.isRunning);
    });
    this.#drawState();
  }

  #drawDevices() {
    const { ".device": device } = this.parts;
    const named = this.#devices.filter((one) => one.deviceId !== "default");
    const options = named.map((one, i) => new Option(one.label || t("settings.deviceUnnamed", { n: i + 1 }), one.deviceId));
    const { deviceId, label } = this.setup;
    const isThere = !deviceId || named.some((one) => one.deviceId === deviceId);
    if (!isThere) options.push(new Option(t("cap.unplugged", { name: label }), deviceId));
    device.replaceChildren(new Option(t("settings.deviceDefault"), ""), ...options);
    device.value = deviceId;
  }

  #drawState() {
    const { parts } = this;
    this.dataset.state = this.state;
    parts[".state"].textContent = t(`cap.state.${this.state}`);
    const trouble = this.#error ? this.#sentence(this.#error) : this.#device?.isMono ? t("cap.mono") : "";
    parts[".trouble"].textContent = trouble;
    parts[".trouble"].hidden = !trouble;
    this.#emit("change");
  }

  #sentence({ code, detail }) {
    if (this.state === "gone" && code === "noDevice") return t("cap.gone");
    return t(`error.${code}.title`) + (this.state === "gone" ? ` ${t("cap.again")}` : ` ${t(`error.${code}.way`, { detail, url: "" })}`);
  }
}

customElements.define("capture-card", CaptureCard);
