/* The health page: /metrics and /ready of this server every two seconds, as a table and as plots.
 *
 * Owns the reading of Prometheus' text and the figures of the last minute; drawing is plots.js, which the load test's
 * report draws with as well. A page in the background asks nothing. */

import { address, rememberToken, token } from "./api.js";
import { coverageBar, make, plot, shown, table } from "./plots.js";

const EVERY_MS = 2000, MINUTE = 30, KEPT = 900; // readings: a minute, half an hour
const COVERAGE = {
  transcribed: "host_stt_coverage_transcribed_ms",
  silence: "host_stt_coverage_silence_ms",
  shed: "host_stt_coverage_shed_ms",
  lost: "host_stt_coverage_lost_ms",
  failed: "host_stt_coverage_failed_ms",
  closed: "host_stt_coverage_closed_ms",
};
const readings = [];

/** {"name{labels}": value} of a Prometheus text. */
export function samplesOf(text) {
  const samples = {};
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ");
    if (at > 0 && !line.startsWith("#")) samples[line.slice(0, at)] = Number(line.slice(at + 1));
  }
  return samples;
}

/** The value under which a share of a histogram's growth lies: the upper bound of its bucket; null where none came. */
export function quantile(after, before, name, share, label = "") {
  const buckets = [];
  for (const [key, value] of Object.entries(after)) {
    const bound = key.startsWith(`${name}_bucket{`) && key.includes(label) && /le="([^"]+)"/.exec(key);
    if (bound) buckets.push([bound[1] === "+Inf" ? Infinity : Number(bound[1]), value - (before[key] ?? 0)]);
  }
  buckets.sort((a, b) => a[0] - b[0]);
  const total = buckets.at(-1)?.[1] ?? 0;
  return total > 0 ? buckets.find(([, count]) => count >= total * share)[0] : null;
}

const FINAL = 'type="segment.final"', INTERIM = 'type="segment.interim"';

/** Over the last minute: [name, count, p50, p95] and [name, value]; times in milliseconds, upper bounds. */
function figures() {
  const last = readings.at(-1), first = readings.at(-1 - MINUTE) ?? readings[0];
  const a = last.samples, b = first.samples;
  const ms = (value) => (value === Infinity ? "beyond all" : value === null ? null : `≤ ${shown(Math.round(value * 1000), "ms")}`);
  const spread = (title, name, label = "") => [
    title, grownBy(a, b, name, label), ms(quantile(a, b, name, 0.5, label)), ms(quantile(a, b, name, 0.95, label)),
  ];
  const grown = (name) => Math.max(0, (a[name] ?? 0) - (b[name] ?? 0));
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
      ["Windows transcribed, this minute", grown("host_stt_engine_answered_total")],
      ["Windows failed, this minute", grown("host_stt_engine_failed_total")],
      ["Interims dropped, this minute", grown("host_stt_speech_interims_shed_total")],
      ["Audio dropped, this minute", shown(grown("host_stt_speech_shed_ms_total") / 1000, "s")],
      ["Events not yet on disk", a.host_stt_record_events_waiting],
      ["Watchers", a.host_stt_watchers_count],
    ],
  };
}

function grownBy(after, before, name, label) {
  const keys = Object.keys(after).filter((key) => key.startsWith(`${name}_count`) && key.includes(label));
  return keys.reduce((sum, key) => sum + after[key] - (before[key] ?? 0), 0);
}

function series(value) {
  const begin = readings[0].at;
  const points = readings.map((one, n) => [(one.at - begin) / 1000, value(one, readings[n - 1])]);
  return points.filter(([, y]) => y !== null && y !== undefined && Number.isFinite(y));
}

function drawn(id, draw) {
  const place = document.getElementById(id);
  place.replaceChildren();
  draw(place);
}

/** What is wrong, or not yet there, in sentences; worst first. */
export function notes(samples, ready) {
  const found = [];
  if (samples.host_stt_engine_is_connected === 0) {
    found.push(["bad", "The speech engine does not answer. Audio is received and stored; the text follows when the engine is back."]);
  } else if (ready.status !== 200) found.push(["bad", `Not ready: ${ready.reason || "no reason was given"}`]);
  for (const [room, text] of Object.entries(ready.troubles ?? {})) found.push(["bad", `${room}: ${text}`]);
  if (!samples.host_stt_registry_channels_fed) found.push(["", "No connection sends audio at the moment."]);
  return found;
}

function draw(ready) {
  const a = readings.at(-1).samples, { times, counts } = figures();
  drawn("notes", (place) => notes(a, ready).forEach(([kind, text]) => make("p", text, place, kind)));
  drawn("times", (place) => table(place, ["", "count", "p50", "p95"], times));
  drawn("now", (place) => table(place, ["", ""], counts));
  const seconds = Object.entries(COVERAGE).map(([state, name]) => [state, (a[name] ?? 0) / 1000]);
  drawn("cover", (place) => coverageBar(place, Object.fromEntries(seconds)));
  const p95 = (name, label) => series((one, before) => {
    const value = before ? quantile(one.samples, before.samples, name, 0.95, label) : null;
    return value === null ? null : value * 1000;
  });
  const gauge = (name) => series((one) => one.samples[name]);
  drawn("plots", (place) => {
    const texts = { finals: p95("host_stt_latency_seconds", FINAL), interims: p95("host_stt_latency_seconds", INTERIM) };
    plot(place, "Latency p95 (upper bound of its bucket)", texts, { unit: "ms" });
    plot(place, "Channels that get audio", { channels: gauge("host_stt_registry_channels_fed") });
    plot(place, "Windows at the engine", { windows: gauge("host_stt_engine_in_flight") });
    plot(place, "Delay of the event loop, p95", { lag: p95("host_stt_loop_lag_seconds", "") }, { unit: "ms" });
  });
}

async function read() {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const [metrics, ready] = await Promise.all(
    ["metrics", "ready"].map((path) => fetch(address(path), { headers, cache: "no-store" })),
  );
  document.getElementById("ask").hidden = metrics.status !== 401;
  if (metrics.status === 401) return token() ? "This token is not valid." : "This server needs a token.";
  if (metrics.status !== 200) return `The metrics could not be loaded: status ${metrics.status}.`;
  const body = await ready.json().catch(() => ({}));
  const samples = samplesOf(await metrics.text());
  if (isNewServer(samples)) readings.length = 0;
  readings.push({ at: performance.now(), samples });
  if (readings.length > KEPT) readings.shift();
  draw({ ...body, status: ready.status });
  const engine = body.engine ?? {};
  return engine.model ? `Model ${engine.model} on ${engine.device}. Updated every two seconds.` : "Updated every two seconds.";
}

/** A counter that went back: the server was started again, and differences to before mean nothing. */
function isNewServer(samples) {
  const last = readings.at(-1)?.samples ?? {};
  return ["host_stt_speech_audio_ms_total", "host_stt_engine_answered_total"].some((name) => samples[name] < last[name]);
}

async function tick() {
  const state = document.getElementById("state"), main = document.querySelector("main");
  if (!document.hidden) {
    let said, stale = false;
    try {
      said = await read();
    } catch {
      stale = true;
      said = readings.length ? "The server does not answer. These are the last figures that came." : "The server does not answer.";
    }
    if (state.textContent !== said) state.textContent = said;
    main.classList.toggle("stale", stale);
  }
  setTimeout(tick, EVERY_MS);
}

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberToken(document.getElementById("token").value.trim());
});
tick();
document.documentElement.dataset.ready = "";
