/* The bar below the texts: the chosen line, and a button for everything that a person can do with it. */

import { isNotSaid } from "../../events.js";
import { language, t } from "../../i18n.js";
import { timecode } from "../../timecode.js";
import { setText } from "../parts.js";

/** Action -> the lowest role that may do it. */
export const BUTTONS = {
  edit: "operator",
  star: "operator",
  note: "operator",
  report: "operator",
  notSaid: "operator",
  learn: "operator",
  history: "viewer",
  share: "operator",
  redact: "operator",
};
/** Buttons that set and clear a mark -> its name on the server. */
const MARKS = { star: "star", report: "report", notSaid: "not_said" };
const ROLES = ["viewer", "listener", "operator", "supervisor", "admin"];

/** Whether a role may do what another role may do. */
export const mayAs = (role, needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);

export class LineBar {
  #role = "admin"; // until the server has said it
  #line = null;

  /** place: the element before which the bar is inserted; act: action -> function; keyOf(action): its key. */
  constructor({ place, act, keyOf, onClose }) {
    this.keyOf = keyOf;
    this.node = document.createElement("section");
    this.node.className = "linebar";
    this.node.hidden = true;
    this.text = document.createElement("p");
    this.text.append(document.createElement("b"), document.createElement("time"), document.createElement("span"));
    this.buttons = document.createElement("div");
    this.buttons.className = "linetools";
    for (const action of Object.keys(BUTTONS)) this.buttons.append(button(action, act[action]));
    this.buttons.append(button("close", onClose));
    this.node.append(this.text, this.buttons);
    place.before(this.node);
    language.addEventListener("language", () => this.#drawWords());
    this.#drawWords();
  }

  set role(role) {
    this.#role = role;
    this.#drawWords();
  }

  /** line: the chosen line, or null: the bar is not shown. */
  draw(line) {
    this.#line = line;
    this.node.hidden = line === null;
    if (!line) return;
    const [channel, time, text] = this.text.children;
    setText(channel, line.channel);
    setText(time, line.start ?? timecode(line.start_ms));
    setText(text, line.isRedacted ? t("line.redacted") : line.text);
    text.classList.toggle("not-said", isNotSaid(line));
    text.lang = line.isRedacted ? language.current : line.language || language.current;
    this.#drawWords();
  }

  #drawWords() {
    this.node.setAttribute("aria-label", t("people.bar"));
    const marks = this.#line?.marks ?? [];
    for (const node of this.buttons.children) {
      const { action } = node.dataset;
      const isSet = marks.includes(MARKS[action]);
      const word = isSet ? t(`people.un${action}`) : t(`people.${action}`);
      const key = action === "close" ? "" : this.keyOf(action);
      setText(node, word);
      if (key) node.append(keyCap(key));
      if (action in MARKS) node.setAttribute("aria-pressed", String(isSet));
      if (action in BUTTONS) node.hidden = !mayAs(this.#role, BUTTONS[action]);
      const isGone = this.#line?.isRedacted && !["history", "share"].includes(action);
      node.disabled = Boolean(isGone) && action !== "close";
    }
  }
}

function button(action, onClick) {
  const node = document.createElement("button");
  node.type = "button";
  node.className = "quiet";
  node.dataset.action = action;
  node.addEventListener("click", () => onClick());
  return node;
}

function keyCap(key) {
  const node = document.createElement("kbd");
  node.setAttribute("aria-hidden", "true");
  node.textContent = key;
  return node;
}
