"""Examine this machine: would the engine decode here, and what to do if not.

`examine` collects facts, `diagnose` judges them. `diagnose` is pure, so every verdict can be tested without
such a machine. Changes no settings: it shows what the engine would choose.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import ctranslate2

from host_stt.config import Device, EngineConfig
from host_stt.contract import Priority, Transcript, WindowError
from host_stt.engines.loading import (
    resolve_compute_type,
    resolve_device,
    resolve_threads,
)
from host_stt.errors import ModelError
from host_stt.gpus import CUBLAS, CUBLAS_FIX, DRIVER_MIN, Gpu, driver_problem, preload_cublas, seen_gpus
from host_stt.machine import processor
from host_stt.memory import keep_freed_memory
from host_stt.models import ResolvedModel, warm_up_window
from host_stt.service import Backend


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts about a machine, without any judgement."""

    processor: str
    cores: int
    memory_mb: int
    system: str
    gpus: tuple[Gpu, ...]  # shown by the driver
    cuda_devices: int  # usable for CTranslate2
    has_cublas: bool
    is_cache_writable: bool  # of translated GPU code
    keeps_memory: bool  # glibc accepted the setting to keep freed memory
    device: Device
    compute_type: str
    threads: int


@dataclass(frozen=True, slots=True)
class Decode:
    """The result of a real decode of the bundled clip."""

    text: str
    error: str
    took_s: float  # of the second decode; the first one includes the warm-up
    audio_s: float


@dataclass(frozen=True, slots=True)
class Problem:
    what: str
    fix: str
    is_fatal: bool  # the engine would not work


# --- judgement ------------------------------------------------------------------------------------------


def diagnose(machine: Machine, decode: Decode | None, *, must_hear: bool) -> list[Problem]:
    """Problems, the worst first. decode: None if no model could be loaded.

    must_hear: this model knows the clip's words, so an empty text is an error.
    """
    problems = [*_gpu_problems(machine), *_decode_problems(machine, decode, must_hear)]
    if not machine.keeps_memory and machine.device is Device.CPU:
        problems.append(
            Problem(
                "this C library cannot keep freed memory",
                "use a Debian-based image instead of Alpine: encoding is 1.5 to 2.2 times as fast with glibc",
                is_fatal=False,
            )
        )
    return sorted(problems, key=lambda problem: not problem.is_fatal)


def _gpu_problems(machine: Machine) -> list[Problem]:
    problems = []
    if machine.gpus and machine.cuda_devices == 0:
        problems.append(
            Problem(
                f"the driver shows {machine.gpus[0].name}, but CTranslate2 finds no CUDA device",
                "in a container run with --gpus all; else check that libcuda.so.1 is the driver's own",
                is_fatal=machine.device is Device.CUDA,
            )
        )
    if machine.device is not Device.CUDA:
        return problems
    if not machine.has_cublas:
        problems.append(
            Problem(
                f"{CUBLAS} is not found (CUDA 13 brings only libcublas.so.13)",
                CUBLAS_FIX,
                is_fatal=True,
            )
        )
    for gpu in machine.gpus:
        if what := driver_problem(gpu):
            problems.append(
                Problem(
                    what,
                    f"install an NVIDIA driver of version {DRIVER_MIN} or newer",
                    is_fatal=True,
                )
            )
        if gpu.translates and not machine.is_cache_writable:
            problems.append(
                Problem(
                    "the cache of translated GPU code cannot be written: every start translates it again",
                    "set CUDA_CACHE_PATH to a writable folder, and mount it in a container",
                    is_fatal=False,
                )
            )
    return problems


def _decode_problems(machine: Machine, decode: Decode | None, must_hear: bool) -> list[Problem]:
    if decode is None:
        return []  # the caller reports why the model could not be loaded
    if decode.error:
        return [
            Problem(
                f"a decode failed: {decode.error}",
                "see the problems above; otherwise report it as a bug",
                True,
            )
        ]
    if not decode.text and must_hear:
        fix = (
            f"install driver {DRIVER_MIN} or newer"
            if machine.device is Device.CUDA
            else "fetch the model again"
        )
        return [Problem("a decode of spoken words gave empty text", fix, is_fatal=True)]
    if decode.took_s > decode.audio_s:
        return [
            Problem(
                f"{decode.audio_s:.1f} s of speech took {decode.took_s:.1f} s: too slow for one channel",
                "choose a smaller model (engine.model: base or tiny), or a GPU",
                is_fatal=False,
            )
        ]
    return []


# --- facts ------------------------------------------------------------------------------------------


def examine(config: EngineConfig) -> Machine:
    device = resolve_device(config.device)
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 1,
        memory_mb=_memory_mb(),
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        gpus=seen_gpus(),
        cuda_devices=_cuda_devices(),
        has_cublas=preload_cublas(),
        is_cache_writable=_is_cache_writable(),
        keeps_memory=keep_freed_memory() if device is Device.CPU else True,
        device=device,
        compute_type=_compute_type(device, config.compute_type),
        threads=resolve_threads(config.cpu_threads),
    )


def decode_once(config: EngineConfig, model: ResolvedModel, backend: Backend) -> Decode:
    """Load the model and decode the bundled clip twice. Raises ModelError if it cannot be loaded."""
    try:
        engine = backend.load(config, model)
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"the model {model.name} could not be loaded: {error}") from error
    window = warm_up_window(Priority.FINAL)
    audio_s = len(window.samples) / 16_000
    try:
        engine.decode([window])
        began = time.perf_counter()
        (answer,) = engine.decode([window])
        took_s = time.perf_counter() - began
    except RuntimeError as error:
        return Decode("", str(error), 0.0, audio_s)
    finally:
        engine.close()
    if isinstance(answer, WindowError):
        return Decode("", answer.message, took_s, audio_s)
    assert isinstance(answer, Transcript)
    return Decode(answer.text, "", took_s, audio_s)


def _cuda_devices() -> int:
    try:
        return int(ctranslate2.get_cuda_device_count())
    except RuntimeError:
        return 0


def _is_cache_writable() -> bool:
    folder = Path(os.environ.get("CUDA_CACHE_PATH") or Path.home() / ".nv" / "ComputeCache")
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _compute_type(device: Device, wanted: str) -> str:
    try:
        return resolve_compute_type(device, wanted)
    except (RuntimeError, ValueError):
        return "unknown"


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1024 * 1024)
