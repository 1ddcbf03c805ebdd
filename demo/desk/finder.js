/* The search view of the desk: a form, and the hits of the server's full-text search with their words marked. */

import { request, address } from "../api.js";
import { language, t } from "../i18n.js";

export class Finder {
  #before = null;
  #query = null;

  /** session(): the id of the session on screen; onPlay(hit): plays a hit; onError(error). */
  constructor({ form, found, hits, earlier, session, onPlay, onError }) {
    Object.assign(this, { form, found, hits, earlier, session, onPlay, onError });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.search();
    });
    earlier.addEventListener("click", () => this.#load());
  }

  /** The channels that can be chosen; the choice stays if it is still there. */
  setChannels(channels) {
    const select = this.form.querySelector("#which");
    const chosen = select.value;
    const options = channels.map(({ id, name }) => new Option(name ? `${id} ${name}` : id, id));
    select.replaceChildren(new Option(t("desk.search.anyChannel"), ""), ...options);
    select.value = [...select.options].some((option) => option.value === chosen) ? chosen : "";
  }

  async search() {
    const { value: q } = this.form.querySelector("#query");
    this.#query = {
      q: q.trim(),
      session: this.form.querySelector("#where").value === "session" ? this.session() : "",
      channel: this.form.querySelector("#which").value,
    };
    this.#before = null;
    this.hits.replaceChildren();
    await this.#load();
  }

  async #load() {
    try {
      const path = address("api/search", { ...this.#query, before: this.#before, limit: 50 });
      const { hits, next_before } = await request("GET", path);
      this.#before = next_before;
      this.hits.append(...hits.map((hit) => this.#row(hit)));
      const n = this.hits.childElementCount;
      this.found.textContent = t(n === 0 ? "desk.search.none" : n === 1 ? "desk.search.one" : "desk.search.many", { n });
      this.earlier.hidden = next_before === null;
    } catch (error) {
      this.onError(error);
    }
  }

  #row(hit) {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "hit";
    const time = document.createElement("time");
    const moment = new Date(hit.start_wall);
    time.dateTime = hit.start_wall;
    time.textContent = moment.toLocaleString(language.current, { dateStyle: "short", timeStyle: "medium" });
    const channel = document.createElement("b");
    channel.textContent = hit.label && hit.label !== hit.channel ? `${hit.channel} ${hit.label}` : hit.channel;
    const text = document.createElement("span");
    if (hit.language) text.lang = hit.language;
    for (const part of hit.parts) {
      const node = document.createElement(part.hit ? "mark" : "span");
      node.textContent = part.text;
      text.append(node);
    }
    button.append(time, channel, text);
    button.title = t("desk.hear");
    button.addEventListener("click", () => this.onPlay(hit));
    row.append(button);
    return row;
  }
}
