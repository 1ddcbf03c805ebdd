"""The engine as one service: load and warm up a model in a thread, then pass windows to the pool.

Starts and stops the pool and watches it; it handles no HTTP. A decode that hangs, or a GPU fault, ends the
process, because a thread inside CTranslate2 cannot be stopped and only a new process helps. The supervisor of
the process starts it again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from host_stt.config import Device, EngineConfig
from host_stt.contract import Priority, Window, WindowError
from host_stt.download import OnProgress
from host_stt.engines.base import Engine
from host_stt.engines.configured import load_whisper
from host_stt.engines.loading import CALLS_AT_ONCE, devices_of, resolve_device
from host_stt.engines.whisper import WhisperEngine
from host_stt.errors import ModelError
from host_stt.files.voice import WindowDetector
from host_stt.gpus import gpu_loads
from host_stt.measuring import OnMeasuring
from host_stt.memory import keep_freed_memory
from host_stt.metrics import EngineMetrics
from host_stt.models import ResolvedModel, warm_up
from host_stt.planner import PlannerConfig
from host_stt.pool import Deliver, Pool, PoolStatistics
from host_stt.resolving import resolve_model
from host_stt.second_decode import SecondDecoder
from host_stt.state import EngineState, ModelFacts, Phase
from host_stt.terms_use import TermsUse
from host_stt_common.plain import plain_error

logger = logging.getLogger(__name__)

LIVE_S = 3.0
"""Windows of a live channel with speech come more often than this."""
EXIT_FATAL = 70
GPU_LOAD_EVERY_S = 5.0
"""EX_SOFTWARE: the supervisor must start a new process."""


@dataclass(frozen=True, slots=True)
class Backend:
    """The functions that find and load models. Tests replace them.

    load: called once per replica, with one GPU in `gpus`; devices: the GPUs to use, (0,) for the CPU.
    """

    resolve: Callable[[EngineConfig, OnProgress, OnMeasuring], ResolvedModel]
    load: Callable[[EngineConfig, ResolvedModel], Engine]
    devices: Callable[[EngineConfig], tuple[int, ...]] = lambda config: (0,)


class EngineService:
    """Call `start`, then `submit` windows; `stop` ends it. on_fatal: called when only a new process
    helps.
    """

    def __init__(
        self,
        config: EngineConfig,
        backend: Backend | None = None,
        on_fatal: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        self.state = EngineState()
        self.metrics = EngineMetrics()
        self._backend = backend or REAL
        self._on_fatal = on_fatal or end_process
        self._pool: Pool | None = None
        self._second_decoder: SecondDecoder | None = None
        self._engine: Engine | None = None  # one of the replicas, which are all equal
        self._live_at_s = float("-inf")  # when the last window of a live channel came
        self._pool_lock = threading.Lock()
        self._stopped = threading.Event()
        self.gpu_loads: tuple[int, ...] = ()
        """Of each GPU, in percent; empty without a GPU."""
        self._threads = [
            threading.Thread(target=self._load, name="load-model", daemon=True),
            threading.Thread(target=self._watch, name="watch-engine", daemon=True),
        ]

    def start(self) -> None:
        """Call it before the process has other threads: glibc's settings apply to threads that start
        later.
        """
        if resolve_device(self.config.device) is Device.CPU:
            keep_freed_memory()
        else:
            self._threads.append(threading.Thread(target=self._watch_gpus, name="watch-gpus", daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, window: Window, source: str, deliver: Deliver) -> None:
        """Decode a window; `deliver` is called once, from any thread."""
        if window.priority is not Priority.BACKGROUND:
            self._live_at_s = time.monotonic()
        second_decoder = self._second_decoder
        if second_decoder is None:
            deliver(self._not_ready(window))
        else:
            second_decoder.submit(window, source, deliver)

    @property
    def has_live_windows(self) -> bool:
        """Whether a window of a live channel came a moment ago: somebody speaks."""
        return time.monotonic() - self._live_at_s < LIVE_S

    def drop_source(self, source: str) -> None:
        if pool := self._pool:
            pool.drop_source(source)

    def statistics(self) -> PoolStatistics | None:
        pool = self._pool
        return pool.statistics() if pool else None

    def prompt_of(self, terms: Sequence[str]) -> dict[str, Any] | None:
        """How the model uses these terms, and which of them fit its prompt. None: no model is ready."""
        engine = self._engine
        if engine is None:
            return None
        if not isinstance(engine, WhisperEngine):
            return {"use": TermsUse.OFF, "tokens": 0, "fitting": []}
        return {
            "use": engine.terms_use.value,
            "tokens": self.config.terms_tokens,
            "fitting": engine.fitting_terms(terms),
        }

    def stop(self) -> bool:
        """Finish waiting windows within the grace time; blocking and idempotent. True if all got results."""
        self.state.stopping()
        self.metrics.ready(False, {})
        self._stopped.set()
        with self._pool_lock:
            pool, self._pool, self._second_decoder = self._pool, None, None
            self._engine = None
        return pool.stop(self.config.stop_grace_s) if pool else True

    def _load(self) -> None:
        try:
            model = self._backend.resolve(self.config, self.state.downloading, self.state.measuring)
            self.state.loading(_facts(model, [], self.config.channels_expected))
            engines = self._load_replicas(model)
            facts = _facts(model, engines, self.config.channels_expected)
        except ModelError as error:
            self._fail(str(error))
        except Exception as error:  # a native library may raise anything: report it, and keep /ready working
            logger.exception("the model could not be loaded")
            self._fail(f"the model {self.config.model} could not be loaded: {_why(error)}")
        else:
            self._serve(engines, facts)

    def _load_replicas(self, model: ResolvedModel) -> list[Engine]:
        """One engine per device; each has decoded the test clip."""
        engines = []
        for number in self._backend.devices(self.config):
            engine = self._backend.load(self.config.model_copy(update={"gpus": (number,)}), model)
            engines.append(engine)
            warm_up(engine, must_hear=model.is_starter or _device_of(engine) is Device.CUDA)
        return engines

    def _serve(self, engines: list[Engine], facts: ModelFacts) -> None:
        planner = PlannerConfig(
            batch_max=self.config.batch_max,
            interim_batch_ms=self.config.interim_batch_ms,
            queue_finals=self.config.queue_finals,
            queue_interims=self.config.queue_interims,
        )
        with self._pool_lock:
            if self._stopped.is_set():
                for engine in engines:
                    engine.close()
                return
            self._pool = Pool(
                engines,
                planner,
                workers=facts.calls_at_once,
                observer=self.metrics,
                on_fatal=self._on_fatal,
            )
            self._engine = engines[0]
            self._second_decoder = SecondDecoder(self._pool.submit, WindowDetector(), self.metrics)
        self.state.ready(facts)
        self.metrics.ready(
            True,
            {
                "model": facts.name,
                "device": facts.device,
                "compute_type": facts.compute_type,
                "is_starter": str(facts.is_starter).lower(),
            },
        )
        logger.info(
            "ready: model %s on %d %s (%s); %s",
            facts.name,
            facts.replicas,
            facts.device,
            facts.compute_type,
            facts.reason,
        )

    def _fail(self, sentence: str) -> None:
        logger.error("the engine cannot serve: %s", sentence)
        self.state.failed(sentence)

    def _watch(self) -> None:
        """End the process if a decode takes longer than any decode should."""
        while not self._stopped.wait(min(1.0, self.config.hang_s / 4)):
            statistics = self.statistics()
            if statistics and statistics.hang_clock_s > self.config.hang_s:
                self._on_fatal(f"a decode has taken more than {self.config.hang_s:g} s")
                return

    def _watch_gpus(self) -> None:
        while not self._stopped.is_set():
            self.gpu_loads = gpu_loads()
            self._stopped.wait(GPU_LOAD_EVERY_S)

    def _not_ready(self, window: Window) -> WindowError:
        now = self.state.now
        code = "engine_stopping" if now.phase is Phase.STOPPING else "engine_starting"
        return WindowError(window.id, code, f"not ready: {now.message}", is_retryable=True)


def end_process(sentence: str) -> None:
    """End the process at once, without waiting for threads that do not end."""
    logger.critical("ending the engine process: %s", sentence)
    logging.shutdown()
    os._exit(EXIT_FATAL)


REAL = Backend(resolve_model, load_whisper, lambda config: devices_of(config.device, config.gpus))
"""The functions for real use, outside tests."""


def _device_of(engine: Engine) -> Device:
    return engine.device if isinstance(engine, WhisperEngine) else Device.CPU


def _facts(model: ResolvedModel, engines: list[Engine], channels_expected: int) -> ModelFacts:
    """engines: none while the model loads."""
    facts = ModelFacts(
        name=model.name,
        reason=model.reason,
        is_starter=model.is_starter,
        available=model.available,
        channels_expected=channels_expected,
    )
    if not engines:
        return facts
    engine = engines[0]
    return replace(
        facts,
        device=_device_of(engine).value,
        compute_type=engine.compute_type if isinstance(engine, WhisperEngine) else "none",
        languages=engine.languages,
        can_translate=engine.can_translate,
        replicas=len(engines),
        calls_at_once=CALLS_AT_ONCE if isinstance(engine, WhisperEngine) else 1,
    )


def _why(error: Exception) -> str:
    """The native library raises RuntimeError with sentences; other errors are faults of this code."""
    is_sentence = isinstance(error, RuntimeError) and " " in str(error)
    return str(error) if is_sentence else plain_error(error, "the log has the details")
