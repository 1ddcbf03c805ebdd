/* The level meter: twelve segments and one word of advice.
 *
 * `LevelJudge` is pure (time passed in): it turns blocks of samples into a level and a verdict. `Meter` draws it.
 */

import { t } from "./i18n.js";

export const FLOOR_DB = -60;
const CLIP_AT = 0.985; // of full scale; converters flatten a little below it
const CLIP_SHOWN_MS = 1500;
const SPEECH_DB = -38; // a speaking voice at arm's length is louder on every microphone tried
const QUIET_DB = -52; // above the hiss of a common microphone
const MEMORY_MS = 2500;
const PAUSE_MS = 8000; // a room is heard in the pauses of a good voice; that is not a voice too quiet
const SILENT_FIRST_MS = 4000; // exact zeros from the start: muted
const SILENT_LATER_MS = 20_000; // some headsets send exact zeros between words
const SEGMENTS = 12;

export class LevelJudge {
  #clippedAt = -Infinity;
  #spokeAt = -Infinity;
  #murmuredAt = -Infinity;
  #soundAt = null;
  #wasHeard = false;

  /** samples: floats in [-1, 1]; returns {db, verdict}: speak, quiet, good, clipping or silent. */
  feed(samples, nowMs) {
    let peak = 0;
    let sum = 0;
    for (const value of samples) {
      peak = Math.max(peak, Math.abs(value));
      sum += value * value;
    }
    const db = Math.max(FLOOR_DB, 10 * Math.log10(sum / samples.length + 1e-12));
    this.#soundAt ??= nowMs;
    if (peak > 0) this.#soundAt = nowMs;
    this.#wasHeard ||= peak > 0;
    if (peak >= CLIP_AT) this.#clippedAt = nowMs;
    if (db > SPEECH_DB) this.#spokeAt = nowMs;
    if (db > QUIET_DB) this.#murmuredAt = nowMs;
    return { db, verdict: this.#verdict(nowMs) };
  }

  #verdict(nowMs) {
    if (nowMs - this.#clippedAt < CLIP_SHOWN_MS) return "clipping";
    if (nowMs - this.#soundAt > (this.#wasHeard ? SILENT_LATER_MS : SILENT_FIRST_MS)) return "silent";
    if (nowMs - this.#spokeAt < MEMORY_MS) return "good";
    const isMurmuring = nowMs - this.#murmuredAt < MEMORY_MS;
    if (isMurmuring && nowMs - this.#spokeAt > PAUSE_MS) return "quiet";
    return "speak";
  }
}

export class Meter extends EventTarget {
  verdict = "off";
  #judge = null;
  #analyser = null;
  #frame = 0;
  #saidAt = 0;

  /** bar: the element with role=meter; hint: where the advice stands. Emits "verdict" when it changes. */
  constructor(bar, hint) {
    super();
    this.bar = bar;
    this.hint = hint;
    for (let i = 0; i < SEGMENTS; i += 1) bar.append(document.createElement("i"));
    this.#say("off", FLOOR_DB);
  }

  attach(analyser) {
    this.detach();
    this.#analyser = analyser;
    this.#judge = new LevelJudge();
    const samples = new Float32Array(analyser.fftSize);
    const draw = (now) => {
      if (this.#analyser !== analyser) return;
      analyser.getFloatTimeDomainData(samples);
      this.#show(this.#judge.feed(samples, now), now);
      this.#frame = requestAnimationFrame(draw);
    };
    this.#frame = requestAnimationFrame(draw);
  }

  detach() {
    cancelAnimationFrame(this.#frame);
    this.#analyser = null;
    this.#light(0, "off");
    this.#say("off", FLOOR_DB);
  }

  #show({ db, verdict }, now) {
    this.#light(Math.round(((db - FLOOR_DB) / -FLOOR_DB) * SEGMENTS), verdict);
    if (verdict === this.verdict && now - this.#saidAt < 500) return; // assistive tools need no 60 values a second
    this.#saidAt = now;
    this.#say(verdict, db);
  }

  #light(count, verdict) {
    const segments = this.bar.children;
    for (let i = 0; i < segments.length; i += 1) segments[i].classList.toggle("on", i < count);
    this.bar.dataset.verdict = verdict;
  }

  #say(verdict, db) {
    this.bar.setAttribute("aria-valuenow", String(Math.round(db)));
    this.bar.setAttribute("aria-valuetext", t(`level.${verdict}`));
    this.hint.textContent = t(`level.${verdict}`);
    if (verdict === this.verdict) return;
    this.verdict = verdict;
    this.hint.dataset.verdict = verdict;
    this.dispatchEvent(new CustomEvent("verdict", { detail: verdict }));
  }

  redraw() {
    this.#say(this.verdict, Number(this.bar.getAttribute("aria-valuenow")));
  }
}
