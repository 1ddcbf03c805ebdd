/* Draws the report R of a load test into its page. A plain script; it runs after plots.js and uses its functions. */

const M = R.measures, S = R.series, load = R.load, body = document.getElementById("body");
const LIMIT_MS = R.limits?.ttfs_p95_ms ?? null;
const percent = (share) => (share === undefined || share === null ? "–" : shown(Number((100 * share).toFixed(1)), "%"));
const ms = (value) => (value === -1 ? "above all buckets" : shown(value === undefined ? null : Math.round(value), "ms"));
const section = (title, parent = body) => {
  const place = make("section", null, parent);
  make("h2", title, place);
  return place;
};

function tile(list, name, value, more) {
  const box = make("div", null, list);
  make("dt", name, box);
  make("small", more, make("dd", value, box));
}

function verdict() {
  const judged = R.verdict ?? { answer: "unmeasured", sentence: "This report has no verdict." };
  const place = document.getElementById("verdict");
  place.classList.add(judged.answer);
  make("strong", { yes: "Yes", no: "No" }[judged.answer] ?? "Not measured", place);
  make("p", judged.sentence.charAt(0).toUpperCase() + judged.sentence.slice(1), place);
  const impairments = [
    load.loss && `${percent(load.loss)} of packets lost`,
    load.jitter_ms && `jitter up to ${load.jitter_ms} ms`,
    load.reconnects && `${load.reconnects} reconnects per channel`,
    load.overlap && `overlap ${load.overlap}`,
    load.tracks > 1 && `${load.tracks} tracks per connection`,
  ].filter(Boolean);
  document.getElementById("about").textContent = [
    `${load.channels} channels over ${load.door} for ${shown(load.seconds, "s")}`,
    `talk ${percent(load.talk)} (requested: ${percent(R.given.talk)})`, ...impairments,
    `model ${R.server.model ?? "–"} on ${R.server.device ?? "–"}`,
    `${R.machine.processor}, ${R.machine.cores} cores, ${R.gpu ?? "no GPU found"}`,
    R.when.replace("T", " ").replace("+00:00", " UTC"),
  ].join(" · ");
}

function tiles() {
  const list = make("dl", null, body, "tiles"), t = M.ttfs_ms, first = M.first_text_ms;
  const total = Object.values(M.coverage_s).reduce((a, b) => a + b, 0) || 1;
  const done = (M.coverage_s.transcribed ?? 0) + (M.coverage_s.silence ?? 0);
  tile(list, "End of speech to final text", ms(t.p95), `p95 of ${shown(t.n)}; p50 ${ms(t.p50)}`);
  tile(list, "Start of speech to first text", ms(first.p95), `p95 of ${shown(first.n)}; p50 ${ms(first.p50)}`);
  tile(list, `${M.accuracy.kind ?? "Error rate"} under load`, percent(M.accuracy.rate), `${shown(M.accuracy.n)} words; without load ${percent(M.alone.rate)}`);
  tile(list, "Transcribed or silence", percent(done / total), `of ${shown(total, "s")} of all channels`);
  tile(list, "Utterances without text", shown(M.missed), `of ${shown(M.utterances)}`);
  if (M.engine_busy !== undefined) tile(list, "Engine busy", percent(M.engine_busy), `${shown(M.rtf)} s for each second of speech`);
}

function times() {
  const timed = {
    "End of speech to final text": M.ttfs_ms, "Start of speech to first text": M.first_text_ms, "Age of an interim": M.interim_age_ms,
    "Error of the segment start": M.start_error_ms, "Error of the segment end": M.end_error_ms, "Wait of finals in the engine's queue *": M.final_wait_ms,
    "Wait of interims in the engine's queue *": M.interim_wait_ms, "Delay of the event loop of 8082 *": M.loop_lag_ms,
  };
  const rows = Object.entries(timed).filter(([, f]) => f?.n).map(([name, f]) => [name, f.n, ms(f.p50), ms(f.p95), ms(f.p99), ms(f.max)]);
  const place = section("Latency");
  table(place, ["", "count", "p50", "p95", "p99", "max"], rows);
  const bias = (f) => `${f?.bias > 0 ? "+" : ""}${shown(f?.bias)} ms`;
  make("p", `* From a histogram: the upper bound of the bucket. Median error of the segment start ${bias(M.start_error_ms)}, of the segment end ${bias(M.end_error_ms)}; a positive error means too late.`, place, "dim");
}

function counts() {
  const two = make("div", null, body, "two");
  table(section("Accuracy", two), ["", ""], [
    [`${M.accuracy.kind ?? "Error rate"} under load`, percent(M.accuracy.rate)], ["The same phrases without load", percent(M.alone.rate)],
    ["Words or characters counted", M.accuracy.n], ["Words of interims that changed later, per word of final text", M.erasure],
    ["Utterances", M.utterances], ["Utterances without text", M.missed],
  ]);
  table(section("What was dropped", two), ["", ""], [
    ["Windows that failed", M.windows_failed], ["Finals refused", M.finals_refused], ["Interims shed", M.interims_shed],
    ["Windows shed by the engine", M.windows_shed], ["Audio shed", shown(M.audio_shed_s, "s")], ["Packets the load test did not send", R.generator.packets_not_sent],
  ]);
}

function overTime() {
  const plots = make("div", null, section("Over time"), "plots"), limit = LIMIT_MS;
  const of = (suffix) => Object.fromEntries(Object.entries(S).filter(([name]) => name.endsWith(` ${suffix}`)).map(([name, v]) => [name.slice(0, -suffix.length - 1), v]));
  plot(plots, "End of speech to final text", { utterances: S.ttfs_ms, "p50 over time": S["ttfs_ms p50"], "p95 over time": S["ttfs_ms p95"] }, { unit: "ms", points: ["utterances"], limit });
  distribution(plots, "Share of utterances with final text within", R.distribution, limit);
  plot(plots, "Start of speech to first text", { "first text": S.first_text_ms }, { unit: "ms", points: ["first text"] });
  plot(plots, "Age of interims", { interims: S.interim_age_ms }, { unit: "ms", points: ["interims"] });
  plot(plots, "CPU, % of one core (machine: % of all cores)", of("cpu_percent"), { unit: "%" });
  plot(plots, "Memory", of("rss_mb"), { unit: "MB" });
  plot(plots, "Delay of the event loop of 8082 (mean)", { lag: S.loop_lag_ms }, { unit: "ms" });
  if (R.sweep) {
    const at = (key) => R.sweep.runs.filter((r) => r.ttfs_ms[key] !== undefined).map((r) => [r.channels, r.ttfs_ms[key]]);
    plot(plots, "Latency of final text by number of channels", { p50: at("p50"), p95: at("p95") }, { unit: "ms", limit, along: "ch" });
  }
}

function sweep() {
  if (!R.sweep) return;
  const place = section(R.sweep.largest ? `Largest number that worked: ${R.sweep.largest} channels` : "No number of channels worked");
  table(place, ["channels", "verdict", "final text p50", "p95", "count", "engine busy", "machine", "shed interims", ""], R.sweep.runs.map((r) => [
    r.channels, r.answer, ms(r.ttfs_ms.p50), ms(r.ttfs_ms.p95), r.ttfs_ms.n, percent(r.engine_busy), shown(r.machine_percent, "%"), r.interims_shed, r.reasons.join("; "),
  ]));
}

function processes() {
  const place = section("Processes"), late = R.generator.late_ms;
  table(place, ["", "CPU, % of a core: mean", "p95", "maximum memory", "threads", "open files"], Object.entries(R.processes).filter(([, p]) => p.rss_mb_max).map(([name, p]) => [
    name, shown(p.cpu_percent_mean, "%"), shown(p.cpu_percent_p95, "%"), shown(p.rss_mb_max, "MB"), p.threads_max, p.fds_max,
  ]));
  make("p", `All cores: ${shown(R.machine.cpu_percent_mean, "%")} in use. GPU: ${M.gpu ? `${shown(M.gpu.load_percent_mean, "%")} busy, ${shown(M.gpu.memory_mb_max, "MB")}` : "none found"}. The load test sent ${shown(R.generator.frames)} packets, with a delay of ${shown(late.p50, "ms")} (p50) and ${shown(late.p95, "ms")} (p95).`, place, "dim");
}

function growth() {
  const place = section("Growth per hour");
  if (R.slopes) {
    table(place, ["", "slope", "± 3 standard errors", "limit", "verdict"], R.slopes.map((s) => [s.name, s.slope, 3 * s.standard_error, s.most, s.verdict]));
  } else if (load.seconds < 300) {
    make("p", "The run was too short to judge slopes: at least five minutes, better an hour with --soak.", place, "dim");
  } else {
    const lines = Object.entries(M.growth).filter(([, g]) => g.slope !== undefined);
    table(place, ["", "slope", "± 3 standard errors", "count"], lines.map(([name, g]) => [name.replace("_per_hour", ""), g.slope, 3 * g.standard_error, g.n]));
  }
}

for (const draw of [verdict, tiles, sweep, times, counts]) draw();
coverageBar(section("Coverage: what happened to every second"), M.coverage_s);
for (const draw of [overTime, processes, growth]) draw();
make("p", "Made by ", body, "dim").append(make("code", R.command));
