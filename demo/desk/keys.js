/* The keys of the desk: one list of actions, their keys, and the dialog that shows and changes them.
 *
 * Owns the user's choice of keys. Keys do nothing while the user types in a field or
 * while a dialog is open, and never together with Ctrl or Meta, which belong to the browser.
 */

import { language, t } from "../i18n.js";
import { userSettings } from "./user-settings.js";

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
  acknowledge: "a",
  wall: "w",
  timeline: "t",
  channels: "c",
  log: "o",
  nextChosen: "Shift+J",
  previousChosen: "Shift+K",
  edit: "e",
  star: "x",
  note: "n",
  report: "!",
  notSaid: "Backspace",
  learn: "g",
  history: "i",
  share: "y",
  redact: "d",
  fullScreen: "f",
  listen: "p",
  mute: "m",
  muteAll: "Shift+M",
  solo: "s",
  hold: "h",
  avoid: "v",
  skip: ".",
  missed: "z",
  quieter: "[",
  louder: "]",
  sound: "u",
  zoomIn: "+",
  zoomOut: "-",
  earlier: "PageUp",
  later: "PageDown",
  newest: "End",
  select: "b",
  display: "q",
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
    document.getElementById("help").addEventListener("click", () => dialog.showModal());
    dialog.querySelector("#keys-close").addEventListener("click", () => dialog.close());
    dialog.querySelector("#keys-reset").addEventListener("click", () => this.reset());
    language.addEventListener("language", () => this.draw());
    userSettings.addEventListener("part", ({ detail }) => detail === KEY && (this.#restore(), this.draw()));
    this.draw();
  }

  keyOf(action) {
    return this.#chosen[action] ?? ACTIONS[action];
  }

  /** The key of an action as the page shows it. */
  shownKeyOf(action) {
    return shown(this.keyOf(action));
  }

  reset() {
    this.#chosen = {};
    userSettings.removeItem(KEY);
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
    const action = Object.keys(ACTIONS).find((one) => matches(this.keyOf(one), pressed(event)));
    // Enter and Space keep their meaning on a button that has the focus.
    const isPress = event.key === "Enter" || event.key === " ";
    if (!action || !this.act[action] || (isPress && event.target.closest("button, a, summary, select"))) return;
    if (this.act[action](event) !== false) event.preventDefault();
  }

  /** The pressed key gets the waiting action. A key that another action has is exchanged with it. */
  #assign(event) {
    if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    event.preventDefault();
    const action = this.#waitsFor;
    this.#waitsFor = "";
    if (event.key !== "Escape" || action === "back") {
      const other = Object.keys(ACTIONS).find((one) => one !== action && matches(this.keyOf(one), pressed(event)));
      if (other) this.#chosen[other] = this.keyOf(action);
      this.#chosen[action] = pressed(event);
      userSettings.setItem(KEY, JSON.stringify(this.#chosen));
    }
    this.draw();
    this.rows.querySelectorAll("button")[Object.keys(ACTIONS).indexOf(action)].focus();
  }

  #restore() {
    this.#chosen = {};
    try {
      const kept = JSON.parse(userSettings.getItem(KEY) ?? "{}");
      for (const action of Object.keys(ACTIONS)) if (typeof kept[action] === "string") this.#chosen[action] = kept[action];
    } catch {
      this.#chosen = {}; // not JSON: start with the original keys
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

/** Places of marks on the keyboard -> the marks, for keyboards of other scripts. */
const MARKS = { Slash: "/", Period: ".", BracketLeft: "[", BracketRight: "]", Minus: "-", "Shift+Slash": "?", "Shift+Digit1": "!", "Shift+Equal": "+" };

/** The name of the pressed key. Shift counts with letters only, because other characters differ with it anyway. */
function pressed(event) {
  const key = latinKey(event);
  return event.shiftKey && /^\p{L}$/u.test(key) ? `Shift+${key.toUpperCase()}` : key;
}

/** While Hangul is typed, `key` is a Hangul letter or "Process": then the place of the key says which one it is. */
function latinKey({ key, code, shiftKey }) {
  if (key !== "Process" && /^[\p{Script=Latin}\P{L}]|^.{2,}/u.test(key)) return key;
  return /^Key([A-Z])$/.exec(code)?.[1].toLowerCase() ?? MARKS[`${shiftKey ? "Shift+" : ""}${code}`] ?? key;
}

const matches = (key, name) => key.toLowerCase() === name.toLowerCase();

/** Whether a key goes into a field. A field of a closed dialog keeps the focus until the next frame, but takes no text. */
const isTyping = (node) => Boolean(node.matches?.("input, textarea, select, [contenteditable]") && !node.closest("dialog:not([open])"));

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", Backspace: "⌫" };

const shown = (key) => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
