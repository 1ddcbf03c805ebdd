/* Makes the parts of live audio, and connects them with each other and with the player. */

import { $ } from "../page.js";
import { HoldToListen } from "./hold-listen.js";
import { LiveBar } from "./live-bar.js";
import { LiveDesk } from "./live-desk.js";
import { liveActions } from "./live-keys.js";
import { LiveMarks } from "./live-marks.js";
import { LiveSound } from "./live-sound.js";

/** model: DeskModel; replays: Listening; focused(): id; onError(error). Returns {live, marks, actions}. */
export function beginLive({ model, replays, focused, onError }) {
  const live = new LiveDesk({ model, replays, audio: $("live-audio"), focused, onError });
  const sound = new LiveSound(live);
  new LiveBar(live, { onSound: () => sound.open() });
  new HoldToListen($("hold-listen"), live, focused);
  keepReplayChoices(live.settings);
  return { live, marks: new LiveMarks(live), actions: liveActions(live, () => sound.open()) };
}

/** The speed and the pauses of replays are remembered as well. */
function keepReplayChoices(settings) {
  const [speed, skips] = [$("speed"), $("skips")];
  const show = () => {
    if (speed.value === String(settings.all.replaySpeed) && skips.checked === settings.all.skipsSilence) return;
    speed.value = String(settings.all.replaySpeed);
    skips.checked = settings.all.skipsSilence;
    for (const control of [speed, skips]) control.dispatchEvent(new Event("change"));
  };
  show();
  settings.addEventListener("change", show);
  speed.addEventListener("change", () => settings.setAll({ replaySpeed: Number(speed.value) }));
  skips.addEventListener("change", () => settings.setAll({ skipsSilence: skips.checked }));
}
