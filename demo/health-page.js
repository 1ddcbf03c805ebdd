/* The Health page: shows /metrics and /ready of this server every two seconds, as tables and plots.
 *
 * Owns the parser of the Prometheus text and the figures of the last minute; plots.js draws. A page in the background
 * sends no requests.
 */

import { address, rememberToken, token } from "./api.js";
import { ModelList } from "./model-list.js";
import { coverageBar, make, plot, shown, table } from "./plots.js";

const EVERY_MS = 2000;
const MINUTE = 30; // measurements
const MEASUREMENTS_MAX = 900; // half an hour
const COVERAGE = {
  transcribed: "host_stt_coverage_transcribed_ms",
  silence: "host_stt_coverage_silence_ms",
  shed: "host_stt_coverage_shed_ms",
  lost: "host_stt_coverage_lost_ms",
  failed: "host_stt_coverage_failed_ms",
  closed: "host_stt_coverage_closed_ms",
};
const measurements = []; // {at, samples}; at: of performance.now()
const models = new ModelList(document.getElementById("models"));

/** A Prometheus text as {"name{labels}": value}. */
function samplesOf(text) {
  const samples = {};
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ");
    if (at > 0 && !line.startsWith("#")) samples[line.slice(0, at)] = Number(line.slice(at + 1));
  }
  return samples;
}

/** The quantile of the values that a histogram got between two measurements, as the upper bound of its bucket; null
 *  without values. label: only series with this label. */
function quantile(after, before, name, share, label = "") {
  const buckets = [];
  for (const [key, value] of Object.entries(after)) {
    const bound = key.startsWith(`${name}_bucket{`) && key.includes(label) && /le="([^"]+)"/.exec(key);
    if (bound) buckets.push([bound[1] === "+Inf" ? Infinity : Number(bound[1]), value - (before[key] ?? 0)]);
  }
  buckets.sort((a, b) => a[0] - b[0]);
  const total = buckets.at(-1)?.[1] ?? 0;
  return total > 0 ? buckets.find(([, count]) => count >= total * share)[0] : null;
}

const FINAL = 'type="segment.final"';
const INTERIM = 'type="segment.interim"';

const msText = (seconds) => {
  if (seconds === null) return null;
  return seconds === Infinity ? "above all buckets" : `≤ ${shown(Math.round(seconds * 1000), "ms")}`;
};

/** Of the last minute. times: rows of name, count, p50, p95; counts: rows of name, value. */
function figures() {
  const a = measurements.at(-1).samples;
  const b = (measurements.at(-1 - MINUTE) ?? measurements[0]).samples;
  const spread = (title, name, label = "") => [
    title,
    countOf(a, b, name, label),
    msText(quantile(a, b, name, 0.5, label)),
    msText(quantile(a, b, name, 0.95, label)),
  ];
  const increase = (name) => Math.max(0, (a[name] ?? 0) - (b[name] ?? 0));
  return {
    times: [
      spread("End of speech to final text", "host_stt_latency_seconds", FINAL),
      spread("Age of interims", "host_stt_latency_seconds", INTERIM),
      spread("Delay of the event loop", "host_stt_loop_lag_seconds"),
    ],
    counts: [
      ["Channels that get audio", a.host_stt_registry_channels_fed],
      ["Connections that send audio", a.host_stt_registry_connections],
      ["Windows at the engine", a.host_stt_engine_in_flight],
      ["Windows waiting for the engine", a.host_stt_engine_waiting],
      ["Windows transcribed, this minute", increase("host_stt_engine_answered_total")],
      ["Windows failed, this minute", increase("host_stt_engine_failed_total")],
      ["Interims dropped, this minute", increase("host_stt_speech_interims_shed_total")],
      ["Audio dropped, this minute", shown(increase("host_stt_speech_shed_ms_total") / 1000, "s")],
      ["Events not yet on disk", a.host_stt_record_events_waiting],
      ["Watchers", a.host_stt_watchers_count],
    ],
  };
}

/** The number of values that a histogram got between two measurements. */
function countOf(after, before, name, label) {
  const keys = Object.keys(after).filter((key) => key.startsWith(`${name}_count`) && key.includes(label));
  return keys.reduce((sum, key) => sum + after[key] - (before[key] ?? 0), 0);
}

/** value(measurement, the one before): the points of a plot, in seconds since the first measurement. */
function series(value) {
  const begin = measurements[0].at;
  const points = measurements.map((one, n) => [(one.at - begin) / 1000, value(one, measurements[n - 1])]);
  return points.filter(([, y]) => y !== null && y !== undefined && Number.isFinite(y));
}

function redraw(id, draw) {
  const place = document.getElementById(id);
  place.replaceChildren();
  draw(place);
}

/** Sentences about problems, the worst first: [class, text]. */
function notes(samples, ready) {
  const found = [];
  if (samples.host_stt_engine_is_connected === 0) {
    found.push(["bad", "The speech engine does not respond. Audio is received and stored; the text follows later."]);
  } else if (ready.status !== 200) found.push(["bad", `Not ready: ${ready.reason || "no reason was given"}`]);
  for (const [part, text] of Object.entries(ready.troubles ?? {})) found.push(["bad", `${part}: ${text}`]);
  if (!samples.host_stt_registry_channels_fed) found.push(["", "No connection sends audio at the moment."]);
  return found;
}

function draw(ready) {
  const { samples } = measurements.at(-1);
  const { times, counts } = figures();
  redraw("notes", (place) => notes(samples, ready).forEach(([kind, text]) => make("p", text, place, kind)));
  redraw("times", (place) => table(place, ["", "count", "p50", "p95"], times));
  redraw("now", (place) => table(place, ["", ""], counts));
  const seconds = Object.entries(COVERAGE).map(([state, name]) => [state, (samples[name] ?? 0) / 1000]);
  redraw("cover", (place) => coverageBar(place, Object.fromEntries(seconds)));
  const p95 = (name, label) => series((one, before) => {
    const value = before ? quantile(one.samples, before.samples, name, 0.95, label) : null;
    return value === null ? null : value * 1000;
  });
  const gauge = (name) => series((one) => one.samples[name]);
  models.show(ready.engine ?? {});
  redraw("plots", (place) => {
    const finals = p95("host_stt_latency_seconds", FINAL);
    const interims = p95("host_stt_latency_seconds", INTERIM);
    plot(place, "Latency p95 (upper bound of its bucket)", { finals, interims }, { unit: "ms" });
    plot(place, "Channels that get audio", { channels: gauge("host_stt_registry_channels_fed") });
    plot(place, "Windows at the engine", { windows: gauge("host_stt_engine_in_flight") });
    plot(place, "Delay of the event loop, p95", { lag: p95("host_stt_loop_lag_seconds", "") }, { unit: "ms" });
  });
}

/** Load both, draw them, and return the sentence for the top of the page. */
async function update() {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const [metrics, ready] = await Promise.all(
    ["metrics", "ready"].map((path) => fetch(address(path), { headers, cache: "no-store" })),
  );
  document.getElementById("token-form").hidden = metrics.status !== 401;
  if (metrics.status === 401) return token() ? "This token is not valid." : "This server needs a token.";
  if (metrics.status !== 200) return `The metrics could not be loaded: status ${metrics.status}.`;
  const body = await ready.json().catch(() => ({}));
  const samples = samplesOf(await metrics.text());
  if (isRestarted(samples)) measurements.length = 0;
  measurements.push({ at: performance.now(), samples });
  if (measurements.length > MEASUREMENTS_MAX) measurements.shift();
  draw({ ...body, status: ready.status });
  const { model, device } = body.engine ?? {};
  return `${model ? `Model ${model} on ${device}. ` : ""}Updated every two seconds.`;
}

/** A counter became smaller: the server was restarted, so the earlier measurements cannot be compared. */
function isRestarted(samples) {
  const last = measurements.at(-1)?.samples ?? {};
  const counters = ["host_stt_speech_audio_ms_total", "host_stt_engine_answered_total"];
  return counters.some((name) => samples[name] < last[name]);
}

async function tick() {
  if (!document.hidden) {
    let text = "The server does not respond.";
    let isStale = false;
    try {
      text = await update();
    } catch (error) {
      console.warn("The update failed:", error); // a fault of this page must not look like a silent server
      isStale = true;
      if (measurements.length) text += " These are the last figures.";
    }
    const state = document.getElementById("state");
    if (state.textContent !== text) state.textContent = text; // screen readers read every change
    document.querySelector("main").classList.toggle("stale", isStale);
  }
  setTimeout(tick, EVERY_MS);
}

document.getElementById("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberToken(document.getElementById("token").value.trim());
});
tick();
document.documentElement.dataset.ready = "";
