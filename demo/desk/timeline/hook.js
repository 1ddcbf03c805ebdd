/* Connects the timeline with the desk: its view, its keys, the player, and what a click on a line does. */

import { $ } from "../../page.js";
import { jump } from "../summary-hook.js";
import { Tools } from "./tools.js";
import "./view.js";

/** desk: {model, afterMs, focused}; replays: Listening; view(): name of the view; open(id); play(line); onError(error).
 *  Returns {timeline, keys(actions): the actions with those of the timeline}. */
export function beginTimeline({ desk, replays, view, open, play, onError }) {
  const timeline = $("timeline").begin({ desk, heard: () => replays.place, onOpen: open, onError });
  const tools = timeline.tools = new Tools({ view: timeline, replays, onError });
  timeline.addEventListener("open", ({ detail }) => jump(detail, open, play));
  const here = () => view() === "timeline";
  /** In the timeline, `act`; elsewhere what the key meant before. */
  const inTimeline = (act, otherwise = () => false) => (event) => (here() ? act(event) : otherwise(event));
  return {
    timeline,
    keys: (actions) => ({
      ...actions,
      left: inTimeline((event) => timeline.move(-1, 0, event?.shiftKey), actions.left),
      right: inTimeline((event) => timeline.move(1, 0, event?.shiftKey), actions.right),
      up: inTimeline((event) => timeline.move(0, -1, event?.shiftKey), actions.up),
      down: inTimeline((event) => timeline.move(0, 1, event?.shiftKey), actions.down),
      open: inTimeline(() => timeline.openAt(timeline.cursor), actions.open),
      back: inTimeline(() => timeline.escape() || actions.back(), actions.back),
      play: inTimeline(() => tools.toggle() || actions.play(), actions.play),
      mute: inTimeline(() => timeline.cursor && tools.toggleMute(timeline.channels[timeline.cursor.lane].id), actions.mute),
      zoomIn: inTimeline(() => timeline.zoom(-1)),
      zoomOut: inTimeline(() => timeline.zoom(1)),
      earlier: inTimeline(() => timeline.page(-1)),
      later: inTimeline(() => timeline.page(1)),
      newest: inTimeline(() => timeline.toNow()),
      select: inTimeline(() => timeline.mark()),
    }),
  };
}
