/* The alerts of the desk: pinned above the channels until an operator acknowledges them.
 *
 * Owns the list of open alerts. They come from the server at the start, and from events after that. The texts of the
 * lines are those of the model. Sound and notices are alert-sound.js and alert-settings.js.
 * The strip has a fixed height, so an alert never moves a tile; the others of several alerts open over the page.
 */

import { address, request } from "../api.js";
import { language, t } from "../i18n.js";
import { AcknowledgeAll } from "./alerts-all.js";
import { elapsed, setText } from "./parts.js";

export const LEVELS = ["info", "warning", "critical"];
const ROWS_MAX = 50; // more cannot be read; the button says how many there are besides
const SETTLE_MS = 15_000; // the response of the server may be older than an alert of the last seconds
const STEADY_MS = 500; // an alert that came to the top a moment ago is not what the user meant
const REPLAY_MS = 1000; // after the first connection, the server sends the events of the past for so long
const RULES_KEY = "host-stt.has-alert-rules";
const REPEAT_MS = 15_000; // a critical alert sounds again

const NARROW = matchMedia("(max-width: 760px)");
const BELL = '<path d="M6 16V11a6 6 0 0 1 12 0v5l2 2H4l2-2zM10 20.5a2 2 0 0 0 4 0"/>';
const ICONS = {
  info: '<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5M12 7.5v.1"/>',
  warning: BELL,
  critical: `${BELL}<path d="M2.5 9a9 9 0 0 1 3-5.5M21.5 9a9 9 0 0 0-3-5.5"/>`,
};

export class Alerts {
  #open = new Map(); // id -> {alert, session, channel, rule, cause, level, matched, segment, text, isProvisional, atMs}
  #rows = new Map(); // id -> its li
  #soundedMs = 0;
  #order = []; // the ids in the order of the list
  #topSinceMs = -Infinity; // when the first alert of the list came there
  #hadAlerts = false; // when the page was opened: then the strip has its place, also without rules
  #isReplayed = false; // the events of the past have come, so alerts are announced now

  /** desk: {model}; clock: a ServerClock; onOpen(channel); onAlert(alert): a new or more urgent one; onError(error). */
  constructor({ desk, clock, watcher, box, list, voice, more, button, onOpen, onAlert, onError }) {
    Object.assign(this, { desk, clock, box, list, voice, more, button, onOpen, onAlert, onError });
    watcher.addEventListener("event", ({ detail }) => this.feed(detail));
    watcher.addEventListener("state", ({ detail }) => detail === "live" && this.#onLive());
    language.addEventListener("language", () => this.draw());
    const everything = { ids: () => [...this.#order], acknowledge: (id) => this.acknowledge(id), isOpen: (id) => this.#open.has(id) };
    this.everything = new AcknowledgeAll(box.querySelector("#alert-all"), everything);
    more.addEventListener("click", () => this.#expand(more.getAttribute("aria-expanded") === "false"));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || more.getAttribute("aria-expanded") === "false") return;
      event.stopPropagation();
      this.#expand(false);
      more.focus();
    });
    setInterval(() => this.#tick(), 1000);
    this.draw();
  }

  /** The most urgent alert first. While the pointer or the focus is in the strip, nothing changes its place. */
  get all() {
    const urgency = (one) => LEVELS.indexOf(one.level);
    const place = (one) => this.#order.indexOf(one.alert) + 1 || Infinity;
    const isHeld = this.box.matches(":hover, :focus-within");
    const byUrgency = (a, b) => urgency(b) - urgency(a) || b.atMs - a.atMs;
    const compare = isHeld ? (a, b) => (place(a) === place(b) ? byUrgency(a, b) : place(a) - place(b)) : byUrgency;
    return [...this.#open.values()].sort(compare);
  }

  /** Load the open alerts, also those of other sessions and of the time before this page was opened. */
  async load() {
    this.#askRules();
    try {
      const { alerts } = await request("GET", "api/alerts?limit=200");
      const known = new Set(alerts.map((one) => one.alert));
      // An alert that is not in the response was acknowledged while this page was not connected.
      for (const one of this.#open.values()) if (!known.has(one.alert) && this.#isPast(one)) this.#open.delete(one.alert);
      if (!this.#isReplayed && alerts.length) this.#hadAlerts = true;
      for (const one of alerts) this.#take({ ...one, atMs: Date.parse(one.raised_wall), isProvisional: one.state === "provisional" });
      this.draw();
    } catch (error) {
      if (error.code !== "bad_token") this.onError(error); // the page asks for the token itself
    }
  }

  /** Without rules there is nothing to say, so the strip takes no place. What was true last time is true at first, so
   *  that nothing moves while the page is loaded. */
  async #askRules() {
    const { rules } = await request("GET", "api/alerts/rules").catch(() => ({ rules: [] }));
    localStorage.setItem(RULES_KEY, rules.length ? "yes" : "");
    this.draw();
  }

  feed(event) {
    const handler = HANDLERS[event?.type];
    if (!handler) return;
    handler.call(this, event);
    this.draw();
  }

  /** Acknowledge the alert at the top. False: there is none. */
  acknowledgeFirst() {
    const first = this.#order[0];
    if (!first) return false;
    if (performance.now() - this.#topSinceMs >= STEADY_MS) this.acknowledge(first);
    return true;
  }

  async acknowledge(id) {
    try {
      await request("POST", `api/alerts/${encodeURIComponent(id)}/acknowledge`);
      this.#remove(id); // an alert of another session has no event here
      this.draw();
    } catch (error) {
      if (error.status === 404) this.#remove(id);
      else this.onError(error);
      this.draw();
    }
  }

  /** At the start, the most urgent open alert is announced, and after a break, every alert of the break. */
  #onLive() {
    this.load();
    if (this.#isReplayed) return;
    setTimeout(() => {
      this.#isReplayed = true;
      const [first] = this.all;
      if (first) this.#announce(first);
    }, REPLAY_MS);
  }

  #isPast(alert) {
    return this.clock.at(Date.now()) - alert.atMs > SETTLE_MS;
  }

  #take(alert) {
    this.#open.set(alert.alert, { ...this.#open.get(alert.alert), ...alert });
  }

  #remove(id) {
    this.#open.delete(id);
  }

  _onRaised(event) {
    const alert = { ...event, isProvisional: event.is_provisional === true, atMs: Date.parse(event.wall) };
    this.#take(alert);
    this.#announce(alert);
  }

  _onConfirmed(event) {
    const known = this.#open.get(event.alert);
    if (known) this.#take({ ...known, isProvisional: false, segment: event.segment, matched: event.matched });
  }

  _onEscalated(event) {
    const known = this.#open.get(event.alert);
    if (!known) return;
    this.#take({ ...known, level: event.level });
    this.#announce({ ...known, level: event.level });
  }

  _onGone(event) {
    this.#remove(event.alert);
  }

  #announce(alert) {
    if (!this.#isReplayed) return;
    if (alert.level === "critical") this.#soundedMs = Date.now();
    setText(this.voice, this.#sentence(alert));
    this.onAlert(alert, this.#sentence(alert));
  }

  #sentence(alert) {
    const { rule, channel } = alert;
    return t("al.said", { level: t(`al.level.${alert.level}`), rule, channel, text: this.#text(alert) });
  }

  #isHere({ session }) {
    return session === this.desk.model.transcript.session;
  }

  /** The line with the words, else the words, else the cause. */
  #text(alert) {
    const line = alert.segment && this.#isHere(alert) && this.desk.model.channel(alert.channel).entries.find((one) => one.segment === alert.segment);
    return line?.text || alert.text || alert.matched || t(`al.cause.${alert.cause}`);
  }

  #tick() {
    const now = this.clock.at(Date.now());
    for (const [id, row] of this.#rows) {
      const alert = this.#open.get(id);
      if (alert) setText(row.querySelector("time"), t("al.ago", { time: elapsed(now - alert.atMs) }));
    }
    const [first] = this.all;
    if (first?.level === "critical" && Date.now() - this.#soundedMs >= REPEAT_MS) {
      this.#soundedMs = Date.now();
      this.onAlert(first, "");
    }
    this.#markChannels(); // also those that have come since
  }

  draw() {
    const alerts = this.all;
    const top = this.#order[0];
    this.#order = alerts.map((one) => one.alert);
    if (this.#order[0] !== top) this.#topSinceMs = performance.now();
    this.box.querySelector(".calm").hidden = alerts.length > 0;
    const hasPlace = localStorage.getItem(RULES_KEY) === "yes" || this.#hadAlerts;
    this.box.hidden = !hasPlace && alerts.length === 0;
    this.box.classList.toggle("over", !hasPlace); // an alert of a rule that is new lies over the channels
    setText(this.button, alerts.length ? t("al.buttonOpen", { n: alerts.length }) : t("al.button"));
    if (alerts.length) this.button.dataset.level = alerts[0].level;
    else delete this.button.dataset.level;
    const shown = alerts.slice(0, ROWS_MAX);
    for (const [id, row] of this.#rows) {
      if (shown.some((one) => one.alert === id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    shown.forEach((alert, at) => {
      const row = this.#row(alert);
      if (this.list.children[at] !== row) this.list.insertBefore(row, this.list.children[at] ?? null);
    });
    this.more.hidden = alerts.length < 2;
    if (alerts.length < 2) this.#expand(false);
    const isOpen = this.more.getAttribute("aria-expanded") === "true";
    this.everything.draw(isOpen, alerts.length);
    setText(this.more, isOpen ? t("al.less") : t("al.more", { n: alerts.length - 1 }));
    this.#tick();
  }

  #expand(isOpen) {
    if (this.more.getAttribute("aria-expanded") === String(isOpen)) return;
    this.more.setAttribute("aria-expanded", String(isOpen));
    this.box.classList.toggle("expanded", isOpen);
    this.draw();
  }

  #row(alert) {
    if (!this.#rows.has(alert.alert)) this.#rows.set(alert.alert, this.#newRow(alert));
    const row = this.#rows.get(alert.alert);
    row.dataset.level = alert.level;
    row.classList.toggle("provisional", alert.isProvisional);
    const icon = row.querySelector("svg");
    if (icon.dataset.level !== alert.level) [icon.dataset.level, icon.innerHTML] = [alert.level, ICONS[alert.level]];
    setText(row.querySelector("em"), t(`al.level.${alert.level}`));
    setText(row.querySelector(".channel"), alert.channel);
    setText(row.querySelector(".rule"), alert.rule);
    setText(row.querySelector(".text"), this.#text(alert));
    const notes = [alert.isProvisional ? t("al.provisional") : "", this.#isHere(alert) ? "" : t("al.otherSession")];
    setText(row.querySelector(".note"), notes.filter(Boolean).join(" · "));
    const [open, acknowledge] = row.querySelectorAll("button");
    open.setAttribute("aria-label", `${t("al.openThis", { channel: alert.channel })}: ${alert.rule}`);
    setText(acknowledge, t(NARROW.matches ? "al.acknowledgeShort" : "al.acknowledge"));
    acknowledge.setAttribute("aria-label", t("al.acknowledgeThis", alert));
    return row;
  }

  #newRow(alert) {
    const row = document.createElement("li");
    row.innerHTML = `
      <button type="button" class="quiet open">
        <svg viewBox="0 0 24 24" aria-hidden="true"></svg><em></em>
        <b class="channel"></b><span class="rule"></span><span class="text"></span><span class="note"></span><time></time>
      </button>
      <button type="button" class="acknowledge"></button>`;
    const [open, acknowledge] = row.querySelectorAll("button");
    open.addEventListener("click", () => {
      if (this.#isHere(alert)) this.onOpen(alert.channel);
      else location.assign(address("desk", { session: alert.session }));
    });
    acknowledge.addEventListener("click", () => this.acknowledge(alert.alert));
    return row;
  }

  /** Tiles and rows of channels with open alerts of this session carry the most urgent level. */
  #markChannels() {
    const levels = new Map();
    for (const { session, channel, level } of this.all.reverse()) {
      if (this.#isHere({ session })) levels.set(channel, level);
    }
    for (const node of document.querySelectorAll("desk-tile, desk-row")) {
      const level = levels.get(node.channelId);
      if (level) node.dataset.alert = level;
      else delete node.dataset.alert;
    }
  }
}

/** What each event of an alert does. */
const HANDLERS = {
  "alert.raised": Alerts.prototype._onRaised,
  "alert.confirmed": Alerts.prototype._onConfirmed,
  "alert.escalated": Alerts.prototype._onEscalated,
  "alert.withdrawn": Alerts.prototype._onGone,
  "alert.acknowledged": Alerts.prototype._onGone,
  "range.redacted": Alerts.prototype.load, // the words of its alerts are gone on the server
};
