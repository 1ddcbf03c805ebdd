/* The text of the microphone page: feeds events to the model, draws what changed, and says when nothing is heard.
 *
 * Owns the transcript, the log and the row under it (its words are hidden from screen readers, its advice is not). After a reload it shows again what the server still has of the
 * channel that this tab used; only the channel's name is kept in the browser, never its words.
 */

import { Log, drawInterim } from "./log.js";
import { language, t } from "./i18n.js";
import { $, enableTools, wireTools } from "./page.js";
import { LATER_SOURCES, Transcript } from "./transcript.js";
import { Unanswered } from "./unanswered.js";
import { Watcher } from "./watch.js";

const KEY = "host-stt.last";
const WAITING = { talking: "text.hearing", behind: "text.behind" };
const NO_SPEECH_MS = 10_000; // longer than anyone waits before the first word

export class TextPanel {
  transcript = new Transcript();
  isLive = false;
  #heardAt = null; // when speech was last heard, or listening began
  #hasWords = false; // a final came in this run
  #unanswered = new Unanswered((...ended) => this.#giveUp(...ended));
  #tip = "";
  #tipValues = {};
  #watcher = null;
  #isRestoring = false;
  #state = "idle";

  constructor({ steps, latency, terms }) {
    this.steps = steps;
    this.latency = latency;
    this.terms = terms;
    this.row = $("interim");
    const showChannel = () => new Set(this.transcript.lines.map((line) => line.channel)).size > 1;
    this.log = new Log({ box: $("log"), empty: $("empty"), more: $("more"), showChannel, terms });
    wireTools({
      lines: () => this.transcript.lines,
      session: () => this.transcript.session,
      onClear: () => this.#clear(),
    });
    enableTools(false);
    this.#idle();
  }

  /** A connection stands: from now on words are expected. */
  begin() {
    this.#heardAt = performance.now();
    this.#hasWords = false;
    this.#say("");
  }

  pause() {
    this.#heardAt = null;
    this.#idle();
  }

  /** The run is over: what was advised during it no longer holds. */
  end() {
    this.#idle();
    if (this.#hasWords) this.#say("");
    else this.#say("text.noSpeech", true);
  }

  feed(event) {
    this.#listen(event);
    for (const change of this.transcript.feed(event)) this.#draw(change);
  }

  #draw(change) {
    if (change.type === "line") this.#addLine(change.line);
    if (change.type === "interim") this.#drawInterim();
    if (change.type === "gap") this.log.addGap(change.gap);
    if (change.type === "ungap") this.log.removeGap(change.gap);
    if (change.type === "state") this.#enter(change.state);
    if (change.type === "session" && !change.isFirst) this.log.addNote(t("text.session"));
  }

  #enter(state) {
    this.#state = state;
    this.#drawInterim();
  }

  #addLine(line) {
    this.log.addLine(line);
    this.terms.note(line.glossary_version);
    enableTools(true);
    if (this.#isRestoring) return;
    this.#hasWords = true;
    if (!LATER_SOURCES.has(line.source)) this.latency.add(line.latency_ms);
    const n = this.transcript.lines.length;
    this.steps.set("text", "done", n === 1 ? "detail.line" : "detail.lines", { n });
  }

  /** Notice speech, so that the page never stays silent about silence. */
  #listen(event) {
    if (this.#isRestoring) return;
    this.#unanswered.feed(event);
    if (event.type === "speech.started" || event.type === "segment.interim" || event.type === "segment.final") {
      this.#heardAt = performance.now();
      this.#say("");
    }
  }

  #giveUp(channel, utterance, hasWords) {
    this.transcript.forget(channel, utterance);
    if (hasWords) this.#drawInterim();
    else this.#say("text.noWords");
  }

  /** Called every second while live. */
  tick(nowMs, verdict) {
    // Once words came, the microphone works, and silence is a pause.
    if (this.#heardAt === null || this.#hasWords || !this.isLive) return;
    if (nowMs - this.#heardAt > NO_SPEECH_MS && verdict !== "good") this.#say("text.noSpeech", true);
  }

  #drawInterim() {
    const channel = [...this.transcript.channels.keys()].find((name) => this.transcript.interim(name));
    const interim = channel ? this.transcript.interim(channel) : null;
    const waiting = WAITING[this.#state] ?? "text.waiting";
    drawInterim(this.row, interim, t(this.#tip || (this.#heardAt === null ? "text.idle" : waiting)));
  }

  #idle() {
    this.#unanswered.clear();
    this.#heardAt = null;
    this.#state = "idle";
    this.#drawInterim();
  }

  /** A sentence of the page in place of words being heard; "" takes it back. */
  advise(key, values = {}, isWarning = key !== "") {
    this.#say(key, isWarning, values);
  }

  /** A sentence of the page among the lines. */
  note(key) {
    this.log.addNote(t(key));
  }

  #say(key, isWarning = false, values = {}) {
    this.#tip = key;
    this.#tipValues = values;
    this.row.classList.toggle("warn", isWarning);
    const text = key ? t(key, values) : "";
    if ($("tip").textContent !== text) $("tip").textContent = text;
    this.#drawInterim();
  }

  redraw() {
    this.#say(this.#tip, this.row.classList.contains("warn"), this.#tipValues);
  }

  #clear() {
    this.transcript.clear();
    this.log.clear();
    enableTools(false);
    sessionStorage.removeItem(KEY);
  }

  remember({ session, channels }) {
    this.#stopWatching();
    sessionStorage.setItem(KEY, JSON.stringify({ session, channels: channels.map((c) => c.channel) }));
  }

  /** After a reload: the finals that the server still has, until a new connection speaks for itself. */
  restore() {
    const kept = sessionStorage.getItem(KEY);
    if (!kept) return;
    const { session, channels } = JSON.parse(kept);
    this.#isRestoring = true;
    this.#watcher = new Watcher(this.transcript, { session, channels });
    this.#watcher.addEventListener("event", (e) => e.detail.session === session && this.feed(e.detail));
    for (const end of ["denied", "gone"]) this.#watcher.addEventListener(end, () => this.#stopWatching());
    this.#watcher.start();
  }

  #stopWatching() {
    this.#watcher?.stop();
    this.#watcher = null;
    this.#isRestoring = false;
  }
}

language.addEventListener("language", () => {
  const empty = $("empty");
  if (empty) empty.textContent = t(empty.dataset.i18n);
});
