/* The summary of a recording: shows the newest one, makes one, and leads from its sentences to their lines.
 *
 * Owns its part of the page and the choice of templates. A recording that is still being transcribed has no summary yet.
 */

import { request } from "../api.js";
import { Polling } from "../desk/summary-polling.js";
import { draw } from "../desk/summary-view.js";
import { language, t } from "../i18n.js";

const GENERAL = "general";

export class Summary extends EventTarget {
  #polling = new Polling((summary) => this.#show(summary), (error) => this.#fail(error));
  #offered = null; // what the server can make summaries with
  #session = null;
  #shown = null;
  #error = "";

  /** box: the part of the page; asked: the choice for new recordings. Emits "jump" (detail: the id of a line). */
  constructor(box, asked) {
    super();
    Object.assign(this, { box, asked, form: box.querySelector("form") });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
    language.addEventListener("language", () => this.#label());
  }

  async begin() {
    this.#offered = await request("GET", "api/summary-templates").catch(() => null);
    this.#label();
  }

  /** Show the newest summary of a session; null: the recording has no complete text. */
  async open(session) {
    if (session !== null && session === this.#session) return;
    this.#polling.stop();
    this.#session = session;
    this.#shown = null;
    this.#error = "";
    this.box.hidden = session === null;
    this.#draw();
    if (session === null) return;
    try {
      const { summaries } = await request("GET", `api/sessions/${session}/summaries`);
      const newest = summaries.find((one) => one.channel === null);
      if (newest && session === this.#session) this.#polling.start(session, newest.summary);
    } catch (error) {
      if (session === this.#session) this.#fail(error);
    }
  }

  async #make() {
    const session = this.#session;
    this.#error = "";
    try {
      const asked = await request("POST", `api/sessions/${session}/summary`, { template: this.form.template.value || GENERAL });
      if (session !== this.#session) return;
      this.#show(asked);
      this.#polling.start(session, asked.summary);
    } catch (error) {
      if (session === this.#session) this.#fail(error);
    }
  }

  #show(summary) {
    this.#error = summary.status === "failed" ? summary.error ?? "" : "";
    this.#shown = summary;
    this.#draw();
  }

  #fail(error) {
    this.#error = error.detail || error.message;
    this.#draw();
  }

  #draw() {
    const isBusy = ["queued", "running"].includes(this.#shown?.status);
    const status = this.box.querySelector(".status");
    status.textContent = this.#error ? t("desk.summary.failed", { why: this.#error }) : isBusy ? t("desk.summary.working") : "";
    status.classList.toggle("bad", Boolean(this.#error));
    const article = this.box.querySelector("article");
    draw(article, this.#shown, (segment) => this.dispatchEvent(new CustomEvent("jump", { detail: segment })));
    article.hidden = !article.childElementCount;
  }

  #label() {
    const known = this.#offered?.templates.filter((one) => one.language === language.current) ?? [];
    // Without a language model, lines are chosen by a rule, and templates make no difference.
    const used = this.#offered?.maker === "model" ? known : known.filter((one) => one.template === GENERAL);
    const options = () => used.map((one) => new Option(one.title, one.template));
    const [wanted, made] = [this.asked.value, this.form.template.value || GENERAL];
    this.asked.replaceChildren(new Option(t("rec.summary.none"), ""), ...options());
    this.asked.value = wanted;
    this.form.template.replaceChildren(...options());
    this.form.template.value = made;
    this.form.template.hidden = used.length < 2;
    this.#draw();
  }
}
