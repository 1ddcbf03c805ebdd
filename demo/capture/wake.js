/* Keeps the screen, and with it the machine, awake while audio is sent. Emits "change" when `state` changed.
 *
 * state: off, on, missing (the browser cannot), refused (for example a battery that is nearly empty).
 */

export class WakeLock extends EventTarget {
  state = "off";
  #isWanted = false;
  #lock = null;

  constructor() {
    super();
    // The browser ends the lock when the page is hidden.
    document.addEventListener("visibilitychange", () => this.#update());
  }

  set isWanted(value) {
    if (value === this.#isWanted) return;
    this.#isWanted = value;
    this.#update();
  }

  async #update() {
    if (!this.#isWanted) {
      await this.#lock?.release().catch(() => {});
      this.#lock = null;
      return this.#set("off");
    }
    if (!("wakeLock" in navigator)) return this.#set("missing");
    if (document.visibilityState !== "visible" || (this.#lock && !this.#lock.released)) return undefined;
    try {
      const lock = await navigator.wakeLock.request("screen");
      if (!this.#isWanted) return lock.release();
      this.#lock = lock;
      lock.addEventListener("release", () => this.#isWanted && this.#set("off"));
      return this.#set("on");
    } catch {
      return this.#set("refused");
    }
  }

  #set(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
