"""The state of the engine on the way to serving, as /ready reports it.

The loading thread writes it, the server reads it. Invariant: the state is READY only after a real decode
worked, and it never changes after STOPPING.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from host_stt.download import Progress
from host_stt.model_cost import AvailableModel


class Phase(StrEnum):
    STARTING = "starting"  # looking for the model
    DOWNLOADING = "downloading"
    MEASURING = "measuring"  # what a model costs on this machine
    LOADING = "loading"  # into memory, and warming up
    READY = "ready"
    FAILED = "failed"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts about the model in use, for /ready, /v1/models and the log."""

    name: str
    reason: str
    is_starter: bool
    device: str = ""
    compute_type: str = ""
    languages: tuple[str, ...] = ()
    can_translate: bool = False  # into English
    replicas: int = 1  # loaded copies of the model, one per GPU
    calls_at_once: int = 1  # of each replica; the second one is for finals
    available: tuple[AvailableModel, ...] = ()  # every model on this machine, this one among them
    channels_expected: int = 1  # that the estimates of `available` are for


@dataclass(frozen=True, slots=True)
class Snapshot:
    phase: Phase = Phase.STARTING
    message: str = "looking for the model"
    model: ModelFacts | None = None
    progress: Progress | None = None

    @property
    def is_ready(self) -> bool:
        return self.phase is Phase.READY

    def body(self) -> dict[str, Any]:
        """The JSON of /ready, without the queues."""
        body: dict[str, Any] = {"ready": self.is_ready, "state": self.phase.value, "message": self.message}
        if self.progress and self.phase is Phase.DOWNLOADING:
            body["progress"] = {
                "file": self.progress.file,
                "done_bytes": self.progress.done_bytes,
                "total_bytes": self.progress.total_bytes,
            }
        if self.model:
            body |= {
                "model": self.model.name,
                "model_reason": self.model.reason,
                "is_starter": self.model.is_starter,
                "device": self.model.device,
                "compute_type": self.model.compute_type,
                "languages": list(self.model.languages),
                "can_translate": self.model.can_translate,
                "replicas": self.model.replicas,
                "calls_at_once": self.model.calls_at_once,
                "channels_expected": self.model.channels_expected,
                "models": [one.body(self.model.channels_expected) for one in self.model.available],
            }
        return body


class EngineState:
    """The current snapshot; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Snapshot()

    @property
    def now(self) -> Snapshot:
        with self._lock:
            return self._now

    def downloading(self, progress: Progress) -> None:
        done, total = progress.done_bytes / 1e6, progress.total_bytes / 1e6
        self._set(
            phase=Phase.DOWNLOADING, message=f"downloading {done:.0f} of {total:.0f} MB", progress=progress
        )

    def measuring(self, name: str) -> None:
        self._set(phase=Phase.MEASURING, message=f"measuring how fast {name} is on this machine")

    def loading(self, model: ModelFacts) -> None:
        self._set(phase=Phase.LOADING, message=f"loading {model.name}", model=model)

    def ready(self, model: ModelFacts) -> None:
        self._set(phase=Phase.READY, message=f"{model.name} is ready", model=model)

    def failed(self, sentence: str) -> None:
        self._set(phase=Phase.FAILED, message=sentence)

    def stopping(self) -> None:
        self._set(phase=Phase.STOPPING, message="the engine is stopping")

    def _set(self, **changes: Any) -> None:
        with self._lock:
            if self._now.phase is not Phase.STOPPING:
                self._now = replace(self._now, **changes)
