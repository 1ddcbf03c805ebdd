/* The webhooks: their state, the test, their deliveries, and the form that adds one. */

import { request } from "../api.js";
import { t } from "../i18n.js";
import { button, element, when } from "./parts.js";

const PATH = "api/webhooks";
const USUAL = ["alert.raised", "alert.escalated"]; // what a new webhook gets if the user changes nothing

export class Webhooks {
  #webhooks = [];
  #events = [];
  #notes = new Map(); // webhook -> [text, isWrong] of its last test
  #shown = new Map(); // webhook -> its deliveries, where they are shown
  #isForbidden = false;

  constructor({ list, form, name, url, events, status, secret, secretLabel, secretBox }) {
    Object.assign(this, { list, form, name, url, events, status, secret, secretLabel, secretBox });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    secret.addEventListener("focus", () => secret.select());
  }

  async load() {
    try {
      const body = await request("GET", PATH);
      [this.#webhooks, this.#events, this.#isForbidden] = [body.webhooks, body.events, false];
      this.status.textContent = "";
    } catch (error) {
      this.#isForbidden = error.status === 403;
      this.status.textContent = this.#isForbidden ? t("al.hooksForbidden") : error.message;
    }
    this.draw();
  }

  draw() {
    this.form.hidden = this.#isForbidden;
    if (this.#isForbidden) this.status.textContent = t("al.hooksForbidden");
    const rows = this.#webhooks.map((hook) => this.#row(hook));
    const none = this.#isForbidden ? [] : [element("li", { className: "lead", text: t("al.hooksNone") })];
    this.list.replaceChildren(...(rows.length ? rows : none));
    if (this.events.childElementCount !== this.#events.length) this.events.replaceChildren(...this.#events.map(eventBox));
  }

  #row(hook) {
    const { webhook, name, state, failures, reason, waiting, dropped } = hook;
    const pill = element("span", { className: "level", text: t(`al.hook.state.${state}`, { n: failures }) });
    pill.dataset.level = { active: "info", paused: "critical", off: "" }[state];
    const tags = [
      waiting ? t("al.hook.waiting", { n: waiting }) : "",
      dropped ? t("al.hook.dropped", { n: dropped }) : "",
      ...hook.events,
    ];
    const [note, isWrong] = this.#notes.get(webhook) ?? ["", false];
    const item = element(
      "li",
      { className: "hook" },
      element("p", { className: "head" }, pill, element("b", { text: name }), element("code", { text: hook.url })),
      element("p", { className: "tags" }, ...tags.filter(Boolean).map((text) => element("span", { className: "tag", text }))),
    );
    if (reason) item.append(element("p", { className: "wrong", text: t("al.hook.reason", { reason }) }));
    item.append(this.#actions(hook), element("p", { className: isWrong ? "wrong" : "status", text: note }));
    if (this.#shown.has(webhook)) item.append(deliveryTable(this.#shown.get(webhook), name));
    return item;
  }

  #actions(hook) {
    const { webhook, name, state } = hook;
    const turn = { active: ["turnOff", "off"], paused: ["resume", "active"], off: ["turnOn", "active"] }[state];
    return element(
      "div",
      { className: "choices" },
      button(t("al.hook.test"), t("al.hook.testThis", { name }), () => this.#test(webhook)),
      button(t(`al.hook.${turn[0]}`), `${t(`al.hook.${turn[0]}`)}: ${name}`, () => this.#change(webhook, { state: turn[1] })),
      button(t("al.hook.deliveries"), t("al.hook.deliveriesOf", { name }), () => this.#toggleDeliveries(webhook)),
      button(t("al.hook.newSecret"), `${t("al.hook.newSecret")}: ${name}`, () => this.#renew(webhook)),
      this.#removeButton(hook),
    );
  }

  /** Removes at the second press, so that one slip loses nothing. */
  #removeButton({ webhook, name }) {
    const remove = button(t("al.hook.remove"), `${t("al.hook.remove")}: ${name}`, async () => {
      if (remove.dataset.sure) return this.#do(webhook, () => request("DELETE", `${PATH}/${webhook}`));
      remove.dataset.sure = "yes";
      remove.textContent = t("al.hook.removeSure");
      remove.setAttribute("aria-label", `${t("al.hook.removeSure")}: ${name}`);
    });
    remove.classList.add("remove");
    return remove;
  }

  async #test(webhook) {
    this.#note(webhook, t("al.hook.testing"));
    await this.#do(webhook, async () => {
      const { is_delivered, status, error, took_ms } = await request("POST", `${PATH}/${webhook}/test`);
      const text = is_delivered ? t("al.hook.tested", { status, ms: took_ms }) : t("al.hook.testFailed", { error });
      this.#note(webhook, text, !is_delivered);
      if (this.#shown.has(webhook)) await this.#loadDeliveries(webhook);
    });
  }

  #change(webhook, body) {
    return this.#do(webhook, () => request("PATCH", `${PATH}/${webhook}`, body));
  }

  async #toggleDeliveries(webhook) {
    if (this.#shown.delete(webhook)) return this.draw();
    return this.#do(webhook, () => this.#loadDeliveries(webhook));
  }

  async #loadDeliveries(webhook) {
    this.#shown.set(webhook, (await request("GET", `${PATH}/${webhook}/deliveries?limit=20`)).deliveries);
  }

  #renew(webhook) {
    return this.#do(webhook, async () => this.#showSecret(await request("POST", `${PATH}/${webhook}/secret`)));
  }

  async #add() {
    const events = [...this.events.querySelectorAll("input:checked")].map((input) => input.value);
    try {
      const made = await request("POST", PATH, { name: this.name.value, url: this.url.value, events });
      this.form.reset();
      this.#showSecret(made);
      await this.load();
    } catch (error) {
      this.status.textContent = error.message;
    }
  }

  #showSecret({ name, secret }) {
    this.secretBox.hidden = false;
    this.secretLabel.textContent = t("al.hook.secret", { name });
    this.secret.value = secret;
    this.secret.focus();
  }

  #note(webhook, text, isWrong = false) {
    this.#notes.set(webhook, [text, isWrong]);
    this.draw();
  }

  /** Send a request and load the list again; a refusal is shown at the webhook. */
  async #do(webhook, send) {
    try {
      await send();
      await this.load();
    } catch (error) {
      this.#note(webhook, error.message, true);
    }
  }
}

function eventBox(name) {
  const input = Object.assign(document.createElement("input"), { type: "checkbox", value: name });
  input.defaultChecked = USUAL.includes(name);
  return element("label", {}, input, element("span", { text: name }));
}

function deliveryTable(deliveries, name) {
  if (!deliveries.length) return element("p", { className: "lead", text: t("al.hook.deliveriesNone") });
  const rows = deliveries.map((one) => {
    const next = one.next_wall && one.tries ? t("al.delivery.next", { time: when(one.next_wall) }) : "";
    const cells = [
      when(one.created_wall),
      one.event,
      t(`al.delivery.${one.state}`),
      t("al.delivery.tries", { n: one.tries }),
      [one.error ?? (one.status ? String(one.status) : ""), next].filter(Boolean).join(" · "),
    ];
    return element("tr", {}, ...cells.map((text) => element("td", { text })));
  });
  const table = element("table", {}, element("tbody", {}, ...rows));
  table.setAttribute("aria-label", t("al.hook.deliveriesOf", { name }));
  const scroller = element("div", { className: "scroller" }, table);
  scroller.tabIndex = 0;
  scroller.setAttribute("role", "region");
  scroller.setAttribute("aria-label", t("al.hook.deliveriesOf", { name }));
  return scroller;
}
