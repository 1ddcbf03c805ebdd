/* The Health page's list of the channels of the newest session: state, text, delay, audio without text, and the
 * jitter of packets that come over WebRTC.
 *
 * Owns its requests. They read the record, so they are sent less often than those for the figures of the last minute.
 */

import { request } from "../api.js";
import { has, language, t } from "../i18n.js";
import { make, shown, table } from "../plots.js";

const EVERY_MS = 15_000;
const HEARD_MS = 200; // the decoder conceals shorter losses so that they cannot be heard
const WITHOUT_TEXT = ["lost", "shed", "failed"]; // states of coverage

export class ChannelList {
  #askedMs = -Infinity;
  #found = null; // {session, figures}

  /** section: hidden until there is a session with channels. */
  constructor(section) {
    this.section = section;
    this.list = section.querySelector("div");
    language.addEventListener("language", () => this.#draw());
  }

  /** Called often; asks the server from time to time. */
  async update() {
    if (performance.now() - this.#askedMs < EVERY_MS) return;
    this.#askedMs = performance.now();
    try {
      const [session] = (await request("GET", "api/sessions?limit=1")).sessions;
      const figures = session ? (await request("GET", `api/sessions/${session.session}/statistics`)).channels : [];
      this.#found = session && { session, figures };
    } catch (error) {
      console.warn("The channels are not known:", error); // the page says itself that the server does not respond
      this.#found = null;
    }
    this.#draw();
  }

  #draw() {
    const { session, figures } = this.#found ?? { session: { channels: [] }, figures: [] };
    this.section.hidden = session.channels.length === 0;
    const shownBox = this.list.querySelector(".wide");
    const [hasFocus, scrolled] = [shownBox === document.activeElement && shownBox, shownBox?.scrollLeft ?? 0];
    this.list.replaceChildren();
    make("p", t("health.channelsOf", { name: session.name || session.session }), this.list, "dim");
    const heads = ["channel", "channelState", "lines", "meanDelay", ...WITHOUT_TEXT.map((state) => `without.${state}`), "jitter"];
    const rows = session.channels.map((channel) => rowOf(channel, figures.find((one) => one.channel === channel.channel)));
    const lines = table(this.list, heads.map((one) => t(`health.${one}`)), rows);
    const box = Object.assign(this.list.querySelector(".wide"), { tabIndex: 0, role: "region" }); // a phone scrolls it
    box.setAttribute("aria-labelledby", "channels-heading");
    box.scrollLeft = scrolled;
    if (hasFocus) box.focus({ preventScroll: true });
    for (const [n, line] of lines.entries()) {
      const ms = figures.find((one) => one.channel === session.channels[n].channel)?.coverage_ms ?? {};
      WITHOUT_TEXT.forEach((state, at) => line.children[4 + at].classList.toggle("bad", ms[state] >= HEARD_MS));
    }
  }
}

function rowOf({ channel, label, state }, figures = {}) {
  const { segments = 0, latency_ms: delayMs = null, coverage_ms: ms = {}, reception } = figures;
  const name = label && label !== channel ? `${channel} ${label}` : channel;
  const key = `desk.state.${state ?? "closed"}`;
  const all = Object.values(ms).reduce((sum, one) => sum + one, 0);
  const without = WITHOUT_TEXT.map((one) => (ms[one] ? `${shown(ms[one] / 1000, "s")} (${shown((100 * ms[one]) / all, "%")})` : "0"));
  return [name, has(key) ? t(key) : state, segments, shown(delayMs, "ms"), ...without, shown(reception?.jitter_ms, "ms")];
}
