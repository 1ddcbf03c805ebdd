/* The card of one client: its address, the place of the token, an example, and the light.
 *
 * States of the light: waiting, open (a channel is held, without sound), heard (sound arrives), before (it was heard),
 * unknown (the server does not respond). All clients of one protocol show the same light.
 */

import { button, element } from "../alerts/parts.js";
import { has, language, t } from "../i18n.js";
import { toClipboard } from "../page.js";

const SOUND_DB = -60; // quieter audio is the noise of a line on which no person speaks
const WITHOUT_LIGHT = { call: "connect.light.call", file: "connect.light.file" };
const COPIED_MS = 2000;

export class ClientCard {
  #client;
  #state = "waiting";
  #where = ""; // the channels
  #heardAt = null;
  #light = element("p", { className: "light" }, element("i"), element("span"));
  #texts = [];

  constructor(client) {
    this.#client = client;
    const { id, name, address, key, example, needs_https: needsHttps } = client;
    const heading = this.#text("h2", `connect.name.${id}`, "", name);
    heading.id = `client-${id}`;
    const shown = element("pre", { text: example, lang: "en" });
    shown.tabIndex = 0; // a long line scrolls, so the keyboard must reach it
    shown.setAttribute("role", "region");
    const where = element("code", { text: address });
    const terms = element("dl", {}, this.#text("dt", "connect.address"), element("dd", {}, where, this.#copy("connect.copyAddress", address)));
    terms.append(this.#text("dt", "connect.key"), this.#text("dd", `connect.key.${key}`));
    this.element = element("section", { className: "card client" }, element("header", {}, heading, this.#light), terms);
    if (needsHttps && location.protocol !== "https:") this.element.append(this.#text("p", "connect.needsHttps", "note"));
    this.element.append(element("div", { className: "example" }, shown, this.#copy("connect.copyExample", example)));
    this.element.setAttribute("aria-labelledby", heading.id);
    this.#texts.push(() => shown.setAttribute("aria-label", t("connect.example", { name: this.#name })));
    this.draw();
  }

  /** otherwise: the text where the page has none for this key. */
  #text(tag, key, className = "", otherwise = key) {
    const made = element(tag, { className });
    this.#texts.push(() => (made.textContent = has(key) ? t(key) : otherwise));
    return made;
  }

  /** The name of the client in the language of the page. A client that is new on the server has its English name. */
  get #name() {
    const key = `connect.name.${this.#client.id}`;
    return has(key) ? t(key) : this.#client.name;
  }

  #copy(key, text) {
    const made = button("", "", async () => {
      const isCopied = await toClipboard(text);
      made.textContent = t(isCopied ? "tools.copied" : "tools.copyFailed");
      made.removeAttribute("aria-label");
      setTimeout(name, COPIED_MS);
    });
    const name = () => {
      made.textContent = t("tools.copy");
      made.setAttribute("aria-label", `${t("tools.copy")}: ${t(key, { name: this.#name })}`);
    };
    this.#texts.push(name);
    return made;
  }

  /** Take the channels that are held now. True: sound has just begun to arrive. */
  see(feeds, nowMs) {
    const own = feeds.filter((feed) => this.#client.doors.includes(feed.door));
    const loud = own.filter((feed) => feed.rms_db !== null && feed.rms_db > SOUND_DB);
    const before = this.#state;
    if (loud.length) {
      this.#heardAt = nowMs;
      this.#set("heard", loud);
    } else if (own.length) this.#set("open", own);
    else this.#set(this.#heardAt ? "before" : "waiting", []);
    return this.#state === "heard" && before !== "heard";
  }

  #set(state, feeds) {
    if (feeds.length) this.#where = feeds.map((feed) => feed.channel).join(", ");
    this.#state = state;
    this.#drawLight();
  }

  /** The server does not respond. */
  lose() {
    this.#state = "unknown";
    this.#drawLight();
  }

  /** The client and its light, for screen readers. */
  get status() {
    return `${this.#name}: ${this.#lightText()}`;
  }

  #lightText() {
    const fixed = WITHOUT_LIGHT[this.#client.doors[0] ?? "file"];
    if (fixed) return t(fixed);
    const time = this.#heardAt && new Date(this.#heardAt).toLocaleTimeString(language.current);
    return t(`connect.light.${this.#state}`, { channel: this.#where, time });
  }

  #drawLight() {
    const text = this.#lightText();
    this.#light.dataset.state = WITHOUT_LIGHT[this.#client.doors[0] ?? "file"] ? "none" : this.#state;
    if (this.#light.lastChild.textContent !== text) this.#light.lastChild.textContent = text;
  }

  draw() {
    for (const write of this.#texts) write();
    this.#drawLight();
  }
}
