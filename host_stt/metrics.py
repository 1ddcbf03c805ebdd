"""What 8081 counts, in Prometheus form, in a registry of its own (docs/reference/metrics.md)."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from host_stt.contract import Answer, EndReason, Priority, Transcript
from host_stt.pool import PoolStatistics

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 15, 30, 60)


class EngineMetrics:
    """Counts; implements the pool's observer. Safe from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # process_resident_memory_bytes and its like
        self._windows = Counter(
            "host_stt_engine_windows",
            "Windows answered, by priority and outcome (text, no_speech, or the error's code)",
            ["priority", "outcome"],
            registry=self.registry,
        )
        self._refused_frames = Counter(
            "host_stt_engine_bad_frames", "Frames that were no window", ["code"], registry=self.registry
        )
        self._wait = Histogram(
            "host_stt_engine_queue_wait_seconds",
            "From arrival to the start of decoding",
            ["priority"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._decode = Histogram(
            "host_stt_engine_decode_seconds",
            "One batch",
            ["priority"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "host_stt_engine_batch_windows",
            "Windows per batch",
            ["priority"],
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self._busy = Counter(
            "host_stt_engine_busy_seconds",
            "Time spent decoding, all replicas; its rate over the replicas is the busy share",
            registry=self.registry,
        )
        self._waiting = Gauge(
            "host_stt_engine_waiting_windows", "Windows waiting now", ["priority"], registry=self.registry
        )
        self._load = Gauge(
            "host_stt_engine_load",
            "Overload ladder: 0 normal, 1 slower interims, 2 shorter interims, 3 finals only",
            registry=self.registry,
        )
        self._shed = Gauge(
            "host_stt_engine_shed_windows",
            "Windows shed since the start, by reason",
            ["reason"],
            registry=self.registry,
        )
        self._holes = Counter(
            "host_stt_engine_holes",
            "Stretches of speech that a first reading left without words, by outcome (filled, silent, "
            "no_words, not_read_again)",
            ["outcome"],
            registry=self.registry,
        )
        self._hole_seconds = Counter(
            "host_stt_engine_hole_seconds",
            "Speech in those stretches, by outcome",
            ["outcome"],
            registry=self.registry,
        )
        self._oldest = Gauge(
            "host_stt_engine_oldest_wait_seconds",
            "Age of the oldest unanswered window",
            registry=self.registry,
        )
        self._connections = Gauge(
            "host_stt_engine_connections", "Open sockets of /v1/windows", registry=self.registry
        )
        self._ready = Gauge("host_stt_engine_ready", "1 after a real decode worked", registry=self.registry)
        self._model = Info("host_stt_engine_model", "The model in use", registry=self.registry)

    def answered(self, priority: Priority, answer: Answer) -> None:
        self._windows.labels(priority.value, _outcome(answer)).inc()

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
        self._refused_frames.labels(code).inc()

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
            self._oldest.set(statistics.oldest_wait_s)
        return generate_latest(self.registry)


def _outcome(answer: Answer) -> str:
    if not isinstance(answer, Transcript):
        return answer.code
    return "no_speech" if answer.end_reason is EndReason.NO_SPEECH else "text"
