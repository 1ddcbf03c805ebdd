/* The keys of the desk: one list of actions, their keys, and the dialog that shows and changes them.
 *
 * Owns the user's choice of keys, which is stored in the browser. Keys do nothing while the user types in a field or
 * while a dialog is open, and never together with Ctrl or Meta, which belong to the browser.
 */

import { language, t } from "../i18n.js";

const KEY = "host-stt.desk-keys";

/** Action -> its original key. Digits open the channels C01 to C10, with Alt C11 to C16; they cannot be changed. */
export const ACTIONS = {
  left: "ArrowLeft",
  right: "ArrowRight",
  up: "ArrowUp",
  down: "ArrowDown",
  open: "Enter",
  back: "Escape",
  replay: "r",
  play: " ",
  nextLine: "j",
  previousLine: "k",
  search: "/",
  wall: "w",
  channels: "c",
  log: "m",
  fullScreen: "f",
  language: "l",
  keys: "?",
};

export class Keys {
  #chosen = {};
  #waitsFor = ""; // the action that gets the next pressed key

  /** act: action -> function; open(id): opens a channel. */
  constructor({ dialog, rows, act, open }) {
    Object.assign(this, { dialog, rows, act, open });
    this.#restore();
    document.addEventListener("keydown", (event) => this.#onKey(event));
    language.addEventListener("language", () => this.draw());
    this.draw();
  }

  keyOf(action) {
    return this.#chosen[action] ?? ACTIONS[action];
  }

  reset() {
    this.#chosen = {};
    localStorage.removeItem(KEY);
    this.draw();
  }

  draw() {
    this.rows.replaceChildren(...Object.keys(ACTIONS).map((action) => this.#row(action)));
  }

  #row(action) {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = t(`desk.key.${action}`);
    const cell = document.createElement("td");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    const waits = this.#waitsFor === action;
    button.textContent = waits ? t("desk.keys.press") : shown(this.keyOf(action));
    button.setAttribute("aria-label", `${t(`desk.key.${action}`)}: ${button.textContent}`);
    button.addEventListener("click", () => {
      this.#waitsFor = action;
      this.draw();
      this.rows.querySelectorAll("button")[Object.keys(ACTIONS).indexOf(action)].focus();
    });
    cell.append(button);
    row.append(name, cell);
    return row;
  }

  #onKey(event) {
    if (this.#waitsFor) return this.#assign(event);
    if (event.ctrlKey || event.metaKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const channel = channelOf(event);
    if (channel) {
      event.preventDefault();
      return this.open(channel);
    }
    if (event.altKey) return;
    const action = Object.keys(ACTIONS).find((one) => matches(this.keyOf(one), event.key));
    // Enter and Space keep their meaning on a button that has the focus.
    const isPress = event.key === "Enter" || event.key === " ";
    if (!action || !this.act[action] || (isPress && event.target.closest("button, a, summary, select"))) return;
    if (this.act[action]() !== false) event.preventDefault();
  }

  /** The pressed key gets the waiting action. A key that another action has is exchanged with it. */
  #assign(event) {
    if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    event.preventDefault();
    const action = this.#waitsFor;
    this.#waitsFor = "";
    if (event.key !== "Escape" || action === "back") {
      const other = Object.keys(ACTIONS).find((one) => one !== action && matches(this.keyOf(one), event.key));
      if (other) this.#chosen[other] = this.keyOf(action);
      this.#chosen[action] = event.key;
      localStorage.setItem(KEY, JSON.stringify(this.#chosen));
    }
    this.draw();
    this.rows.querySelectorAll("button")[Object.keys(ACTIONS).indexOf(action)].focus();
  }

  #restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
      for (const action of Object.keys(ACTIONS)) if (typeof kept[action] === "string") this.#chosen[action] = kept[action];
    } catch {
      localStorage.removeItem(KEY); // not JSON: start with the original keys
    }
  }
}

function channelOf(event) {
  const digit = /^(Digit|Numpad)(\d)$/.exec(event.code)?.[2];
  if (digit === undefined || event.shiftKey) return "";
  const number = Number(digit) || 10;
  if (!event.altKey) return `C${String(number).padStart(2, "0")}`;
  return number <= 6 ? `C${number + 10}` : "";
}

const matches = (key, pressed) => key.toLowerCase() === pressed.toLowerCase();

const isTyping = (node) => node.matches?.("input, textarea, select, [contenteditable]") ?? false;

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc" };

const shown = (key) => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
