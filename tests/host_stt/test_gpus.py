"""GPUs that are not here: which are taken, and what is said of one that could not decode."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from host_stt import gpus
from host_stt.config import Device, EngineConfig
from host_stt.contract import Answer, Transcript, Window
from host_stt.engines import loading
from host_stt.engines.fake import FakeEngine, script_of
from host_stt.gpus import CUBLAS, Gpu, GpuUnusable, check_gpus, chosen_gpus, gpu_loads, preload_cublas
from host_stt.models import STARTER_FOLDER, ResolvedModel
from host_stt.service import Backend, EngineService
from host_stt.state import Phase
from tests.support.windows import window

H200 = Gpu("NVIDIA H200", "580.159.04", 9.0, 143_771)
RTX_3090 = Gpu("RTX 3090", "550.54.15", 8.6, 24_000)


def test_gpus_that_can_decode_pass() -> None:
    check_gpus([H200, RTX_3090], has_cublas=True)
    check_gpus([], has_cublas=True)


def test_a_missing_cublas_is_reported_with_both_solutions() -> None:
    with pytest.raises(GpuUnusable) as caught:
        check_gpus([H200], has_cublas=False)
    said = str(caught.value)
    assert CUBLAS in said and "pip install nvidia-cublas-cu12" in said and "engine.device: cpu" in said


def test_an_old_driver_of_one_gpu_is_reported_with_the_name_of_the_gpu() -> None:
    old = Gpu("NVIDIA H100", "550.54.15", 9.0, 80_000)
    with pytest.raises(GpuUnusable, match=r"NVIDIA H100 with driver 550\.54\.15.*570"):
        check_gpus([RTX_3090, old], has_cublas=True)


def test_an_unknown_driver_is_checked_by_the_test_decode() -> None:
    check_gpus([Gpu("NVIDIA H100", "[N/A]", 9.0, 80_000)], has_cublas=True)


@pytest.mark.parametrize(
    ("asked", "count", "chosen"),
    [((), 1, (0,)), ((), 4, (0, 1, 2, 3)), ((2, 0), 4, (2, 0)), ((1, 1), 2, (1,))],
)
def test_all_gpus_are_used_unless_some_are_configured(
    asked: tuple[int, ...], count: int, chosen: tuple[int, ...]
) -> None:
    assert chosen_gpus(asked, count) == chosen


@pytest.mark.parametrize(("count", "there"), [(0, "none"), (1, "only 0"), (2, "0 to 1")])
def test_a_configured_gpu_that_does_not_exist_is_refused(count: int, there: str) -> None:
    with pytest.raises(GpuUnusable, match=f"GPU 7, and CTranslate2 sees {there}"):
        chosen_gpus([7], count)


def test_the_cpu_is_one_replica_also_when_gpus_are_configured() -> None:
    assert loading.devices_of(Device.CPU, [0, 1]) == (0,)


def test_the_search_for_cublas_says_whether_it_can_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def missing(name: str, mode: int = 0) -> ctypes.CDLL:
        asked.append(name)
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(gpus, "_cublas_folders", list)
    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert preload_cublas() is False and asked == [CUBLAS]
    monkeypatch.setattr(ctypes, "CDLL", lambda name, mode=0: None)
    assert preload_cublas() is True


def test_loading_onto_a_gpu_without_cublas_says_so_before_the_model_is_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "preload_cublas", lambda: False)
    monkeypatch.setattr(loading, "seen_gpus", lambda: (H200,))
    with pytest.raises(GpuUnusable, match=CUBLAS):
        loading.load(STARTER_FOLDER, Device.CUDA, "auto", 0)


@pytest.mark.parametrize(
    ("script", "loads"),
    [("printf '43\\n7\\n'", (43, 7)), ("echo '[N/A]'", ()), ("echo 5; exit 9", ())],
)
def test_the_loads_are_in_ready_where_nvidia_smi_reports_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, loads: tuple[int, ...]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\ntest "$1" = --query-gpu=utilization.gpu || exit 1\n{script}\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpu_loads() == loads
    model = ResolvedModel(STARTER_FOLDER, "fake", "test")
    backend = Backend(
        lambda config, on_progress, on_measuring: model,
        lambda config, model: FakeEngine(),
        lambda config: (0,),
    )
    service = EngineService(EngineConfig(device=Device.CUDA), backend)
    service.start()
    try:
        _until_ready(service)
        if loads:
            _until(lambda: service.gpu_loads == loads)
        assert service.gpu_loads == loads
    finally:
        service.stop()


# --- one replica for each ------------------------------------------------------------------------------


class Meeting(FakeEngine):
    """A replica whose every decode, after the test clip, waits until the other replica decodes as well."""

    def __init__(self, both: threading.Barrier) -> None:
        super().__init__(script_of("one two"))
        self._both = both
        self.read: list[str] = []

    def decode(self, windows: Sequence[Window]) -> list[Answer]:
        if windows[0].channel != "warm-up":
            self.read += [w.id for w in windows]
            self._both.wait(timeout=20)
        return super().decode(windows)


def test_two_gpus_decode_at_the_same_time() -> None:
    both = threading.Barrier(2)
    loaded: dict[int, Meeting] = {}
    model = ResolvedModel(STARTER_FOLDER, "fake", "test")

    def load(config: EngineConfig, model: ResolvedModel) -> Meeting:
        (number,) = config.gpus
        loaded[number] = Meeting(both)
        return loaded[number]

    backend = Backend(lambda config, on_progress, on_measuring: model, load, lambda config: (0, 3))
    service = EngineService(EngineConfig(batch_max=1, stop_grace_s=5), backend)
    service.start()
    try:
        _until_ready(service)
        answers: list[Answer] = []
        done = threading.Event()

        def deliver(answer: Answer) -> None:
            answers.append(answer)
            if len(answers) == 2:
                done.set()

        for name in ("a", "b"):
            service.submit(window(name), "test", deliver)
        assert done.wait(30), "each waited for the other in vain: they decode one after the other"
        assert sorted(answer.id for answer in answers) == ["a", "b"]
        assert all(isinstance(answer, Transcript) for answer in answers)
        assert sorted(loaded) == [0, 3] and all(len(engine.read) == 1 for engine in loaded.values())
        statistics = service.statistics()
        assert statistics is not None and statistics.replicas == 2
        assert service.state.now.body()["replicas"] == 2
    finally:
        service.stop()


def test_a_gpu_that_cannot_be_used_is_the_reason_in_ready() -> None:
    model = ResolvedModel(STARTER_FOLDER, "fake", "test")

    def refuse(config: EngineConfig) -> tuple[int, ...]:
        return chosen_gpus((5,), 1)

    backend = Backend(
        lambda config, on_progress, on_measuring: model, lambda config, model: FakeEngine(), refuse
    )
    service = EngineService(EngineConfig(), backend)
    service.start()
    try:
        _until(lambda: service.state.now.phase is Phase.FAILED)
        assert "engine.gpus names GPU 5" in service.state.now.message
    finally:
        service.stop()


def _until_ready(service: EngineService) -> None:
    _until(lambda: service.state.now.is_ready)


def _until(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError("never")
