"""The facts about this machine that the speed of decoding depends on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from host_stt import __version__
from host_stt.config import Device, EngineConfig
from host_stt.engines.loading import resolve_compute_type, resolve_device, resolve_threads, threads_of_call
from host_stt.gpus import seen_gpus


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def decoding_conditions(config: EngineConfig) -> dict[str, str]:
    """Everything that a measured cost depends on, except the weights. If one of these values changes, the
    cost is measured again.
    """
    device = resolve_device(config.device)
    gpus = seen_gpus() if device is Device.CUDA else ()
    return {
        "processor": processor(),
        "threads": f"{threads_of_call(resolve_threads(config.cpu_threads))} for each call",
        "device": device.value,
        "gpus": ", ".join(f"{gpu.name} (driver {gpu.driver})" for gpu in gpus),
        "compute_type": resolve_compute_type(device, config.compute_type),
        "beam_size": f"{config.beam_size}, {config.beam_size_unsure}",
        "terms": f"{config.terms_use}, {config.terms_form}, {config.terms_tokens}",
        "windows": f"{config.interim_window}, {config.final_window}",
        "host-stt": __version__,
        "ctranslate2": version("ctranslate2"),
        "faster-whisper": version("faster-whisper"),
    }
