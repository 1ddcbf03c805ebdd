/* The search view of the desk: a form, and the hits of the server: lines by their words, lines and summaries by meaning. */

import { request, address } from "../api.js";
import { language, t } from "../i18n.js";
import { marksOf, struckIfNotSaid } from "../line-marks.js";
import { namesOfTalkers } from "../talkers.js";
import { timecode } from "../timecode.js";

export class Finder {
  #before = null;
  #query = null;

  /** session(): the id of the session on screen; onPlay(hit): plays a hit; onSummary(hit): shows a summary; onError(error). */
  constructor({ form, found, hits, earlier, session, onPlay, onSummary, onError }) {
    Object.assign(this, { form, found, hits, earlier, session, onPlay, onSummary, onError });
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
    const value = (id) => this.form.querySelector(`#${id}`).value.trim();
    const moment = (id) => (value(id) ? new Date(value(id)).toISOString() : "");
    this.#query = {
      q: value("query"),
      mode: value("by") === "words" ? "" : value("by"),
      session: value("where") === "session" ? this.session() : "",
      channel: value("which"),
      marked: value("marked"),
      since: moment("since"),
      until: moment("until"),
      term: value("term"),
      talker: value("talker"),
      length_min_ms: value("length") ? Math.round(Number(value("length")) * 1000) : "",
    };
    this.#before = null;
    this.hits.replaceChildren();
    await this.#load();
  }

  async #load() {
    const query = this.#query;
    try {
      const path = address("api/search", { ...query, before: this.#before, limit: 50 });
      const { hits, summaries = [], next_before } = await request("GET", path);
      if (this.#query !== query) return; // another search was begun meanwhile
      this.#before = next_before;
      this.hits.append(...summaries.map((hit) => this.#summaryRow(hit)), ...hits.map((hit) => this.#row(hit)));
      this.found.textContent = this.#countText();
      this.earlier.hidden = next_before === null;
    } catch (error) {
      if (this.#query !== query) return;
      if (error.status === 501) this.found.textContent = t("desk.search.noMeaning");
      else this.onError(error);
    }
  }

  #countText() {
    const summaries = this.hits.querySelectorAll(".summary").length;
    const n = this.hits.childElementCount - summaries;
    if (n + summaries === 0) return t(this.#noneKey());
    const order = this.#query.mode ? "Nearest" : "";
    const lines = t(n === 1 ? "desk.search.one" : `desk.search.many${order}`, { n });
    return summaries ? `${t(summaries === 1 ? "desk.search.oneSummary" : "desk.search.summaries", { n: summaries })} · ${lines}` : lines;
  }

  #noneKey() {
    const { q, mode, marked, talker, length_min_ms: length } = this.#query;
    if (q) return mode ? "desk.search.noneByMeaning" : "desk.search.none";
    return marked || talker || length ? "desk.search.noneFiltered" : "desk.search.nothingAsked";
  }

  /** A summary that says something like the query. */
  #summaryRow(hit) {
    const row = document.createElement("li");
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "hit summary" });
    const range = document.createElement("time");
    range.textContent = `${timecode(hit.from_ms).split(".")[0]} – ${timecode(hit.to_ms).split(".")[0]}`;
    const what = document.createElement("b");
    what.textContent = [t("desk.search.summary"), hit.channel].filter(Boolean).join(" ");
    const text = document.createElement("span");
    const title = document.createElement("strong");
    title.textContent = hit.title ? `${hit.title}. ` : "";
    text.append(title, hit.text);
    button.append(range, what, text);
    button.addEventListener("click", () => this.onSummary(hit));
    row.append(button);
    return row;
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
    const talkers = namesOfTalkers([hit]);
    if (talkers.length) channel.append(talkersNode(talkers));
    const text = document.createElement("span");
    text.className = "segment";
    text.dataset.segment = hit.segment;
    if (hit.language) text.lang = hit.language;
    fillHit(text, hit);
    button.append(time, channel, text);
    button.title = t("desk.hear");
    button.addEventListener("click", () => this.onPlay(hit));
    row.append(button);
    return row;
  }
}

/** Draw the text of a hit into its node, also after a change of the hit. */
export function fillHit(node, hit) {
  const parts = hit.parts.map((part) => {
    const piece = document.createElement(part.hit ? "mark" : "span");
    piece.textContent = part.text;
    return piece;
  });
  node.replaceChildren(...struckIfNotSaid(hit, parts), ...marksOf(hit));
}

function talkersNode(names) {
  const node = document.createElement("small");
  node.className = "talkers";
  node.textContent = ` ${names.join(", ")}`;
  return node;
}
