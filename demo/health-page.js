/* The health page: /metrics and /ready of this server every two seconds, as a table and as plots.
 *
 * Owns the reading of Prometheus' text and the figures of the last minute; drawing is plots.js, which the load test's
 * report draws with as well. A page in the background asks nothing. */

import { address, rememberToken, token } from "./api.js";
import { coverageBar, plot, table } from "./plots.js";

const EVERY_MS = 2000, MINUTE = 30, KEPT = 900; // readings: a minute, half an hour
const COVERAGE = {
  transcribed: "host_stt_coverage_transcribed_ms",
  silence: "host_stt_coverage_silence_ms",
  shed: "host_stt_coverage_shed_ms",
  lost: "host_stt_coverage_lost_ms",
  failed: "host_stt_coverage_failed_ms",
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

function figures() {
  const last = readings.at(-1), first = readings.at(-1 - MINUTE) ?? readings[0];
  const a = last.samples, b = first.samples;
  const ms = (value) => (value === null ? null : Math.round(value * 1000));
  const of = (name, share, label) => ms(quantile(a, b, name, share, label));
  const grown = (name) => (a[name] ?? 0) - (b[name] ?? 0);
  return [
    ["end of speech to final text, p50 / p95, ms", of("host_stt_latency_seconds", 0.5, FINAL), of("host_stt_latency_seconds", 0.95, FINAL)],
    ["age of interims, p50 / p95, ms", of("host_stt_latency_seconds", 0.5, INTERIM), of("host_stt_latency_seconds", 0.95, INTERIM)],
    ["event loop late by, p50 / p95, ms", of("host_stt_loop_lag_seconds", 0.5), of("host_stt_loop_lag_seconds", 0.95)],
    ["channels fed / connections", a.host_stt_registry_channels_fed, a.host_stt_registry_connections],
    ["windows at the engine / waiting", a.host_stt_engine_in_flight, a.host_stt_engine_waiting],
    ["windows read / failed, this minute", grown("host_stt_engine_answered_total"), grown("host_stt_engine_failed_total")],
    ["interims shed / seconds shed, this minute", grown("host_stt_speech_interims_shed_total"), grown("host_stt_speech_shed_ms_total") / 1000],
    ["events not yet on disk / watchers", a.host_stt_record_events_waiting, a.host_stt_watchers_count],
  ];
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

function draw() {
  drawn("now", (place) => table(place, ["", "", ""], figures()));
  const a = readings.at(-1).samples;
  const seconds = Object.entries(COVERAGE).map(([state, name]) => [state, (a[name] ?? 0) / 1000]);
  drawn("cover", (place) => coverageBar(place, Object.fromEntries(seconds)));
  const p95 = (name, label) => series((one, before) => {
    const value = before ? quantile(one.samples, before.samples, name, 0.95, label) : null;
    return value === null ? null : value * 1000;
  });
  drawn("plots", (place) => {
    const texts = { finals: p95("host_stt_latency_seconds", FINAL), interims: p95("host_stt_latency_seconds", INTERIM) };
    plot(place, "Latency p95, ms (upper bound of its bucket)", texts);
    plot(place, "Channels fed", { channels: series((one) => one.samples.host_stt_registry_channels_fed) });
    plot(place, "Windows at the engine", { windows: series((one) => one.samples.host_stt_engine_in_flight) });
    plot(place, "Event loop late by, p95, ms", { lag: p95("host_stt_loop_lag_seconds", "") });
  });
}

async function read() {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const [metrics, ready] = await Promise.all(
    ["metrics", "ready"].map((path) => fetch(address(path), { headers, cache: "no-store" })),
  );
  document.getElementById("ask").hidden = metrics.status !== 401;
  if (metrics.status === 401) return "This server wants a token.";
  const body = await ready.json();
  readings.push({ at: performance.now(), samples: samplesOf(await metrics.text()) });
  if (readings.length > KEPT) readings.shift();
  draw();
  const said = ready.status === 200 ? "Ready" : "Not ready";
  const engine = body.engine ?? {};
  return `${said}: model ${engine.model ?? "–"} on ${engine.device ?? "–"}. ${body.reason ?? ""}`;
}

async function tick() {
  const state = document.getElementById("state");
  if (!document.hidden) {
    try {
      state.textContent = await read();
    } catch {
      state.textContent = "The server does not answer.";
    }
  }
  setTimeout(tick, EVERY_MS);
}

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberToken(document.getElementById("token").value.trim());
});
tick();
