/* The Health page: shows /metrics and /ready of this server every two seconds, as tables and plots.
 *
 * Owns the parser of the Prometheus text and the figures of the last minute; plots.js draws. A page in the background
 * sends no requests.
 */

import { address, rememberToken, token } from "./api.js";
import { has, language, t } from "./i18n.js";
import { ChannelList } from "./health/channel-list.js";
import { ModelList } from "./model-list.js";
import { beginLanguage } from "./page.js";
import { WORDS, coverageBar, make, plot, shown, table } from "./plots.js";

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
let ready = null; // the last response of /ready, with its status
let state = () => t("health.loading"); // the sentence at the top of the page, in the present language
const channels = new ChannelList(document.getElementById("channels"));
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
  return seconds === Infinity ? t("health.aboveAll") : `≤ ${shown(Math.round(seconds * 1000), "ms")}`;
};

/** A number with its share of the whole, such as "3 (1.5 %)". */
function withShare(part, whole, unit = "") {
  return whole > 0 ? `${shown(part, unit)} (${shown((100 * part) / whole, "%")})` : shown(part, unit);
}

/** Of the last minute. times: rows of name, count, p50, p95; counts: rows of name, value. */
function figures() {
  const a = measurements.at(-1).samples;
  const b = (measurements.at(-1 - MINUTE) ?? measurements[0]).samples;
  const spread = (title, name, label = "", before = b) => [
    title,
    countOf(a, before, name, label),
    msText(quantile(a, before, name, 0.5, label)),
    msText(quantile(a, before, name, 0.95, label)),
  ];
  const increase = (name) => Math.max(0, (a[name] ?? 0) - (b[name] ?? 0));
  const queue = ready.engine?.queue ?? {};
  const decodingS = increase("decoding_s");
  const speechMs = increase(COVERAGE.transcribed);
  const shedInterims = increase("host_stt_speech_interims_shed_total");
  const shedMs = increase("host_stt_speech_shed_ms_total");
  return {
    times: [
      spread(t("health.finals"), "host_stt_latency_seconds", FINAL),
      spread(t("health.interims"), "host_stt_latency_seconds", INTERIM),
      spread(t("health.alerts"), "host_stt_alert_latency_seconds", "", {}), // alerts are rare
      [t("health.queueWaits"), queue.waits, shown(queue.p50_ms, "ms"), shown(queue.p95_ms, "ms")],
      spread(t("health.lag"), "host_stt_loop_lag_seconds"),
    ],
    counts: [
      [t("health.channels"), a.host_stt_registry_channels_fed],
      [t("health.connections"), a.host_stt_registry_connections],
      [t("health.inFlight"), a.host_stt_engine_in_flight],
      [t("health.waiting"), a.host_stt_engine_waiting],
      [t("health.queueWait"), shown(queue.worst_ms, "ms")],
      [t("health.rtf"), speechMs && decodingS ? (1000 * decodingS) / speechMs : null],
      ...(ready.engine?.gpu_loads ?? []).map((load, n) => [t("health.gpu", { n }), shown(load, "%")]),
      [t("health.transcribed"), increase("host_stt_engine_answered_total")],
      [t("health.failed"), increase("host_stt_engine_failed_total")],
      [t("health.shedInterims"), withShare(shedInterims, shedInterims + increase("decoded_interims"))],
      [t("health.shedAudio"), withShare(shedMs / 1000, (speechMs + shedMs) / 1000, "s")],
      [t("health.unsaved"), a.host_stt_record_events_waiting],
      [t("health.watchers"), a.host_stt_watchers_count],
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

/** Sentences about problems, the worst first: [class, text, the server's own sentence]. */
function notes(samples) {
  const found = [];
  if (samples.host_stt_engine_is_connected === 0) {
    found.push(["bad", t("health.noEngine")]);
  } else if (ready.status !== 200) {
    const key = `health.reason.${ready.error?.code}`;
    const reason = has(key) ? t(key) : ready.reason ? "" : t("health.noReason");
    found.push(["bad", t("health.notReady", { reason }), has(key) ? "" : ready.reason]);
  }
  for (const [part, text] of Object.entries(ready.troubles ?? {})) {
    const key = `health.trouble.${part}`;
    found.push(["bad", `${has(key) ? t(key) : part} ${t("banner.reason")}`, text]);
  }
  if (!samples.host_stt_registry_channels_fed) found.push(["", t("health.noAudioNow")]);
  return found;
}

/** detail: a sentence of the server, in English. */
function drawNote(place, kind, text, detail = "") {
  const row = make("p", text, place, kind);
  if (detail) row.append(" "), (make("span", detail, row).lang = "en");
}

function draw() {
  const { samples } = measurements.at(-1);
  const { times, counts } = figures();
  redraw("notes", (place) => notes(samples).forEach((note) => drawNote(place, ...note)));
  redraw("times", (place) => table(place, ["", t("health.count"), "p50", "p95"], times));
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
    const latencies = { [t("health.plot.finals")]: finals, [t("health.plot.interims")]: interims };
    plot(place, t("health.plot.latency"), latencies, { unit: "ms" });
    plot(place, t("health.channels"), { [t("health.plot.channels")]: gauge("host_stt_registry_channels_fed") });
    plot(place, t("health.inFlight"), { [t("health.plot.windows")]: gauge("host_stt_engine_in_flight") });
    const delays = { [t("health.plot.delay")]: p95("host_stt_loop_lag_seconds", "") };
    plot(place, t("health.plot.lag"), delays, { unit: "ms" });
  });
}

/** Load both, draw them, and return a function that gives the sentence for the top of the page. */
async function update() {
  const headers = token() ? { Authorization: `Bearer ${token()}` } : {};
  const [metrics, readiness] = await Promise.all(
    ["metrics", "ready"].map((path) => fetch(address(path), { headers, cache: "no-store" })),
  );
  document.getElementById("token-form").hidden = metrics.status !== 401;
  if (metrics.status === 401) return () => t(token() ? "health.badToken" : "health.needsToken");
  if (metrics.status !== 200) return () => t("health.noMetrics", { status: metrics.status });
  const body = await readiness.json().catch(() => ({}));
  const { decoding_s, decoded_interims } = body.engine?.queue ?? {}; // sums, like the counters of /metrics
  const samples = { ...samplesOf(await metrics.text()), decoding_s, decoded_interims };
  if (isRestarted(samples)) measurements.length = 0;
  measurements.push({ at: performance.now(), samples });
  if (measurements.length > MEASUREMENTS_MAX) measurements.shift();
  ready = { ...body, status: readiness.status };
  draw();
  const { model, device } = body.engine ?? {};
  return () => `${model ? `${t("health.model", { model, device })} ` : ""}${t("health.state")}`;
}

/** A counter became smaller: the server was restarted, so the earlier measurements cannot be compared. */
function isRestarted(samples) {
  const last = measurements.at(-1)?.samples ?? {};
  const counters = ["host_stt_speech_audio_ms_total", "host_stt_engine_answered_total"];
  return counters.some((name) => samples[name] < last[name]);
}

function showState() {
  const place = document.getElementById("state");
  const text = state();
  if (place.textContent !== text) place.textContent = text; // screen readers read every change
}

/** Write what is on the page again, in the language that was chosen. */
function translateFigures() {
  const states = Object.keys(COVERAGE).map((name) => [name, t(`health.cover.${name}`)]);
  Object.assign(WORDS, {
    noData: t("health.plot.none"), noAudio: t("health.cover.none"), states: Object.fromEntries(states),
  });
  showState();
  if (ready) draw();
}

async function tick() {
  if (!document.hidden) {
    let isStale = false;
    try {
      state = await update();
      await channels.update();
    } catch (error) {
      console.warn("The update failed:", error); // a fault of this page must not look like a silent server
      isStale = true;
      const hasFigures = measurements.length > 0;
      state = () => (hasFigures ? `${t("health.silent")} ${t("health.stale")}` : t("health.silent"));
    }
    showState();
    document.querySelector("main").classList.toggle("stale", isStale);
  }
  setTimeout(tick, EVERY_MS);
}

document.getElementById("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberToken(document.getElementById("token").value.trim());
});
beginLanguage();
language.addEventListener("language", translateFigures);
translateFigures();
tick();
document.documentElement.dataset.ready = "";
