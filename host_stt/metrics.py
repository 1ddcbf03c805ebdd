"""The metrics of 8081: one declaration for each, and the counting (docs/reference/metrics.md)."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from host_stt.contract import Answer, EndReason, Priority, Transcript
from host_stt.pool import PoolStatistics
from host_stt_common.metrics import (
    counter,
    gauge,
    histogram,
    info,
    make_counter,
    make_gauge,
    make_histogram,
    make_info,
)

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 15, 30, 60)

WINDOWS = counter(
    "host_stt_engine_windows",
    "Windows with a result, by priority and outcome (text, no_speech, or the code of the error)",
    *("priority", "outcome"),
)
LESS_NOISE = counter(
    "host_stt_engine_windows_with_less_noise",
    "Windows whose text is that of the audio with less noise, by priority",
    "priority",
)
BAD_FRAMES = counter("host_stt_engine_bad_frames", "Messages that were no valid window", "code")
WAIT = histogram(
    "host_stt_engine_queue_wait_seconds",
    "From the arrival of a window to the start of its decoding",
    "priority",
    buckets=_SECONDS,
)
DECODE = histogram("host_stt_engine_decode_seconds", "Decoding time of a batch", "priority", buckets=_SECONDS)
BATCH = histogram(
    "host_stt_engine_batch_windows", "Windows in a batch", "priority", buckets=(1, 2, 4, 8, 16, 32, 64)
)
BUSY = counter(
    "host_stt_engine_busy_seconds",
    "Decoding time of all calls; its rate divided by replicas times calls_at_once (/ready) is the busy share",
)
WAITING = gauge("host_stt_engine_waiting_windows", "Windows waiting now", "priority")
LOAD = gauge(
    "host_stt_engine_load", "Load level: 0 normal, 1 slower interims, 2 shorter interims, 3 only finals"
)
SHED = gauge("host_stt_engine_shed_windows", "Windows dropped since the start, by reason", "reason")
HOLES = counter(
    "host_stt_engine_holes",
    "Holes: speech without words in the first result, by outcome of the second decode (filled, silent, "
    "no_words, not_read_again)",
    "outcome",
)
HOLE_SECONDS = counter("host_stt_engine_hole_seconds", "Seconds of speech in holes, by outcome", "outcome")
TERM_FINALS = gauge(
    "host_stt_engine_term_finals",
    "Finals with glossary terms since the model was loaded: checked by a second decode, or sure without it",
    "outcome",
)
OLDEST = gauge("host_stt_engine_oldest_wait_seconds", "Age of the oldest window without a result")
CONNECTIONS = gauge("host_stt_engine_connections", "Open WebSockets of /v1/windows")
READY = gauge("host_stt_engine_ready", "1 after the model has decoded a test clip")
MODEL = info("host_stt_engine_model", "The model in use", *("model", "is_starter", "device", "compute_type"))

METRICS = (
    *(WINDOWS, LESS_NOISE, BAD_FRAMES, WAIT, DECODE, BATCH, BUSY, WAITING, LOAD, SHED),
    *(HOLES, HOLE_SECONDS, OLDEST, TERM_FINALS, CONNECTIONS, READY, MODEL),
)


class EngineMetrics:
    """The metrics of the process; the pool's observer. Safe from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_resident_memory_bytes and others
        self._windows = make_counter(WINDOWS, self.registry)
        self._less_noise = make_counter(LESS_NOISE, self.registry)
        self._bad_frames = make_counter(BAD_FRAMES, self.registry)
        self._wait = make_histogram(WAIT, self.registry)
        self._decode = make_histogram(DECODE, self.registry)
        self._batch = make_histogram(BATCH, self.registry)
        self._busy = make_counter(BUSY, self.registry)
        self._waiting = make_gauge(WAITING, self.registry)
        self._load = make_gauge(LOAD, self.registry)
        self._shed = make_gauge(SHED, self.registry)
        self._holes = make_counter(HOLES, self.registry)
        self._hole_seconds = make_counter(HOLE_SECONDS, self.registry)
        self._term_finals = make_gauge(TERM_FINALS, self.registry)
        self._oldest = make_gauge(OLDEST, self.registry)
        self._connections = make_gauge(CONNECTIONS, self.registry)
        self._ready = make_gauge(READY, self.registry)
        self._model = make_info(MODEL, self.registry)

    def answered(self, priority: Priority, answer: Answer) -> None:
        self._windows.labels(priority.value, _outcome(answer)).inc()
        if isinstance(answer, Transcript) and answer.has_less_noise:
            self._less_noise.labels(priority.value).inc()

    def decoded(self, priority: Priority, windows: int, waited_s: Sequence[float], took_s: float) -> None:
        for waited in waited_s:
            self._wait.labels(priority.value).observe(max(0.0, waited))
        self._decode.labels(priority.value).observe(took_s)
        self._batch.labels(priority.value).observe(windows)
        self._busy.inc(max(0.0, took_s))

    def hole(self, outcome: str, speech_s: float) -> None:
        self._holes.labels(outcome).inc()
        self._hole_seconds.labels(outcome).inc(speech_s)

    def bad_frame(self, code: str) -> None:
        self._bad_frames.labels(code).inc()

    def connected(self, change: int) -> None:
        self._connections.inc(change)

    def ready(self, is_ready: bool, model: dict[str, str]) -> None:
        self._ready.set(1 if is_ready else 0)
        if model:
            self._model.info(model)

    def exposition(self, statistics: PoolStatistics | None) -> bytes:
        """The text of /metrics."""
        if statistics:
            self._waiting.labels(Priority.FINAL.value).set(statistics.queue.finals)
            self._waiting.labels(Priority.INTERIM.value).set(statistics.queue.interims)
            self._waiting.labels(Priority.BACKGROUND.value).set(statistics.queue.background)
            self._load.set(statistics.queue.load)
            for reason, count in statistics.queue.shed.items():
                self._shed.labels(reason.value).set(count)
            for final, count in statistics.term_finals.items():
                self._term_finals.labels(final.value).set(count)
            self._oldest.set(statistics.oldest_wait_s)
        return generate_latest(self.registry)


def _outcome(answer: Answer) -> str:
    if not isinstance(answer, Transcript):
        return answer.code
    return "no_speech" if answer.end_reason is EndReason.NO_SPEECH else "text"
