/* Small parts of the desk that several views draw: icons of states, meters, times since, and figures. */

import { t } from "../i18n.js";

/** One shape for each state, so that a state is never shown by its colour alone. */
const SHAPES = {
  unused: '<path d="M6 12h12"/>',
  closed: '<path d="M7 7h10v10H7z"/>',
  idle: '<circle cx="12" cy="12" r="5"/>',
  after: '<circle cx="12" cy="12" r="5"/><path d="M12 9v3l2 1.5"/>',
  talking: '<circle cx="12" cy="12" r="6" fill="currentColor"/>',
  text: '<path d="M5 12h.1M12 12h.1M19 12h.1" stroke-width="4"/>',
  behind: '<path d="M7 4h10M7 20h10M8 4c0 5 8 6 8 8s-8 3-8 8M16 4c0 5-8 6-8 8s8 3 8 8"/>',
  lost: '<path d="M12 4.5 21 20H3L12 4.5zM12 10.5v4M12 17.2v.1"/>',
  no_signal: '<path d="M4 20 20 4M5 9a10 10 0 0 1 5-3M8 13a6 6 0 0 1 2-1.5"/>',
  disconnected: '<path d="M6 6l12 12M18 6 6 18"/>',
};
const SEGMENTS = 12;
const METER_FROM_DB = -60;
const CLIP_DB = -1;
const LATE_S = 2; // text that takes longer is late: the user sees for how long
const LOW_DB = -45; // speech below it is hard to transcribe

/** Draw the icon of a state into an svg element. */
export function drawIcon(svg, state) {
  if (svg.dataset.state === state) return;
  svg.dataset.state = state;
  svg.innerHTML = SHAPES[state] ?? SHAPES.idle;
}

/** Seconds or minutes since a moment, as m:ss; from one hour on as h:mm:ss. */
export function elapsed(ms) {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const pad = (value) => String(value).padStart(2, "0");
  const tail = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${tail}` : tail;
}

/** Set the text of a node only if it changed: a screen with 16 channels must not be laid out again for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A meter of 12 segments with the peak held for a moment, drawn by CSS from three numbers. */
export class Meter {
  #held = 0;
  #heldAtMs = 0;

  constructor(node) {
    this.node = node;
  }

  /** "clip": too loud, "low": too quiet to be transcribed well, or "". */
  get kind() {
    return this.node.dataset.kind ?? "";
  }

  /** level: {rmsDb, peakDb} or null. */
  draw(level, nowMs) {
    const lit = level ? segments(level.rmsDb) : 0;
    const peak = level ? segments(level.peakDb) : 0;
    if (peak >= this.#held || nowMs - this.#heldAtMs > 1500) [this.#held, this.#heldAtMs] = [peak, nowMs];
    const kind = level && level.peakDb >= CLIP_DB ? "clip" : level && level.peakDb < LOW_DB ? "low" : "";
    const drawn = `${lit} ${this.#held} ${kind}`;
    if (this.node.dataset.drawn === drawn) return;
    this.node.dataset.drawn = drawn;
    this.node.dataset.kind = kind;
    this.node.style.setProperty("--lit", lit);
    this.node.style.setProperty("--held", this.#held);
  }
}

function segments(db) {
  return Math.max(0, Math.min(SEGMENTS, Math.round(((db - METER_FROM_DB) / -METER_FROM_DB) * SEGMENTS)));
}

/** Milliseconds as seconds with one decimal, with their unit. */
export function seconds(ms) {
  return t("desk.seconds", { n: (ms / 1000).toFixed(1) });
}

/** Milliseconds of lost audio as seconds with one decimal. A loss is never 0.0 s. */
export function lostSeconds(ms) {
  return ms < 50 ? "< 0.1" : (ms / 1000).toFixed(1);
}

/** The state's word, with the seconds of a loss. */
export function stateName(channel, state) {
  return state === "lost" ? t("desk.state.lost", { seconds: lostSeconds(channel.lostMs) }) : t(`desk.state.${state}`);
}

/** For how long a late text is awaited, or "". nowMs: of the server's clock. */
export function waitedText(channel, state, nowMs) {
  const waitedS = state === "text" || state === "behind" ? Math.floor(channel.waitedMs(nowMs) / 1000) : 0;
  return waitedS >= LATE_S ? t("desk.seconds", { n: waitedS }) : "";
}

/** The state's word, with the seconds of a loss or of a late text. nowMs: of the server's clock. */
export function stateWord(channel, state, nowMs) {
  return [stateName(channel, state), waitedText(channel, state, nowMs)].filter(Boolean).join(" · ");
}
