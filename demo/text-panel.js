/* The text of the microphone page: the live text, and the row below it with the interim or a sentence for the speaker.
 *
 * Screen readers get the sentence and the finals, not the interim. After a reload the panel shows again the finals that
 * the server has of this tab's channel. The browser keeps only the channel's name and session, never text.
 */

import { language, t } from "./i18n.js";
import { LiveText, drawInterim } from "./live-text.js";
import { $, enableTools, wireTools } from "./page.js";
import { grouped } from "./utterances.js";
import { Watcher } from "./watch.js";

const KEY = "host-stt.last";
const WAITING = { talking: "text.hearing", behind: "text.behind" };
const NO_SPEECH_MS = 10_000; // longer than people wait before they speak
const SPEECH = new Set(["speech.started", "segment.interim", "segment.final"]);

export class TextPanel {
  isLive = false;
  #waitingSince = null; // when speech was last detected, or the connection began; null while nothing is expected
  #hasText = false; // a final came in this run
  #advice = { key: "", values: {} };
  #watcher = null;
  #isRestoring = false;
  #state = "idle";

  constructor({ steps, delays, terms }) {
    this.steps = steps;
    this.delays = delays;
    this.row = $("interim");
    const showsChannel = () => new Set(this.transcript.lines.map((line) => line.channel)).size > 1;
    this.text = new LiveText({ box: $("log"), empty: $("empty"), more: $("more"), terms, showsChannel });
    this.text.addEventListener("line", () => this.#onLine());
    this.text.addEventListener("interim", () => this.#drawInterim());
    this.text.addEventListener("state", (e) => this.#enter(e.detail.state));
    this.text.addEventListener("no-text", (e) => this.#onNoText(e.detail));
    wireTools({
      lines: () => this.transcript.lines,
      session: () => this.transcript.session,
      onClear: () => this.#clear(),
    });
    enableTools(false);
    this.#reset();
  }

  get transcript() {
    return this.text.transcript;
  }

  /** The connection is open: from now on speech is expected. */
  begin() {
    this.#waitingSince = performance.now();
    this.#hasText = false;
    this.#say("");
  }

  pause() {
    this.#reset();
  }

  /** The run ended: its advice is out of date. */
  end() {
    this.#reset();
    if (this.#hasText) this.#say("");
    else this.#say("text.noSpeech", true);
  }

  feed(event) {
    if (SPEECH.has(event.type) && !this.#isRestoring) {
      this.#waitingSince = performance.now();
      this.#say("");
    }
    if (!this.#isRestoring) this.delays.feed(event);
    this.text.feed(event);
  }

  #enter(state) {
    this.#state = state;
    this.#drawInterim();
  }

  #onLine() {
    enableTools(true);
    if (this.#isRestoring) return;
    this.#hasText = true;
    const n = grouped(this.transcript.entries).length;
    this.steps.set("text", "done", n === 1 ? "detail.line" : "detail.lines", { n });
  }

  #onNoText({ hasText }) {
    if (!hasText && !this.#isRestoring) this.#say("text.noWords");
  }

  /** Called once a second while live. verdict: of the level meter. */
  tick(nowMs, verdict) {
    // After the first final the microphone is known to work, so silence is a pause.
    if (this.#waitingSince === null || this.#hasText || !this.isLive) return;
    if (nowMs - this.#waitingSince > NO_SPEECH_MS && verdict !== "good") this.#say("text.noSpeech", true);
  }

  #drawInterim() {
    const channel = [...this.transcript.channels.keys()].find((name) => this.transcript.interim(name));
    const interim = channel ? this.transcript.interim(channel) : null;
    const waiting = this.#waitingSince === null ? "text.idle" : (WAITING[this.#state] ?? "text.waiting");
    const { key, values } = this.#advice;
    drawInterim(this.row, interim, key ? t(key, values) : t(waiting));
  }

  #reset() {
    this.text.pending.clear();
    this.#waitingSince = null;
    this.#state = "idle";
    this.#drawInterim();
  }

  /** Show a sentence in place of the interim; "" removes it. key: of the strings. */
  advise(key, values = {}, isWarning = key !== "") {
    this.#say(key, isWarning, values);
  }

  /** Add a sentence as a row of the text. key: of the strings. */
  note(key) {
    this.text.addNote(key);
  }

  #say(key, isWarning = false, values = {}) {
    this.#advice = { key, values };
    this.row.classList.toggle("warn", isWarning);
    const text = key ? t(key, values) : "";
    if ($("tip").textContent !== text) $("tip").textContent = text; // a screen reader reads every change
    this.#drawInterim();
  }

  redraw() {
    this.#say(this.#advice.key, this.row.classList.contains("warn"), this.#advice.values);
  }

  #clear() {
    this.text.clear();
    enableTools(false);
    sessionStorage.removeItem(KEY);
  }

  /** Keep the channel of this connection, so that a reloaded page can show its text. */
  remember({ session, channels }) {
    this.#stopRestoring();
    sessionStorage.setItem(KEY, JSON.stringify({ session, channels: channels.map((c) => c.channel) }));
  }

  /** After a reload: show the finals that the server has, until a new connection is open. */
  restore() {
    const kept = sessionStorage.getItem(KEY);
    if (!kept) return;
    const { session, channels } = JSON.parse(kept);
    this.#isRestoring = true;
    this.#watcher = new Watcher(this.transcript, { session, channels });
    this.#watcher.addEventListener("event", (e) => e.detail.session === session && this.feed(e.detail));
    for (const end of ["denied", "gone"]) this.#watcher.addEventListener(end, () => this.#stopRestoring());
    this.#watcher.start();
  }

  #stopRestoring() {
    if (this.#isRestoring) this.text.pending.clear(); // those utterances are of an earlier run
    this.#watcher?.stop();
    this.#watcher = null;
    this.#isRestoring = false;
  }
}

language.addEventListener("language", () => {
  const empty = $("empty");
  if (empty) empty.textContent = t(empty.dataset.i18n);
});
