/* The load of the engine in the bar of the desk: the longest wait in its queue, and the GPU where it has one.
 *
 * The place has a fixed width, so figures that change move nothing. Without an engine, and without a GPU, its part is empty.
 */

import { language, t } from "../i18n.js";
import { $ } from "../page.js";
import { seconds, setText } from "./parts.js";

export const LOAD_EVERY_MS = 5000;
const LONG_WAIT_MS = 2000; // the text of such a wait is seen to be late

let last = null;

/** ready: a state of the server, see readiness() in notice.js. */
export function noteEngineLoad(ready) {
  last = ready;
  draw();
}

function draw() {
  const { isReachable = false, worstWaitMs = null, gpuLoads = [] } = last ?? {};
  const isKnown = isReachable && worstWaitMs !== null;
  const [wait, gpu] = $("engine-load").children;
  setText(wait, isKnown ? t("desk.queueWait", { time: seconds(worstWaitMs) }) : "");
  wait.title = t("desk.queueWaitMore");
  wait.classList.toggle("bad", isKnown && worstWaitMs >= LONG_WAIT_MS);
  gpu.hidden = gpuLoads.length === 0;
  setText(gpu, gpuLoads.length ? t("desk.gpuLoad", { n: Math.max(...gpuLoads) }) : "");
  gpu.title = gpuLoads.length > 1 ? t("desk.gpuLoads", { all: gpuLoads.map((load) => `${load} %`).join(", ") }) : "";
}

language.addEventListener("language", draw);
