/* <desk-summary>: the summary of a channel or of the session, beside the desk.
 *
 * Asks the server for a summary, waits until it is made, and shows it. Every sentence has links to the lines that it
 * cites. A summary without a language model says that it consists of chosen lines. All text of a summary is set as text,
 * never as HTML: it comes from what people said.
 */

import { address, request } from "../api.js";
import { language, t } from "../i18n.js";
import { Polling } from "./summary-polling.js";
import { draw } from "./summary-view.js";

const RANGES = [["10m", "desk.summary.last10"], ["30m", "desk.summary.last30"], ["1h", "desk.summary.lastHour"], ["", "desk.summary.all"]];
const FOLLOW_S = 3600;
const TEMPLATE = `
  <header><h2 id="summary-heading"></h2><button type="button" class="quiet close"><svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6.5 6.5l11 11M17.5 6.5l-11 11"/></svg></button></header>
  <form>
    <label><span></span><select name="channel"></select></label>
    <label><span></span><select name="last"></select></label>
    <label><span></span><select name="template"></select></label>
    <label class="switch"><input type="checkbox" name="follow"> <span></span></label>
    <button type="submit"></button>
  </form>
  <p class="status lead" role="status"></p>
  <article></article>`;

export class DeskSummary extends HTMLElement {
  #polling = new Polling((summary) => this.#show(summary), (error) => this.#fail(error));
  #templates = null; // what the server can make summaries with
  #shown = null; // the newest state of the summary that was asked for
  #error = "";

  /** opener: the button that opens the panel; session(): id of the session on screen; channels(): the channels in use
   *  as {id, name}; chosen(): id of the chosen channel; onJump(line): shows a line {segment, channel}. */
  begin({ opener, session, channels, chosen, onJump }) {
    Object.assign(this, { opener, session, channels, chosen, onJump });
    this.setAttribute("role", "region");
    this.setAttribute("aria-labelledby", "summary-heading");
    this.innerHTML = TEMPLATE;
    this.form = this.querySelector("form");
    opener.addEventListener("click", () => (this.hidden ? this.open() : this.close()));
    this.querySelector(".close").addEventListener("click", () => this.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.make();
    });
    this.form.addEventListener("change", ({ target }) => target.name !== "follow" && this.load());
    this.addEventListener("keydown", (event) => this.#onKey(event));
    language.addEventListener("language", () => this.#label());
    this.#label();
    return this;
  }

  /** Show the panel for the chosen channel, and make the summary of its last ten minutes. The server asks the model only
   *  if something new was said. */
  async open() {
    this.hidden = false;
    this.opener.setAttribute("aria-expanded", "true");
    this.#fillChoices(this.chosen());
    this.form.last.value = RANGES[0][0];
    this.querySelector("select").focus();
    await this.load();
    if (this.session()) await this.make();
  }

  /** Show a summary that was made before. */
  openStored(session, summary) {
    this.hidden = false;
    this.opener.setAttribute("aria-expanded", "true");
    this.#clear();
    this.#fillChoices("");
    this.#polling.start(session, summary);
    this.querySelector(".close").focus();
  }

  close() {
    this.hidden = true;
    this.opener.setAttribute("aria-expanded", "false");
    this.#polling.stop();
    (this.opener.offsetParent ? this.opener : document.getElementById("more")).focus(); // on a phone it is in a menu
  }

  /** An event `summary.updated`: the summary on screen is read again. */
  note(event) {
    if (!this.hidden && event.summary === this.#shown?.summary) this.#polling.start(event.session, event.summary);
  }

  /** Show the newest summary of what is chosen, without making one. */
  async load() {
    this.#clear();
    if (!this.session()) return;
    try {
      this.#templates ??= await request("GET", "api/summary-templates");
      this.#fillTemplates();
      const found = await request("GET", address(`api/sessions/${this.session()}/summary`, this.#scope()));
      if (found.status === "queued" || found.status === "running") this.#polling.start(found.session, found.summary);
      this.#show(found);
    } catch (error) {
      this.#fail(error);
    }
  }

  async make() {
    this.#polling.stop();
    this.#error = "";
    const scope = Object.fromEntries(Object.entries(this.#scope()).filter(([, value]) => value));
    if (this.form.follow.checked) scope.follow_s = FOLLOW_S;
    try {
      const asked = await request("POST", `api/sessions/${this.session()}/summary`, scope);
      this.#show(asked);
      this.#polling.start(asked.session, asked.summary);
    } catch (error) {
      this.#fail(error);
    }
  }

  #scope() {
    const { channel, last, template } = this.form;
    return { channel: channel.value, last: last.value, template: template.value || "general", language: language.current };
  }

  #show(summary) {
    if (summary.status === "failed") this.#error = summary.error ?? "";
    this.#shown = summary;
    this.#draw();
  }

  #fail(error) {
    this.#error = error.detail || error.message;
    this.#draw();
  }

  #clear() {
    this.#polling.stop();
    this.#shown = null;
    this.#error = "";
    this.#draw();
  }

  #draw() {
    const isBusy = ["queued", "running"].includes(this.#shown?.status);
    const status = this.querySelector(".status");
    status.textContent = this.#error ? t("desk.summary.failed", { why: this.#error }) : this.#statusText(isBusy);
    status.classList.toggle("bad", Boolean(this.#error));
    this.toggleAttribute("data-busy", isBusy);
    const article = this.querySelector("article");
    draw(article, this.#shown, (segment, channel) => this.onJump({ segment, channel }));
  }

  #statusText(isBusy) {
    if (!this.session()) return t("desk.summary.noSession");
    if (this.#shown?.status === "none") return t("desk.summary.none");
    if (!isBusy) return "";
    const { progress } = this.#shown;
    return progress ? t("desk.summary.parts", { done: progress[0], all: progress[1] }) : t("desk.summary.working");
  }

  #fillChoices(channel) {
    const { channel: select } = this.form;
    const options = this.channels().map(({ id, name }) => new Option(name ? `${id} ${name}` : id, id));
    select.replaceChildren(new Option(t("desk.summary.session"), ""), ...options);
    select.value = [...select.options].some((option) => option.value === channel) ? channel : "";
  }

  #fillTemplates() {
    const { template } = this.form;
    const before = template.value || "general";
    const known = this.#templates?.templates.filter((one) => one.language === language.current) ?? [];
    template.replaceChildren(...known.map((one) => new Option(one.title, one.template)));
    template.value = before;
    template.closest("label").hidden = this.#templates?.maker !== "model"; // chosen lines have no template
  }

  #label() {
    const { last } = this.form;
    const before = last.value || RANGES[0][0];
    last.replaceChildren(...RANGES.map(([value, key]) => new Option(t(key), value)));
    last.value = this.#shown ? before : RANGES[0][0];
    const keys = ["desk.summary.of", "desk.summary.range", "desk.summary.template", "desk.summary.follow"];
    keys.forEach((key, at) => (this.form.querySelectorAll("label span")[at].textContent = t(key)));
    this.querySelector("h2").textContent = t("desk.summary.heading");
    this.querySelector(".close").setAttribute("aria-label", t("desk.summary.close"));
    this.form.querySelector("button").textContent = t("desk.summary.make");
    this.#fillTemplates();
    if (!this.hidden) {
      this.#fillChoices(this.form.channel.value);
      this.load(); // a summary in the other language is another summary
    }
  }

  /** The keys of the desk do nothing in here, except the one that closes the panel. */
  #onKey(event) {
    event.stopPropagation();
    if (event.key === "Escape") this.close();
  }
}

customElements.define("desk-summary", DeskSummary);
