/* Live audio on the desk: connects the settings, the plan, the scanner, the connection, the mixer and the replays.
 *
 * The page calls `feed` for every event. live-bar.js, live-marks.js, live-sound.js and live-keys.js show the state and
 * call the methods here. Emits "change" when something that is shown has changed.
 */

import { LiveConnection } from "./live-connection.js";
import { LiveMixer } from "./live-mixer.js";
import { plan } from "./live-plan.js";
import { LiveSettings, PRIORITIES } from "./live-settings.js";
import { Missed } from "./missed.js";
import { Scanner } from "./scanner.js";

const ONSET_S = 0.4; // the server notices speech so long after its first sound
const CHECK_MS = 5000; // the end of an avoidance

export class LiveDesk extends EventTarget {
  isOn = false;
  isPaused = false;
  held = ""; // the channel that is held; "" for none
  plan = new Map(); // channel -> {gain, why, isWanted}, see live-plan.js
  missed = new Missed();
  #talking = new Map(); // channel -> its utterance
  #skipped = new Set();
  #timer = 0;

  /** model: DeskModel; replays: Listening; audio: the media element; focused(): id; onError(error). */
  constructor({ model, replays, audio, focused, onError }) {
    super();
    Object.assign(this, { model, replays, focused, onError });
    this.settings = new LiveSettings();
    this.mixer = new LiveMixer(audio);
    this.connection = new LiveConnection();
    this.scanner = new Scanner({
      priorityOf: (id) => PRIORITIES.indexOf(this.settings.of(id).priority),
      mayHear: (id) => this.#mayHear(id),
      stickyMs: () => this.settings.all.stickyS * 1000,
    });
    this.settings.addEventListener("change", () => this.update());
    this.connection.addEventListener("track", ({ detail }) => this.mixer.setTrack(detail.channel, detail.track));
    this.connection.addEventListener("state", ({ detail }) => this.#onState(detail));
    this.connection.addEventListener("failed", ({ detail }) => this.#fail(detail));
    replays.addEventListener("change", () => this.#onReplay());
    addEventListener("pagehide", () => this.connection.leave());
    setInterval(() => this.isOn && this.update(), CHECK_MS);
    this.update();
  }

  get isReplaying() {
    return this.replays.isPlaying;
  }

  /** The channel for the buttons: the one that is heard alone, or the one that the user looks at. */
  get target() {
    if (this.held) return this.held;
    return (this.settings.all.mode === "one" && this.scanner.current) || this.focused();
  }

  /** The channels that talk and are heard now. */
  get heard() {
    return [...this.#talking.keys()].filter((id) => this.plan.get(id)?.gain > 0);
  }

  /* ---- on, off, pause ---------------------------------------------------------------------------------------- */

  /** Call it from a press of the user: only then may the browser play sound. */
  start() {
    if (this.isOn) return;
    this.isOn = true;
    this.isPaused = false;
    this.mixer.unlock();
    for (const { id, state } of this.model.channels.values()) if (state === "talking") this.#begin({ channel: id }, Date.now());
    this.#connect();
    this.update();
  }

  stop() {
    this.isOn = false;
    this.isPaused = false;
    this.held = "";
    this.connection.stop();
    this.mixer.stop();
    this.#forgetCalls();
    this.update();
  }

  pause() {
    this.hear({ held: this.held, isPaused: true });
  }

  /** held: the only channel to hear, or ""; isPaused: hear nothing. */
  hear({ held, isPaused }) {
    Object.assign(this, { held, isPaused });
    this.update();
  }

  /** Back to what is said now: ends a pause and a replay, and forgets what was missed. */
  goLive() {
    this.isPaused = false;
    this.replays.stop();
    this.missed.clear();
    this.update();
  }

  /* ---- channels ---------------------------------------------------------------------------------------------- */

  toggleMute(id) {
    this.settings.set(id, { isMuted: !this.settings.of(id).isMuted });
  }

  get isAllMuted() {
    return [...this.model.channels.keys()].every((id) => this.settings.of(id).isMuted);
  }

  toggleMuteAll() {
    const isMuted = !this.isAllMuted;
    for (const id of this.model.channels.keys()) this.settings.set(id, { isMuted });
  }

  toggleSolo(id) {
    this.settings.set(id, { isSolo: !this.settings.of(id).isSolo });
  }

  toggleHold(id) {
    this.held = this.held ? "" : id;
    this.update();
  }

  avoid(id, minutes) {
    if (this.held === id) this.held = "";
    this.settings.avoid(id, minutes, Date.now());
  }

  /** The line that is replayed, else the call that is heard. */
  skip() {
    if (this.replays.isPlaying) return this.replays.skip();
    const id = this.settings.all.mode === "one" ? this.scanner.current : this.#callToSkip();
    if (!this.#talking.has(id)) return undefined;
    this.#skipped.add(id);
    this.missed.forget(this.#talking.get(id));
    this.scanner.skip(id, Date.now());
    return this.update();
  }

  /** The focused channel if it talks, else the channel that began last. */
  #callToSkip() {
    const heard = this.heard;
    return heard.includes(this.focused()) ? this.focused() : (heard.at(-1) ?? "");
  }

  playMissed() {
    if (this.missed.lines.length) this.replays.playAll(this.missed.lines);
    return this.missed.lines.length > 0;
  }

  /** Replay the newest line of the channel of the buttons; again: one line earlier. */
  replay() {
    return this.replays.step(this.target, -1);
  }

  #mayHear(id) {
    if (!id) return true;
    const { isMuted, isSolo } = this.settings.of(id);
    const isBeside = this.settings.solo.length > 0 && !isSolo && this.settings.all.soloOthers === "silent";
    return !isMuted && !isBeside && !this.settings.isAvoided(id, Date.now()) && (!this.held || this.held === id);
  }

  /* ---- events ------------------------------------------------------------------------------------------------ */

  /** event: any event of the session; changes: of the model. */
  feed(event, changes) {
    if (changes.some((change) => change.type === "session")) this.#beginSession();
    if (!this.isOn) return;
    const nowMs = Date.now();
    if (event.type === "speech.started") this.#begin(event, nowMs);
    if (event.type === "speech.ended" || event.type === "channel.closed") this.#end(event.channel, nowMs);
    if (changes.some((change) => change.type === "line" && this.missed.take(change.line))) this.#changed();
    if (event.type === "channel.opened" && !this.plan.has(event.channel)) this.#connect(); // it has no audio line yet
  }

  /** utterance: "" if the speech had begun before the user listened. */
  #begin({ channel, utterance = "" }, nowMs) {
    this.#talking.set(channel, utterance);
    this.#noteHeard(utterance, false);
    this.scanner.begin(channel, nowMs);
    this.update();
    if (this.settings.isAvoided(channel, nowMs)) this.missed.forget(utterance);
  }

  #end(channel, nowMs) {
    this.#talking.delete(channel);
    this.#skipped.delete(channel);
    this.scanner.end(channel, nowMs);
    this.update();
  }

  #beginSession() {
    this.#forgetCalls();
    this.held = "";
    if (this.isOn) this.#connect();
    this.update();
  }

  #forgetCalls() {
    this.#talking.clear();
    this.#skipped.clear();
    this.scanner.clear();
    this.missed.clear();
  }

  #connect() {
    const { session } = this.model.transcript;
    this.#replan();
    this.connection.want(this.#wanted());
    this.connection.start(session, [...this.model.channels.keys()]);
  }

  #onState(name) {
    if (name !== "live") this.mixer.clear();
    this.update();
  }

  #fail(error) {
    this.stop();
    // A token may read without the right to listen; the page's own text for 403 is about other origins.
    this.onError(error.status === 403 ? { code: "noListening", detail: error.detail } : error);
  }

  #onReplay() {
    const { line } = this.replays;
    if (line) this.missed.remove(line);
    this.update();
  }

  /* ---- the result -------------------------------------------------------------------------------------------- */

  /** Everything that follows from the settings and the state: volumes, what the server sends, what is shown. */
  update() {
    clearTimeout(this.#timer);
    const waitMs = this.scanner.step(Date.now());
    if (waitMs !== null) this.#timer = setTimeout(() => this.update(), waitMs + 5);
    this.#replan();
    const { volume, mode } = this.settings.all;
    this.mixer.volume = volume;
    this.mixer.delayS = mode === "one" ? ONSET_S : 0;
    for (const [id, { gain }] of this.plan) this.mixer.set(id, gain, this.settings.of(id).pan);
    const isLive = this.connection.state === "live";
    for (const [id, utterance] of this.#talking) if (isLive && this.plan.get(id)?.gain > 0) this.#noteHeard(utterance, true);
    if (this.isOn) this.connection.want(this.#wanted());
    this.#changed();
  }

  #noteHeard(utterance, isHeard) {
    if (utterance) this.missed.note(utterance, isHeard);
  }

  #replan() {
    const { isPaused, held, isReplaying } = this;
    const state = { isPaused, held, skipped: this.#skipped, current: this.scanner.current, isReplaying };
    const talking = new Set(this.#talking.keys());
    this.plan = plan([...this.model.channels.keys()], this.settings, talking, state, Date.now());
  }

  #wanted() {
    return [...this.plan].filter(([, one]) => one.isWanted).map(([id]) => id);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
