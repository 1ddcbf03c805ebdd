/* Decides how loud each channel is, and why: mute, avoid, hold, solo, skip, one at a time, ducking, replays.
 *
 * Pure. `plan` returns for every channel {gain, why, isWanted}. gain: 0 to 1.5, before the master volume; why: "" if the
 * channel is heard as it is, else the reason; isWanted: whether the server has to send its audio. Channels that only wait
 * for their turn stay wanted, because they must be heard without delay when it comes.
 */

import { PRIORITIES } from "./live-settings.js";

export const DIM = 10 ** (-18 / 20); // of channels beside a solo, of lower priority, and of live audio under a replay

/** Reasons why the server need not send a channel's audio. */
const UNWANTED = ["paused", "avoided", "muted", "held", "solo"];

/** channels: ids; talking: Set of ids; state: {isPaused, held, skipped: Set, current, isReplaying}; nowMs: Date.now(). */
export function plan(channels, settings, talking, state, nowMs) {
  const silenced = new Map(channels.map((id) => [id, silence(id, settings, state, nowMs)]));
  const loudest = settings.all.isDucking ? loudestPriority(channels, silenced, settings, talking) : 0;
  return new Map(channels.map((id) => [id, decide(id, silenced.get(id), settings, loudest, state)]));
}

function silence(id, settings, state, nowMs) {
  if (state.isPaused) return "paused";
  if (settings.isAvoided(id, nowMs)) return "avoided";
  const { isMuted, isSolo } = settings.of(id);
  if (isMuted) return "muted";
  if (state.held && state.held !== id) return "held";
  const { solo } = settings;
  if (solo.length && !isSolo && settings.all.soloOthers === "silent") return "solo";
  if (state.skipped.has(id)) return "skipped";
  return settings.all.mode === "one" && state.current !== id ? "waiting" : "";
}

/** The highest priority of the channels that are heard and talk now; 0 if there is none. */
function loudestPriority(channels, silenced, settings, talking) {
  const heard = channels.filter((id) => talking.has(id) && !silenced.get(id));
  return Math.max(0, ...heard.map((id) => PRIORITIES.indexOf(settings.of(id).priority)));
}

function decide(id, reason, settings, loudest, state) {
  if (reason) return { gain: 0, why: reason, isWanted: !UNWANTED.includes(reason) };
  const { volume, isSolo, priority } = settings.of(id);
  const isBeside = settings.solo.length > 0 && !isSolo;
  const isDucked = PRIORITIES.indexOf(priority) < loudest;
  const why = isBeside ? "beside" : isDucked ? "ducked" : state.isReplaying ? "replay" : "";
  return { gain: volume * (why ? DIM : 1), why, isWanted: true };
}
