/* What the keys of the desk do with live audio. */

import { UNTIL_RELEASED, VOLUME_MAX } from "./live-settings.js";

const AVOIDANCES_MIN = [30, 60, 120]; // one press after the other; then until released, then no more
const VOLUME_STEP = 0.1;

/** live: LiveDesk; openSound(): opens the sound settings. Returns action -> function, for keys.js. */
export function liveActions(live, openSound) {
  return {
    listen: () => listenPauseLive(live),
    mute: () => live.toggleMute(live.focused()),
    muteAll: () => live.toggleMuteAll(),
    solo: () => live.toggleSolo(live.focused()),
    hold: () => live.toggleHold(live.target),
    avoid: () => live.avoid(live.target, nextAvoidance(live.settings.of(live.target).avoidedUntil, Date.now())),
    skip: () => live.skip(),
    missed: () => live.playMissed(),
    replay: () => live.replay(),
    quieter: () => changeVolume(live, -VOLUME_STEP),
    louder: () => changeVolume(live, VOLUME_STEP),
    sound: openSound,
  };
}

function listenPauseLive(live) {
  if (!live.isOn) return live.start();
  return live.isPaused || live.isReplaying ? live.goLive() : live.pause();
}

function changeVolume(live, change) {
  const id = live.focused();
  const volume = Math.round((live.settings.of(id).volume + change) * 20) / 20;
  live.settings.set(id, { volume: Math.max(0, Math.min(VOLUME_MAX, volume)) });
}

/** The longer avoidance that follows the present one: minutes, UNTIL_RELEASED, or 0 to end it. */
export function nextAvoidance(avoidedUntil, nowMs) {
  if (avoidedUntil === UNTIL_RELEASED) return 0;
  const leftMin = avoidedUntil === null ? 0 : Math.max(0, (avoidedUntil - nowMs) / 60_000);
  if (leftMin === 0) return AVOIDANCES_MIN[0];
  return AVOIDANCES_MIN.find((minutes) => minutes > leftMin + 0.05) ?? UNTIL_RELEASED;
}
