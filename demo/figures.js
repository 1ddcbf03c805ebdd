/* The figures beside the text: the delay of the text, and facts about the connection. */

import { Delays } from "./delays.js";
import { t } from "./i18n.js";

/** The percentile of numbers by nearest rank; null without numbers. */
function percentile(values, rank) {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)];
}

export class DelayFigures {
  #delays = new Delays();

  constructor(box) {
    this.box = box;
    this.redraw();
  }

  feed(event) {
    this.#delays.feed(event);
    this.redraw();
  }

  redraw() {
    const { first, final } = this.#delays;
    for (const [name, values] of Object.entries({ final, first })) {
      for (const rank of [50, 95]) this.#put(`${name}${rank}`, seconds(percentile(values, rank)));
    }
    this.#put("count", String(final.length));
  }

  #put(name, text) {
    const place = this.box.querySelector(`[data-figure=${name}]`);
    if (place.textContent !== text) place.textContent = text;
  }
}

const seconds = (ms) => (ms === null ? "–" : t("latency.value", { seconds: (ms / 1000).toFixed(2) }));

/** The facts of getStats that the page shows: {codec, rttMs, lost, lossPercent}, each null if unknown. */
export function summary(report) {
  const entries = [...report.values()];
  const transport = entries.find((entry) => entry.type === "transport");
  const pair =
    entries.find((entry) => entry.id === transport?.selectedCandidatePairId) ??
    entries.find((entry) => entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded");
  const outbound = entries.find((entry) => entry.type === "outbound-rtp" && entry.kind === "audio");
  const remote = entries.find((entry) => entry.type === "remote-inbound-rtp" && entry.kind === "audio");
  const codec = entries.find((entry) => entry.id === outbound?.codecId);
  const rtt = pair?.currentRoundTripTime ?? remote?.roundTripTime;
  const sent = outbound?.packetsSent ?? 0;
  const lost = remote?.packetsLost ?? null;
  return {
    codec: codec ? codecName(codec) : null,
    rttMs: rtt === undefined ? null : Math.max(1, Math.round(rtt * 1000)),
    lost,
    lossPercent: lost === null || sent === 0 ? null : Math.max(0, (100 * lost) / sent),
  };
}

function codecName({ mimeType, clockRate }) {
  const name = mimeType.replace("audio/", "");
  return `${name[0].toUpperCase()}${name.slice(1)} ${Math.round(clockRate / 1000)}\u00a0kHz`;
}

export class LinkFigures {
  constructor(box) {
    this.box = box;
    this.clear();
  }

  clear() {
    this.show({ codec: null, rttMs: null, lost: null, lossPercent: null });
    this.channel("");
  }

  /** name: of the speech model that the server uses, or the path of its folder. */
  model(name = "") {
    this.#put("model", name.split("/").filter(Boolean).at(-1) ?? t("link.none"));
  }

  channel(name) {
    this.#put("channel", name || t("link.none"));
  }

  show({ codec, rttMs, lost, lossPercent }) {
    const none = t("link.none");
    this.#put("codec", codec ?? none);
    this.#put("rtt", rttMs === null ? none : t("link.ms", { ms: rttMs }));
    const percent = lossPercent === null ? null : lossPercent.toFixed(1);
    this.#put("loss", percent === null ? none : t("link.lossValue", { percent, lost }));
  }

  #put(name, text) {
    this.box.querySelector(`[data-figure=${name}]`).textContent = text;
  }
}
