/* Connects the alerts with the desk: the pinned list, the sounds and notices, and the button that opens their choices. */

import { $ } from "../page.js";
import { Alerts } from "./alerts.js";
import { AlertSettings } from "./alert-settings.js";

/** desk, clock, watcher, notice: of the page; open(id): shows a channel. Returns the Alerts. */
export function attachAlerts({ desk, clock, watcher, notice, open }) {
  const button = $("alerts-button");
  const settings = new AlertSettings({ dialog: $("alert-settings"), button, hint: $("sound-locked"), onOpen: open });
  return new Alerts({
    ...{ desk, clock, watcher, button, box: $("alerts"), list: $("alert-list"), voice: $("alert-voice"), more: $("alert-more"), onOpen: open },
    onAlert: (alert, sentence) => settings.report(alert, sentence),
    onError: (error) => notice.show(error),
  });
}
