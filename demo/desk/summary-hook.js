/* Connects the summary panel with the desk: which channels there are, and what a link to a line does. */

import { $ } from "../page.js";
import "./summary.js";

/** model: the DeskModel; chosen(): id of the channel on screen, or ""; open(id): shows a channel; play(line). */
export function beginSummary({ model, chosen, open, play }) {
  const panel = $("summary");
  return panel.begin({
    opener: $("summarize"),
    session: () => model.transcript.session,
    channels: () => [...model.channels.values()].filter((channel) => channel.state !== "unused" || channel.lastLine),
    chosen,
    onJump: (line) => {
      if (matchMedia("(max-width: 760px)").matches) panel.close(); // there it covers the text
      jump(line, open, play);
    },
  });
}

/** Show a line in the text of its channel; a line that is no longer on the page is played. */
export function jump(line, open, play) {
  open(line.channel);
  location.replace(`#${line.segment}`);
  const shown = document.getElementById(line.segment);
  if (shown) shown.scrollIntoView({ block: "center" });
  else play(line);
}
