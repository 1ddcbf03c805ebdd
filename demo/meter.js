/* The level meter: twelve segments and a short sentence of advice.
 *
 * `LevelJudge` is pure (the caller passes the time): it turns blocks of samples into a level and a verdict. `Meter`
 * draws both.
 */

import { t } from "./i18n.js";

const FLOOR_DB = -60;
const CLIP_AT = 0.985; // of full scale; some converters clip a little below 1
const CLIP_SHOWN_MS = 1500;
const SPEECH_DB = -38; // speech at arm's length was louder than this on every microphone that we tried
const QUIET_DB = -52; // above the noise of a common microphone
const MEMORY_MS = 2500;
const PAUSE_MS = 8000; // in shorter pauses of good speech, the noise of the room is not taken for quiet speech
const SILENT_FIRST_MS = 4000; // zeros from the start: the microphone is muted
const SILENT_LATER_MS = 20_000; // some headsets send zeros between words
const SEGMENTS = 12;

export class LevelJudge {
  #clippedAt = -Infinity;
  #speechAt = -Infinity;
  #quietAt = -Infinity;
  #signalAt = null; // the last sample that was not zero
  #hadSignal = false;

  /** samples: floats in [-1, 1]. Returns {db, verdict}; verdict is speak, quiet, good, clipping or silent. */
  feed(samples, nowMs) {
    let peak = 0;
    let sum = 0;
    for (const value of samples) {
      peak = Math.max(peak, Math.abs(value));
      sum += value * value;
    }
    const db = Math.max(FLOOR_DB, 10 * Math.log10(sum / samples.length + 1e-12));
    this.#signalAt ??= nowMs;
    if (peak > 0) this.#signalAt = nowMs;
    this.#hadSignal ||= peak > 0;
    if (peak >= CLIP_AT) this.#clippedAt = nowMs;
    if (db > SPEECH_DB) this.#speechAt = nowMs;
    if (db > QUIET_DB) this.#quietAt = nowMs;
    return { db, verdict: this.#verdict(nowMs) };
  }

  #verdict(nowMs) {
    if (nowMs - this.#clippedAt < CLIP_SHOWN_MS) return "clipping";
    if (nowMs - this.#signalAt > (this.#hadSignal ? SILENT_LATER_MS : SILENT_FIRST_MS)) return "silent";
    if (nowMs - this.#speechAt < MEMORY_MS) return "good";
    const isQuiet = nowMs - this.#quietAt < MEMORY_MS;
    if (isQuiet && nowMs - this.#speechAt > PAUSE_MS) return "quiet";
    return "speak";
  }
}

export class Meter extends EventTarget {
  verdict = "off";
  #judge = null;
  #analyser = null;
  #frame = 0;
  #drawnAt = 0;

  /** bar: the element with role=meter; hint: the element of the advice. Emits "verdict" when the verdict changes. */
  constructor(bar, hint) {
    super();
    this.bar = bar;
    this.hint = hint;
    for (let i = 0; i < SEGMENTS; i += 1) bar.append(document.createElement("i"));
    this.#advise("off", FLOOR_DB);
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
    this.#advise("off", FLOOR_DB);
  }

  #show({ db, verdict }, now) {
    this.#light(Math.round(((db - FLOOR_DB) / -FLOOR_DB) * SEGMENTS), verdict);
    // Screen readers cannot use 60 changes a second.
    if (verdict === this.verdict && now - this.#drawnAt < 500) return;
    this.#drawnAt = now;
    this.#advise(verdict, db);
  }

  #light(count, verdict) {
    const segments = this.bar.children;
    for (let i = 0; i < segments.length; i += 1) segments[i].classList.toggle("on", i < count);
    this.bar.dataset.verdict = verdict;
  }

  #advise(verdict, db) {
    this.bar.setAttribute("aria-valuenow", String(Math.round(db)));
    this.bar.setAttribute("aria-valuetext", t(`level.${verdict}`));
    this.hint.textContent = t(`level.${verdict}`);
    if (verdict === this.verdict) return;
    this.verdict = verdict;
    this.hint.dataset.verdict = verdict;
    this.dispatchEvent(new CustomEvent("verdict", { detail: verdict }));
  }

  redraw() {
    this.#advise(this.verdict, Number(this.bar.getAttribute("aria-valuenow")));
  }
}
